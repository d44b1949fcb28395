// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/metadata"
)

func loadConfig(t *testing.T, name string) *Config {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := conf.Sub(component.NewIDWithName(metadata.Type, name).String())
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg
}

func TestDefaultConfig(t *testing.T) {
	require.Equal(t, createDefaultConfig(), loadConfig(t, ""))
	require.NoError(t, confmap.Validate(createDefaultConfig()))
}

func TestFullConfig(t *testing.T) {
	cfg := loadConfig(t, "full")
	require.NoError(t, confmap.Validate(cfg))
	require.Equal(t, "0.0.0.0:18090", cfg.ServerConfig.NetAddr.Endpoint)
	require.Equal(t, 16, cfg.ServerConfig.MaxRecvMsgSizeMiB)
	require.Equal(t, "/certs/ca.pem", cfg.ServerConfig.TLS.Get().ClientCAFile)
	require.Equal(t, 10, cfg.MaxStreams)
	require.Equal(t, 20, cfg.MaxEntriesPerMessage)
	require.Equal(t, 30, cfg.MaxObjectsPerMessage)
	require.Equal(t, 40, cfg.MaxIdentitiesPerStream)
	require.Equal(t, 5*time.Second, cfg.IdentifyTimeout)
	require.Equal(t, 60, cfg.MaxAttributeLength)
	require.Equal(t, 70, cfg.MaxMapEntries)
	require.Equal(t, 8*time.Second, cfg.ShutdownTimeout)
	require.Equal(t, RetryConfig{InitialInterval: time.Second, MaxInterval: 2 * time.Second, AfterDisconnect: 3 * time.Second}, cfg.Retry)
	require.Equal(t, []string{"istio"}, cfg.Logs.MetadataNamespaces)
	require.Equal(t, MetricsConfig{
		CounterTemporality: TemporalityDelta, HistogramTemporality: TemporalityCumulative,
		MaxNodes: 80, MaxSeries: 90, Expiry: 10 * time.Minute,
	}, cfg.Metrics)
}

func TestInvalidConfig(t *testing.T) {
	err := confmap.Validate(loadConfig(t, "invalid"))
	for _, want := range []string{
		"'endpoint' is empty: write an address to listen on",
		"'max_streams' is 0: write 1 or more",
		"'max_entries_per_message' is -1: write 1 or more",
		"'max_objects_per_message' is 0",
		"'max_identities_per_stream' is 0",
		"'identify_timeout' is 0s: write more than 0s",
		"'max_attribute_length' is 0",
		"'max_map_entries' is 0",
		"'shutdown_timeout' is -1s",
		"retry: 'initial_interval' is 0s",
		"'max_interval' is -5s: write at least 'initial_interval' (0s)",
		"'after_disconnect' is -1s: write 0s or more",
		"'counter_temporality' is \"sometimes\": write 'cumulative' or 'delta'",
		"'histogram_temporality' is \"\"",
		"'max_nodes' is 0",
		"'max_series' is 0",
		"'expiry' is 0s",
	} {
		require.ErrorContains(t, err, want)
	}
}
