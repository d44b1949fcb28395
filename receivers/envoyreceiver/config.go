// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Temporality says whether values count since the start or since the last report.
type Temporality string

// The values of [Temporality].
const (
	TemporalityCumulative Temporality = "cumulative"
	TemporalityDelta      Temporality = "delta"
)

// Config is the configuration of the envoy receiver.
type Config struct {
	// ServerConfig is the gRPC server: endpoint, TLS, keepalive, message size, authentication.
	ServerConfig configgrpc.ServerConfig `mapstructure:",squash"`

	// MaxStreams is how many streams may be open at a time, for all connections and both services; at least 1.
	MaxStreams int `mapstructure:"max_streams"`
	// MaxEntriesPerMessage is how many access log entries or metric families one message may hold; at least 1.
	MaxEntriesPerMessage int `mapstructure:"max_entries_per_message"`
	// MaxObjectsPerMessage is how many objects (messages, map entries, repeated texts) one message may decode to; at
	// least 1. It bounds memory where the size in bytes does not.
	MaxObjectsPerMessage int `mapstructure:"max_objects_per_message"`
	// MaxIdentitiesPerStream is how many identifiers one stream may send; at least 1. Envoy sends one.
	MaxIdentitiesPerStream int `mapstructure:"max_identities_per_stream"`
	// IdentifyTimeout is how long a stream may wait with its first message; more than zero.
	IdentifyTimeout time.Duration `mapstructure:"identify_timeout"`
	// MaxAttributeLength is the longest text of an attribute in bytes; at least 1. Longer ones are cut.
	MaxAttributeLength int `mapstructure:"max_attribute_length"`
	// MaxMapEntries is how many headers, tags, labels or fields are taken from one map; at least 1.
	MaxMapEntries int `mapstructure:"max_map_entries"`
	// ShutdownTimeout is how long streams get at shutdown to deliver what they took; more than zero.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`

	// Retry says how a message is offered again to a pipeline that cannot take it now.
	Retry RetryConfig `mapstructure:"retry"`
	// Logs are the settings of the access log service.
	Logs LogsConfig `mapstructure:"logs"`
	// Metrics are the settings of the metrics service.
	Metrics MetricsConfig `mapstructure:"metrics"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// RetryConfig says how a message is offered again after a retryable error. Meanwhile the stream is not read.
type RetryConfig struct {
	// InitialInterval is the first pause; more than zero. Each further one is twice as long.
	InitialInterval time.Duration `mapstructure:"initial_interval"`
	// MaxInterval is the longest pause; at least InitialInterval.
	MaxInterval time.Duration `mapstructure:"max_interval"`
	// AfterDisconnect is how long to go on once the sender is gone; zero means not at all.
	AfterDisconnect time.Duration `mapstructure:"after_disconnect"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// LogsConfig are the settings of the access log service.
type LogsConfig struct {
	// MetadataNamespaces are the namespaces of Envoy's dynamic metadata that become attributes; none by default.
	MetadataNamespaces []string `mapstructure:"metadata_namespaces"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// MetricsConfig are the settings of the metrics service.
type MetricsConfig struct {
	// CounterTemporality is "cumulative", or "delta" if Envoy's sink sets report_counters_as_deltas.
	CounterTemporality Temporality `mapstructure:"counter_temporality"`
	// HistogramTemporality is "delta", as Envoy's sink reports each flush interval by itself, or "cumulative" for another
	// sender that does not.
	HistogramTemporality Temporality `mapstructure:"histogram_temporality"`
	// MaxNodes is how many nodes are remembered; at least 1.
	MaxNodes int `mapstructure:"max_nodes"`
	// MaxSeries is how many cumulative series are remembered for all nodes; at least 1.
	MaxSeries int `mapstructure:"max_series"`
	// Expiry is how long a node without a stream or a series without a point is remembered; more than zero.
	Expiry time.Duration `mapstructure:"expiry"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

// Validate reports every setting that cannot work, by its key.
func (c *Config) Validate() error {
	errs := []error{
		atLeastOne("max_streams", c.MaxStreams),
		atLeastOne("max_entries_per_message", c.MaxEntriesPerMessage),
		atLeastOne("max_objects_per_message", c.MaxObjectsPerMessage),
		atLeastOne("max_identities_per_stream", c.MaxIdentitiesPerStream),
		positive("identify_timeout", c.IdentifyTimeout),
		atLeastOne("max_attribute_length", c.MaxAttributeLength),
		atLeastOne("max_map_entries", c.MaxMapEntries),
		positive("shutdown_timeout", c.ShutdownTimeout),
	}
	if c.ServerConfig.NetAddr.Endpoint == "" {
		errs = append(errs, errors.New("'endpoint' is empty: write an address to listen on, for example 'localhost:18090'"))
	}
	return errors.Join(errs...)
}

// Validate reports every setting that cannot work, by its key.
func (c *RetryConfig) Validate() error {
	errs := []error{positive("initial_interval", c.InitialInterval)}
	if c.MaxInterval < c.InitialInterval {
		errs = append(errs, fmt.Errorf("'max_interval' is %v: write at least 'initial_interval' (%v)",
			c.MaxInterval, c.InitialInterval))
	}
	if c.AfterDisconnect < 0 {
		errs = append(errs, fmt.Errorf("'after_disconnect' is %v: write 0s or more", c.AfterDisconnect))
	}
	return errors.Join(errs...)
}

// Validate reports every setting that cannot work, by its key.
func (c *MetricsConfig) Validate() error {
	_, counterErr := c.CounterTemporality.pdata("counter_temporality")
	_, histogramErr := c.HistogramTemporality.pdata("histogram_temporality")
	return errors.Join(
		counterErr,
		histogramErr,
		atLeastOne("max_nodes", c.MaxNodes),
		atLeastOne("max_series", c.MaxSeries),
		positive("expiry", c.Expiry),
	)
}

// pdata returns the value as pdata has it, or an error that names the key.
func (t Temporality) pdata(key string) (pmetric.AggregationTemporality, error) {
	switch t {
	case TemporalityCumulative:
		return pmetric.AggregationTemporalityCumulative, nil
	case TemporalityDelta:
		return pmetric.AggregationTemporalityDelta, nil
	default:
		return pmetric.AggregationTemporalityUnspecified,
			fmt.Errorf("'%s' is %q: write 'cumulative' or 'delta'", key, string(t))
	}
}

func atLeastOne(key string, value int) error {
	if value < 1 {
		return fmt.Errorf("'%s' is %d: write 1 or more", key, value)
	}
	return nil
}

func positive(key string, value time.Duration) error {
	if value <= 0 {
		return fmt.Errorf("'%s' is %v: write more than 0s", key, value)
	}
	return nil
}
