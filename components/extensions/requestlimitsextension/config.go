// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/requestlimitsextension/internal/otlpwalk"
)

// Config is the configuration of the request_limits extension. Every limit is at least 1.
type Config struct {
	// Request are the limits of one request.
	Request RequestConfig `mapstructure:"request"`
	// MaxConcurrentBytes is the memory that all requests may take at once, each with its bytes and what they decode to.
	// A request over it is refused with an error that its sender retries.
	MaxConcurrentBytes int64 `mapstructure:"max_concurrent_bytes"`
	// MaxConcurrentBytesPerPeer is how much of it one peer may take, so that one cannot keep out the others.
	MaxConcurrentBytesPerPeer int64 `mapstructure:"max_concurrent_bytes_per_peer"`
	// MaxStreams is how many gRPC streams and HTTP requests may be open at once.
	MaxStreams int `mapstructure:"max_streams"`
	// MaxStreamsPerPeer is how many of them one peer may have. Clients of gRPC are told and wait.
	MaxStreamsPerPeer int `mapstructure:"max_streams_per_peer"`
	// MaxReading is how many requests may be read at once; the rest wait for their turn. What is not yet whole takes no
	// more memory than that many times 'max_bytes', twice while it is decompressed.
	MaxReading int `mapstructure:"max_reading"`
	// MaxReadingPerPeer is how many of them one peer may have.
	MaxReadingPerPeer int `mapstructure:"max_reading_per_peer"`
	// MinReadTime is how long a request may be read in any case; from then on another that waits may end it. At least 10ms.
	MinReadTime time.Duration `mapstructure:"min_read_time"`
	// MaxReadTime is how long it may be read, and wait for that, in the best case; at least 'min_read_time'.
	MaxReadTime time.Duration `mapstructure:"max_read_time"`
	// MaxProcessBytes is the memory of the whole process, as Go counts it, from which on streams that bring no message are
	// ended. 0 stands for GOMEMLIMIT; without that none is ended.
	MaxProcessBytes int64 `mapstructure:"max_process_bytes"`
	// MaxConnections is on how many gRPC connections requests are taken.
	MaxConnections int `mapstructure:"max_connections"`
	// MaxConnectionsPerPeer is how many of them one peer may have.
	MaxConnectionsPerPeer int `mapstructure:"max_connections_per_peer"`
	// MaxSmallFrames is how many frames of HTTP/2 that bring nothing a gRPC connection may have at once: DATA frames of a few
	// bytes, and frames that are neither DATA nor HEADERS. One that has more is ended. Calls and data allow for more of them.
	MaxSmallFrames int `mapstructure:"max_small_frames"`
	// MaxSmallFramesPerSecond is how many it may have all the time.
	MaxSmallFramesPerSecond int `mapstructure:"max_small_frames_per_second"`
	// MaxHeaderBytes is the size of all headers of a request; at least 1024.
	MaxHeaderBytes int `mapstructure:"max_header_bytes"`
	// RetryAfter is what senders are told to wait where an error is one that they retry; at least 1s.
	RetryAfter time.Duration `mapstructure:"retry_after"`
	// MaxReportedPeers is how many peers the counter of refused requests names.
	MaxReportedPeers int `mapstructure:"max_reported_peers"`
	// HTTP are the paths of the receiver, which it does not tell.
	HTTP HTTPConfig `mapstructure:"http"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// RequestConfig are the limits of one request. What is over one is refused for good.
type RequestConfig struct {
	// MaxBytes is the size of a request after decompression.
	MaxBytes int64 `mapstructure:"max_bytes"`
	// MaxDecodedBytes is the memory that a request may decode to, as estimated from its count.
	MaxDecodedBytes int64 `mapstructure:"max_decoded_bytes"`
	// MaxExpansion is how many times its size a request may decode to.
	MaxExpansion int64 `mapstructure:"max_expansion"`
	// MinDecodedBytes is what a request may decode to in any case, however small it is.
	MinDecodedBytes int64 `mapstructure:"min_decoded_bytes"`
	// MaxResources is how many resources a request may hold.
	MaxResources int64 `mapstructure:"max_resources"`
	// MaxScopes is how many instrumentation scopes it may hold.
	MaxScopes int64 `mapstructure:"max_scopes"`
	// MaxRecords is how many spans, log records or data points it may hold.
	MaxRecords int64 `mapstructure:"max_records"`
	// MaxMetrics is how many metrics it may hold.
	MaxMetrics int64 `mapstructure:"max_metrics"`
	// MaxEvents and MaxLinks are how many of them its spans may have together.
	MaxEvents int64 `mapstructure:"max_events"`
	// MaxLinks see MaxEvents.
	MaxLinks int64 `mapstructure:"max_links"`
	// MaxAttributes is how many attributes it may hold, also within values.
	MaxAttributes int64 `mapstructure:"max_attributes"`
	// MaxValues is how many elements its arrays may hold.
	MaxValues int64 `mapstructure:"max_values"`
	// MaxExemplars is how many exemplars it may hold.
	MaxExemplars int64 `mapstructure:"max_exemplars"`
	// MaxBuckets is how many bucket counts, bounds and quantiles it may hold.
	MaxBuckets int64 `mapstructure:"max_buckets"`
	// MaxAttributesPerObject is how many attributes one resource, scope, record or list may have.
	MaxAttributesPerObject int64 `mapstructure:"max_attributes_per_object"`
	// MaxDepth is how deep values may be within values, 32 at most; a plain one is 0.
	MaxDepth int64 `mapstructure:"max_depth"`
	// MaxKeyBytes is the length of a key.
	MaxKeyBytes int64 `mapstructure:"max_key_bytes"`
	// MaxValueBytes is the length of a text that is no key: values, bodies, names.
	MaxValueBytes int64 `mapstructure:"max_value_bytes"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// HTTPConfig are the paths under which the receiver takes requests, as in its own configuration.
type HTTPConfig struct {
	// TracesURLPath is that of traces.
	TracesURLPath string `mapstructure:"traces_url_path"`
	// LogsURLPath is that of logs.
	LogsURLPath string `mapstructure:"logs_url_path"`
	// MetricsURLPath is that of metrics.
	MetricsURLPath string `mapstructure:"metrics_url_path"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

// maxDepth is the deepest that 'max_depth' may be: decoding recurses.
const maxDepth = 32

func createDefaultConfig() component.Config {
	const mib = 1 << 20
	return &Config{
		Request: RequestConfig{
			MaxBytes: 4 * mib, MaxDecodedBytes: 32 * mib, MaxExpansion: 9, MinDecodedBytes: mib,
			MaxResources: 10_000, MaxScopes: 20_000, MaxRecords: 50_000, MaxMetrics: 50_000,
			MaxEvents: 50_000, MaxLinks: 50_000, MaxAttributes: 250_000, MaxValues: 100_000,
			MaxExemplars: 50_000, MaxBuckets: 500_000, MaxAttributesPerObject: 1024, MaxDepth: 16,
			MaxKeyBytes: 4096, MaxValueBytes: mib,
		},
		MaxConcurrentBytes: 96 * mib, MaxConcurrentBytesPerPeer: 48 * mib,
		MaxStreams: 1024, MaxStreamsPerPeer: 64, MaxConnections: 4096, MaxConnectionsPerPeer: 128,
		MaxReading: 8, MaxReadingPerPeer: 2, MinReadTime: 500 * time.Millisecond, MaxReadTime: 30 * time.Second,
		MaxSmallFrames: 16384, MaxSmallFramesPerSecond: 4096, MaxHeaderBytes: 32 << 10, RetryAfter: time.Second, MaxReportedPeers: 100,
		HTTP: HTTPConfig{TracesURLPath: "/v1/traces", LogsURLPath: "/v1/logs", MetricsURLPath: "/v1/metrics"},
	}
}

// Validate reports every setting that cannot work, by its key.
func (c *Config) Validate() error {
	errs := []error{
		atLeastOne("max_streams", int64(c.MaxStreams)), atLeastOne("max_streams_per_peer", int64(c.MaxStreamsPerPeer)),
		atLeastOne("max_reading", int64(c.MaxReading)), atLeastOne("max_reading_per_peer", int64(c.MaxReadingPerPeer)),
		atLeastOne("max_connections", int64(c.MaxConnections)),
		atLeastOne("max_connections_per_peer", int64(c.MaxConnectionsPerPeer)),
		atLeastOne("max_small_frames", int64(c.MaxSmallFrames)), atLeastOne("max_small_frames_per_second", int64(c.MaxSmallFramesPerSecond)),
		atLeastOne("max_reported_peers", int64(c.MaxReportedPeers)),
	}
	if need := c.Request.most(); c.MaxConcurrentBytesPerPeer < need {
		errs = append(errs, fmt.Errorf("'max_concurrent_bytes_per_peer' is %d: write at least %d, which one request may take "+
			"('request::max_bytes' twice and 'request::max_decoded_bytes')", c.MaxConcurrentBytesPerPeer, need))
	}
	if c.MaxConcurrentBytes < c.MaxConcurrentBytesPerPeer {
		errs = append(errs, fmt.Errorf("'max_concurrent_bytes' is %d: write at least 'max_concurrent_bytes_per_peer' (%d)",
			c.MaxConcurrentBytes, c.MaxConcurrentBytesPerPeer))
	}
	if c.MaxHeaderBytes < 1024 || c.MaxHeaderBytes > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("'max_header_bytes' is %d: write 1024 or more", c.MaxHeaderBytes))
	}
	if c.MaxStreamsPerPeer > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("'max_streams_per_peer' is %d: write less", c.MaxStreamsPerPeer))
	}
	if c.MaxProcessBytes < 0 {
		errs = append(errs, fmt.Errorf("'max_process_bytes' is %d: write 0 (for GOMEMLIMIT) or more", c.MaxProcessBytes))
	}
	if c.MinReadTime < 10*time.Millisecond {
		errs = append(errs, fmt.Errorf("'min_read_time' is %v: write 10ms or more", c.MinReadTime))
	}
	if c.MaxReadTime < c.MinReadTime {
		errs = append(errs, fmt.Errorf("'max_read_time' is %v: write 'min_read_time' (%v) or more", c.MaxReadTime, c.MinReadTime))
	}
	if c.RetryAfter < time.Second {
		errs = append(errs, fmt.Errorf("'retry_after' is %v: write 1s or more", c.RetryAfter))
	}
	return errors.Join(errs...)
}

// most is what one request may take: its bytes, which HTTP holds twice for a moment, and what they decode to.
func (c *RequestConfig) most() int64 { return 2*c.MaxBytes + c.MaxDecodedBytes }

// Validate reports every setting that cannot work, by its key.
func (c *RequestConfig) Validate() error {
	errs := []error{
		atLeastOne("max_bytes", c.MaxBytes), atLeastOne("max_decoded_bytes", c.MaxDecodedBytes),
		atLeastOne("max_expansion", c.MaxExpansion), atLeastOne("min_decoded_bytes", c.MinDecodedBytes),
		atLeastOne("max_resources", c.MaxResources), atLeastOne("max_scopes", c.MaxScopes),
		atLeastOne("max_records", c.MaxRecords), atLeastOne("max_metrics", c.MaxMetrics),
		atLeastOne("max_events", c.MaxEvents), atLeastOne("max_links", c.MaxLinks),
		atLeastOne("max_attributes", c.MaxAttributes), atLeastOne("max_values", c.MaxValues),
		atLeastOne("max_exemplars", c.MaxExemplars), atLeastOne("max_buckets", c.MaxBuckets),
		atLeastOne("max_attributes_per_object", c.MaxAttributesPerObject),
		atLeastOne("max_key_bytes", c.MaxKeyBytes), atLeastOne("max_value_bytes", c.MaxValueBytes),
	}
	if c.MaxBytes > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("'max_bytes' is %d: write %d or less", c.MaxBytes, math.MaxInt32))
	}
	if c.MaxExpansion > 1000 {
		errs = append(errs, fmt.Errorf("'max_expansion' is %d: write 1000 or less", c.MaxExpansion))
	}
	if c.MaxDepth < 1 || c.MaxDepth > maxDepth {
		errs = append(errs, fmt.Errorf("'max_depth' is %d: write 1 to %d", c.MaxDepth, maxDepth))
	}
	return errors.Join(errs...)
}

// Validate reports every setting that cannot work, by its key.
func (c *HTTPConfig) Validate() error {
	var errs []error
	seen := make(map[string]string)
	for _, p := range []struct{ key, path string }{
		{"traces_url_path", c.TracesURLPath}, {"logs_url_path", c.LogsURLPath}, {"metrics_url_path", c.MetricsURLPath},
	} {
		if !strings.HasPrefix(p.path, "/") {
			errs = append(errs, fmt.Errorf("'%s' is %q: write the path that the receiver has, for example '/v1/traces'", p.key, p.path))
		}
		if other, ok := seen[p.path]; ok {
			errs = append(errs, fmt.Errorf("'%s' is %q, as is '%s': write one path for each signal", p.key, p.path, other))
		}
		seen[p.path] = p.key
	}
	return errors.Join(errs...)
}

func atLeastOne(key string, value int64) error {
	if value < 1 {
		return fmt.Errorf("'%s' is %d: write 1 or more", key, value)
	}
	return nil
}

// counts are the limits as the walk takes them, for a request of a size. expansion says that its own size is what bounds
// the memory that it may decode to.
func (c *RequestConfig) counts(size int64) (limits otlpwalk.Counts, expansion bool) {
	decoded := max(size*c.MaxExpansion, c.MinDecodedBytes)
	expansion = decoded < c.MaxDecodedBytes
	return otlpwalk.Counts{
		Resources: c.MaxResources, Scopes: c.MaxScopes, Records: c.MaxRecords, Metrics: c.MaxMetrics,
		Events: c.MaxEvents, Links: c.MaxLinks, Attributes: c.MaxAttributes, Values: c.MaxValues,
		Exemplars: c.MaxExemplars, Buckets: c.MaxBuckets, ObjectAttributes: c.MaxAttributesPerObject,
		Depth: c.MaxDepth, KeyBytes: c.MaxKeyBytes, ValueBytes: c.MaxValueBytes,
		DecodedBytes: min(decoded, c.MaxDecodedBytes),
	}, expansion
}
