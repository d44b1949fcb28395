// SPDX-License-Identifier: Apache-2.0

package meshnoiseprocessor

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"go.opentelemetry.io/collector/component"
)

// Action is what becomes of an item that was recognized: keep, mark or drop.
type Action string

// The actions.
const (
	// Keep passes the item as it is.
	Keep Action = "keep"
	// Mark passes the item with the attribute mesh.noise, which says what it is.
	Mark Action = "mark"
	// Drop removes the item.
	Drop Action = "drop"
)

// Config of the processor. Everything that is recognized is counted, whatever becomes of it.
type Config struct {
	// HealthProbes is what becomes of health probes that were answered well. Default drop.
	HealthProbes Action `mapstructure:"health_probes"`
	// FailedHealthProbes is what becomes of those that got no answer or a bad one. Default keep: they say what is wrong.
	FailedHealthProbes Action `mapstructure:"failed_health_probes"`
	// Scrapes is what becomes of scrapes of metrics. Default drop.
	Scrapes Action `mapstructure:"scrapes"`
	// Telemetry is what becomes of the telemetry's own traffic. Default drop.
	Telemetry Action `mapstructure:"telemetry"`
	// MetricPoints is what becomes of metric points, of whichever kind, unless that kind is kept. Default keep: a point
	// counts calls and has no path, and to drop it changes sums.
	MetricPoints Action `mapstructure:"metric_points"`

	// ProbePaths are paths that answer probes and nothing else.
	ProbePaths []string `mapstructure:"probe_paths"`
	// ScrapePaths are paths that give metrics and nothing else.
	ScrapePaths []string `mapstructure:"scrape_paths"`
	// ProbeUserAgents and ScrapeUserAgents begin user agents of probers and scrapers beside those that are built in.
	ProbeUserAgents  []string `mapstructure:"probe_user_agents"`
	ScrapeUserAgents []string `mapstructure:"scrape_user_agents"`
	// ProberAddresses are networks, in CIDR form, that the probes of load balancers come from.
	ProberAddresses []string `mapstructure:"prober_addresses"`
	// FrontDoorIDs are the ids of own Azure Front Door profiles (header X-Azure-FDID, which the proxies have to log).
	FrontDoorIDs []string `mapstructure:"front_door_ids"`
	// Workloads are the telemetry's own workloads, services and pods: "name" or "namespace/name", where the name may end
	// in "*".
	Workloads []string `mapstructure:"workloads"`
	// ScrapeWorkloads are workloads whose calls are scrapes, in the same form. Used for metric points only.
	ScrapeWorkloads []string `mapstructure:"scrape_workloads"`
	// IngestionHosts are hosts outside of the mesh that take telemetry; one that begins with a dot stands for all below.
	IngestionHosts []string `mapstructure:"ingestion_hosts"`

	// Topology is the id of a mesh_topology extension that knows the addresses of nodes. Without one a kubelet's probes are
	// recognized by their paths alone.
	Topology component.ID `mapstructure:"topology"`
	// Cluster is the name of the cluster the proxies are in, which tells the network of an address. Needed with Topology,
	// unless the whole mesh is in one network.
	Cluster string `mapstructure:"cluster"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	return &Config{
		HealthProbes: Drop, FailedHealthProbes: Keep, Scrapes: Drop, Telemetry: Drop, MetricPoints: Keep,
		ProbePaths:  []string{"/healthz", "/healthz/ready", "/livez", "/readyz", "/startupz", "/health", "/ready"},
		ScrapePaths: []string{"/metrics"},
		// Azure's load balancers probe from one address, Google's from two networks.
		ProberAddresses: []string{"168.63.129.16/32", "35.191.0.0/16", "130.211.0.0/22"},
		Workloads:       []string{"otelcol-mesh-*"},
		ScrapeWorkloads: []string{"prometheus", "prometheus-server"},
		IngestionHosts: []string{
			".in.applicationinsights.azure.com", "dc.services.visualstudio.com", ".livediagnostics.monitor.azure.com",
			".ingest.monitor.azure.com", ".ods.opinsights.azure.com",
		},
	}
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	return errors.Join(
		checkAction("health_probes", c.HealthProbes), checkAction("failed_health_probes", c.FailedHealthProbes),
		checkAction("scrapes", c.Scrapes), checkAction("telemetry", c.Telemetry), checkAction("metric_points", c.MetricPoints),
		checkPaths("probe_paths", c.ProbePaths), checkPaths("scrape_paths", c.ScrapePaths),
		checkFilled("probe_user_agents", c.ProbeUserAgents), checkFilled("scrape_user_agents", c.ScrapeUserAgents),
		checkFilled("front_door_ids", c.FrontDoorIDs), checkFilled("ingestion_hosts", c.IngestionHosts),
		checkWorkloads("workloads", c.Workloads), checkWorkloads("scrape_workloads", c.ScrapeWorkloads),
		checkPrefixes(c.ProberAddresses),
	)
}

func checkAction(key string, action Action) error {
	switch action {
	case Keep, Mark, Drop:
		return nil
	}
	return fmt.Errorf("'%s' is %q: write keep, mark or drop", key, action)
}

func checkPaths(key string, paths []string) error {
	for _, path := range paths {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#*") || path == "/" {
			return fmt.Errorf("'%s' has %q: write a whole path such as /healthz, without query and wildcard, and not the root: what it answers is not for probes alone", key, path)
		}
	}
	return nil
}

func checkFilled(key string, values []string) error {
	for _, value := range values {
		if strings.Trim(value, ". ") == "" {
			return fmt.Errorf("'%s' has an empty entry, which would fit everything: remove it", key)
		}
	}
	return nil
}

func checkWorkloads(key string, values []string) error {
	for _, value := range values {
		name := strings.TrimSuffix(value[strings.IndexByte(value, '/')+1:], "*")
		if name == "" || strings.ContainsAny(name, "*/") || strings.HasPrefix(value, "/") {
			return fmt.Errorf("'%s' has %q: write a name or namespace/name, which may end in *, such as observability/otelcol-mesh-*", key, value)
		}
	}
	return nil
}

func checkPrefixes(values []string) error {
	_, err := prefixes(values)
	return err
}

func prefixes(values []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(values))
	for _, value := range values {
		prefix, err := netip.ParsePrefix(value)
		if err != nil {
			return nil, fmt.Errorf("'prober_addresses' has %q: write a network such as 168.63.129.16/32", value)
		}
		out = append(out, prefix)
	}
	return out, nil
}
