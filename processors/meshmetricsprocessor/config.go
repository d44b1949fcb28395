// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

// Config is the configuration of the mesh_metrics processor.
type Config struct {
	// Interval is how often what was added up goes on; from 1s to 1h. Default 1m.
	Interval time.Duration `mapstructure:"interval"`
	// Early says when what was added up goes on before the interval ends: when calls of a service go to another region or
	// cluster than they did, or fail as they did not.
	Early EarlyConfig `mapstructure:"early"`
	// MaxStaleness is how long a series without a point is remembered; at least Interval, at most 24h. Default 1h.
	MaxStaleness time.Duration `mapstructure:"max_staleness"`
	// MaxSeries is how many series are written with all labels that are kept; at least 1. What is beyond goes to series
	// with otel.metric.overflow. Default 20000.
	MaxSeries int `mapstructure:"max_series"`
	// MaxOverflowSeries is how many series with otel.metric.overflow keep the labels of the topology, and how many metrics
	// have one without; at least 1. Default 2000.
	MaxOverflowSeries int `mapstructure:"max_overflow_series"`
	// MaxStateMiB is the ceiling of all that is remembered, as estimated; from 1 to 65536. Default 128.
	MaxStateMiB int `mapstructure:"max_state_mib"`
	// MaxSeriesPerProcess is how many series of one process are remembered; at least 1. Default 50000.
	MaxSeriesPerProcess int `mapstructure:"max_series_per_process"`
	// MaxPointsPerRequest is how many points go to the next component at a time; at least 1. Default 5000.
	MaxPointsPerRequest int `mapstructure:"max_points_per_request"`
	// ResourceAttributes are those that stay; one that ends with * stands for all that begin so. Default: cluster,
	// namespace, workload, version, region and zone, and no pod.
	ResourceAttributes []string `mapstructure:"resource_attributes"`
	// TopologyAttributes are those of points that stay on an overflow series. Default: both ends down to workload and
	// service, locality, direction, reporter and protocol.
	TopologyAttributes []string `mapstructure:"topology_attributes"`
	// Drop names metrics to drop, after it was read from them when a process began; * as above. Default none.
	Drop []string `mapstructure:"drop"`
	// Directory is where the last value of each series is kept, with what is being handed over, so that a restart and a kill
	// lose nothing and count nothing twice. It belongs to this processor and those of other names. Default none: what was
	// added up is lost in a crash, and a restart begins anew.
	Directory string `mapstructure:"directory"`
	// Metrics says which metrics are handled; the first entry that fits counts. Others pass. Default: Istio's, those of
	// Envoy about upstream clusters, and those of istiod that tell what fails.
	Metrics []MetricsConfig `mapstructure:"metrics"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// EarlyConfig bounds how often what was added up goes on early. Beyond it, what is urgent waits for the interval.
type EarlyConfig struct {
	// MinGap is the least time from one hand-over to an early one; from 1s to 1h. Default 15s, in which every process was
	// scraped once.
	MinGap time.Duration `mapstructure:"min_gap"`
	// Burst is how many early ones there may be one after the other, from 0 to 100; 0 turns them off. The last half is for
	// calls that moved, at least five at once or twice as many as usual. Default 6.
	Burst int `mapstructure:"burst"`
	// Refill is how long it takes until there may be one more, from 1s to 24h. Default 10m: at most a tenth more bytes, with
	// an interval of a minute.
	Refill time.Duration `mapstructure:"refill"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// MetricsConfig says which attributes of some metrics stay.
type MetricsConfig struct {
	// Names are the metrics' names; one that ends with * stands for all that begin so.
	Names []string `mapstructure:"names"`
	// Attributes are the attributes of points that stay; * as above. Points that differ in others become one.
	Attributes []string `mapstructure:"attributes"`
	// Except are those that do not stay though Attributes, or ResourceAttributes, name them; * as above. Default none.
	Except []string `mapstructure:"except"`
	// Buckets of histograms: keep, or drop to leave count and sum. Default keep.
	Buckets string `mapstructure:"buckets"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

const (
	longestInterval  = time.Hour
	longestStaleness = 24 * time.Hour
	longestRefill    = 24 * time.Hour
	mostBurst        = 100
	mostStateMiB     = 65536

	// The values of 'buckets'.
	keepBuckets = "keep"
	dropBuckets = "drop"
)

func createDefaultConfig() component.Config {
	return &Config{
		Interval: time.Minute, MaxStaleness: time.Hour,
		Early:     EarlyConfig{MinGap: 15 * time.Second, Burst: 6, Refill: 10 * time.Minute},
		MaxSeries: 20_000, MaxOverflowSeries: 2_000,
		MaxStateMiB: 128, MaxSeriesPerProcess: 50_000, MaxPointsPerRequest: 5_000,
		ResourceAttributes: []string{
			"service.name", "service.namespace", "service.version",
			"k8s.cluster.name", "k8s.namespace.name", "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name",
			"k8s.job.name", "k8s.cronjob.name",
			"cloud.provider", "cloud.platform", "cloud.region", "cloud.availability_zone",
		},
		TopologyAttributes: []string{
			"mesh.source.cluster", "mesh.source.region", "mesh.source.zone", "mesh.source.namespace", "mesh.source.workload",
			"mesh.source.service", "mesh.destination.cluster", "mesh.destination.region", "mesh.destination.zone",
			"mesh.destination.namespace", "mesh.destination.workload", "mesh.destination.service",
			"mesh.traffic.*", "mesh.resolution.*", "mesh.tls", "reporter", "request_protocol",
		},
		Metrics: defaultMetrics(),
	}
}

func defaultMetrics() []MetricsConfig {
	// Bytes are what zones have a price for. Others say by mesh.traffic.locality whether it was another one.
	zones := []string{"mesh.source.zone", "mesh.destination.zone", "cloud.availability_zone"}
	return []MetricsConfig{
		{
			Names: []string{"istio_requests_total", "istiocustom.istio_requests_total"},
			Attributes: []string{
				"mesh.*", "reporter", "request_protocol", "response_code", "grpc_response_status", "response_flags",
				"destination_service", "destination_service_name", "destination_service_namespace",
			},
			Except: zones,
		},
		{
			// A histogram is the dearest point. By its flags a request that reached nobody is told from those that did.
			Names: []string{"istio_request_duration_milliseconds*", "istiocustom.istio_request_duration_milliseconds*"},
			Attributes: []string{
				"mesh.*", "reporter", "request_protocol", "response_flags",
				"destination_service", "destination_service_name", "destination_service_namespace",
			},
			Except: zones,
		},
		{
			// What counts of sizes are the sums, and a histogram's bytes are its buckets.
			Names: []string{
				"istio_request_bytes*", "istio_response_bytes*", "istiocustom.istio_request_bytes*", "istiocustom.istio_response_bytes*",
			},
			Attributes: []string{
				"mesh.*", "reporter", "request_protocol",
				"destination_service", "destination_service_name", "destination_service_namespace",
			},
			Buckets: dropBuckets,
		},
		{
			Names: []string{"istio_*", "istiocustom.istio_*"},
			Attributes: []string{
				"mesh.*", "reporter", "request_protocol", "response_flags",
				"destination_service", "destination_service_name", "destination_service_namespace",
			},
		},
		{
			Names: []string{"envoy_cluster_*", "cluster.*"},
			Attributes: []string{
				"mesh.*", "cluster_name", "envoy_cluster_name", "envoy.cluster.name", "response_code_class", "response_code",
				"envoy_response_code_class", "envoy_response_code", "envoy.response_code_class", "envoy.response_code",
				"envoy.zone.source", "envoy.zone.destination",
			},
		},
		{
			// What an istiod counts seldom begins with the first time that it happens, which has to count.
			Names: []string{
				"pilot_xds_pushes", "pilot_total_xds_rejects", "pilot_xds_write_timeout", "pilot_total_xds_internal_errors",
				"pilot_sds_certificate_errors_total", "pilot_proxy_convergence_time", "citadel_server_csr_sign_err_count",
				"remote_cluster_sync_timeouts_total",
			},
			Attributes: []string{"type", "cluster", "error"},
		},
	}
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	if c.Interval < time.Second || c.Interval > longestInterval {
		errs = append(errs, fmt.Errorf("'interval' is %v: write a time from 1s to %v", c.Interval, longestInterval))
	}
	if c.MaxStaleness < c.Interval || c.MaxStaleness > longestStaleness {
		errs = append(errs, fmt.Errorf("'max_staleness' is %v: write a time from 'interval', %v, to %v", c.MaxStaleness, c.Interval, longestStaleness))
	}
	errs = append(errs, c.Early.check())
	for _, ceiling := range []struct {
		key   string
		value int
	}{
		{"max_series", c.MaxSeries},
		{"max_overflow_series", c.MaxOverflowSeries},
		{"max_series_per_process", c.MaxSeriesPerProcess},
		{"max_points_per_request", c.MaxPointsPerRequest},
	} {
		if ceiling.value < 1 {
			errs = append(errs, fmt.Errorf("'%s' is %d: write at least 1", ceiling.key, ceiling.value))
		}
	}
	if c.MaxStateMiB < 1 || c.MaxStateMiB > mostStateMiB {
		errs = append(errs, fmt.Errorf("'max_state_mib' is %d: write 1 to %d", c.MaxStateMiB, mostStateMiB))
	}
	errs = append(errs, checkNames("resource_attributes", c.ResourceAttributes),
		checkNames("topology_attributes", c.TopologyAttributes), checkNames("drop", c.Drop))
	for i, m := range c.Metrics {
		key := fmt.Sprintf("metrics[%d]::", i)
		if len(m.Names) == 0 {
			errs = append(errs, fmt.Errorf("'%snames' is empty: write the names of metrics, such as istio_requests_total or istio_*", key))
		}
		if m.Buckets != "" && m.Buckets != keepBuckets && m.Buckets != dropBuckets {
			errs = append(errs, fmt.Errorf("'%sbuckets' is %q: write keep, or drop to leave count and sum of histograms", key, m.Buckets))
		}
		errs = append(errs, checkNames(key+"names", m.Names), checkNames(key+"attributes", m.Attributes),
			checkNames(key+"except", m.Except))
	}
	if len(c.Metrics) == 0 && len(c.Drop) == 0 {
		errs = append(errs, errors.New("'metrics' is empty: name what to handle, such as istio_*, or leave the key out"))
	}
	return errors.Join(errs...)
}

func (c *EarlyConfig) check() error {
	var errs []error
	if c.MinGap < time.Second || c.MinGap > longestInterval {
		errs = append(errs, fmt.Errorf("'early::min_gap' is %v: write a time from 1s to %v", c.MinGap, longestInterval))
	}
	if c.Burst < 0 || c.Burst > mostBurst {
		errs = append(errs, fmt.Errorf("'early::burst' is %d: write 1 to %d, or 0 so that nothing goes on early", c.Burst, mostBurst))
	}
	if c.Refill < time.Second || c.Refill > longestRefill {
		errs = append(errs, fmt.Errorf("'early::refill' is %v: write a time from 1s to %v", c.Refill, longestRefill))
	}
	return errors.Join(errs...)
}

// checkNames says whether a star is anywhere but at the end.
func checkNames(key string, names []string) error {
	for _, name := range names {
		if name == "" || strings.Contains(strings.TrimSuffix(name, "*"), "*") {
			return fmt.Errorf("'%s' has %q: write a name, or the beginning of names and * at the end", key, name)
		}
	}
	return nil
}
