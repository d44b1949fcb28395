// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/requestlimitsextension/internal/otlpwalk"
)

func TestDefaultsAreValid(t *testing.T) {
	require.NoError(t, confmap.Validate(createDefaultConfig()))
}

func TestConfigErrorsNameTheKey(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"'max_streams' is 0":                   func(c *Config) { c.MaxStreams = 0 },
		"'max_streams_per_peer'":               func(c *Config) { c.MaxStreamsPerPeer = -1 },
		"'max_connections' is 0":               func(c *Config) { c.MaxConnections = 0 },
		"'max_connections_per_peer' is 0":      func(c *Config) { c.MaxConnectionsPerPeer = 0 },
		"'max_reported_peers' is 0":            func(c *Config) { c.MaxReportedPeers = 0 },
		"'max_header_bytes' is 5":              func(c *Config) { c.MaxHeaderBytes = 5 },
		"'max_small_frames' is 0":              func(c *Config) { c.MaxSmallFrames = 0 },
		"'max_small_frames_per_second' is 0":   func(c *Config) { c.MaxSmallFramesPerSecond = 0 },
		"'max_process_bytes' is -1":            func(c *Config) { c.MaxProcessBytes = -1 },
		"'max_reading' is 0":                   func(c *Config) { c.MaxReading = 0 },
		"'max_reading_per_peer' is 0":          func(c *Config) { c.MaxReadingPerPeer = 0 },
		"'min_read_time' is 1ms":               func(c *Config) { c.MinReadTime = time.Millisecond },
		"'max_read_time' is 1ms":               func(c *Config) { c.MaxReadTime = time.Millisecond },
		"'retry_after' is 1ms":                 func(c *Config) { c.RetryAfter = time.Millisecond },
		"'max_concurrent_bytes_per_peer' is 9": func(c *Config) { c.MaxConcurrentBytesPerPeer = 9 },
		"'max_concurrent_bytes' is 9":          func(c *Config) { c.MaxConcurrentBytes = 9 },
		"'max_depth' is 99":                    func(c *Config) { c.Request.MaxDepth = 99 },
		"'max_bytes' is":                       func(c *Config) { c.Request.MaxBytes = 1 << 40 },
		"'max_expansion' is 9999":              func(c *Config) { c.Request.MaxExpansion = 9999 },
		"'max_records' is 0":                   func(c *Config) { c.Request.MaxRecords = 0 },
		"'logs_url_path' is \"x\"":             func(c *Config) { c.HTTP.LogsURLPath = "x" },
		"'metrics_url_path' is \"/v1/traces\"": func(c *Config) { c.HTTP.MetricsURLPath = "/v1/traces" },
	} {
		cfg := createDefaultConfig().(*Config)
		change(cfg)
		require.ErrorContains(t, confmap.Validate(cfg), key)
	}
}

// TestEveryReasonOfTheWalkHasAKey keeps errors from being empty.
func TestEveryReasonOfTheWalkHasAKey(t *testing.T) {
	cfg := &createDefaultConfig().(*Config).Request
	for _, why := range []otlpwalk.Reason{
		otlpwalk.Resources, otlpwalk.Scopes, otlpwalk.Records, otlpwalk.MetricNames, otlpwalk.Events, otlpwalk.Links,
		otlpwalk.Attributes, otlpwalk.Values, otlpwalk.Exemplars, otlpwalk.Buckets, otlpwalk.ObjectAttributes, otlpwalk.Depth,
		otlpwalk.KeyBytes, otlpwalk.ValueBytes, otlpwalk.DecodedBytes,
	} {
		r := violated(&otlpwalk.Violation{Reason: why, Limit: 7}, 9, false, cfg)
		require.Equal(t, string(why), string(r.reason))
		require.Contains(t, r.message, "'request::max_"+string(why)+"' (7)")
	}
}

func TestPeersAreNamedUpToALimit(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxReportedPeers = 2 }, nil, nil)
	for _, peer := range []string{"a", "b", "c", "a", "d"} {
		f.countRefused(overGRPC, peer, malformed("x"))
	}
	_, byPeer := f.refused(t)
	require.Equal(t, map[string]int64{"a": 2, "b": 1, "other": 2}, byPeer)
	require.Equal(t, "unknown", peerOf("@"))
	require.Equal(t, "::1", peerOf("[::1]:80"))
	_, log, _ := f.report("a")
	require.False(t, log)
	f.now = func() time.Time { return time.Now().Add(logInterval) }
	_, log, skipped := f.report("a")
	require.True(t, log)
	require.EqualValues(t, 5, skipped)
}
