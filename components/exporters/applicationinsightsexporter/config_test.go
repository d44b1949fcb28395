// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

// refused are the names of configurations that are refused, and what the error says: a key and what to write.
var refused = map[string][]string{
	"timeout":         {"timeout: 0s", "such as 30s"},
	"endpoint":        {"endpoint: ", "connection_string"},
	"compression":     {"compression: ", "compression_level"},
	"both":            {"connection_string and connection_string_file: both are set"},
	"nothing":         {"connection_string: is missing or empty", "an environment variable that is not set is empty"},
	"plain_http":      {"connection_string: ", "http"},
	"no_queue":        {"sending_queue: cannot be switched off"},
	"wait":            {"sending_queue::wait_for_result: ", "write false"},
	"no_batch":        {"sending_queue::batch: cannot be switched off"},
	"batch_unlimited": {"sending_queue::batch::max_size: 0 bytes is not from 131072 to 67108864"},
	"batch_items":     {"sending_queue::batch::max_size: 100000 items is not from 1 to 64000"},
	"queue_small":     {"sending_queue::queue_size: 1000 is less than", "write 2097152 or more"},
	"partition":       {"sending_queue::batch::partition::metadata_keys: ", "routes"},
	"elapsed":         {"retry_on_failure::max_elapsed_time: 5m0s with sending_queue::storage", "write 0"},
	"intervals":       {"retry_on_failure: initial_interval 0s"},
	"no_retry":        {"retry_on_failure::enabled: false with sending_queue::storage", "write true"},
	"body":            {"max_body_bytes: 1000 is not from", "max_body_items: 0 is not from 1", "compression_level: 10 is not from 1 to 9"},
	"durations":       {"connection_string_interval: 1ms", "shutdown_timeout: 0s", "pauses::quota: 0s", "pauses::hold: -1s", "pauses::max_retry_after: 1000h"},
	"mapping":         {"mapping: ", "role"},
	"dead_letter":     {"dead_letter: ", "max_mib"},
	"route_name":      {`routes::0::name: "Team A" is no name`, `routes::1::name: "default" has a meaning`, `routes::3::name: "same" is there twice`},
	"route_match":     {"routes::0::match: is empty", "routes::1::match::team: has no value", "routes::2::connection_string: ", "routes::1::connection_string: is missing"},
	"route_value":     {"match::team: ", "is no value"},
	"route_typo":      {"matches"},
	"unknown_keys": {
		"dead_leter: there is no such key (dead_letter?)", "dead_letter::folder: there is no", "mapping::rolle: there is no such key (role?)",
		"mapping::logs::nothing: ", "tls::ca_fil: there is no such key (ca_file?)", "retry_on_failure::max_elapsed: ", "pauses::holding: ",
	},
	"no_units":         {"timeout: 30ns", "such as 30s", "initial_interval 5ns"},
	"multiplier":       {"retry_on_failure::multiplier: 0.5", "write 1.5"},
	"consumers":        {"sending_queue::num_consumers: 100000 is not from 1 to 256"},
	"unrouted_missing": {"unrouted: must be set"},
	"unrouted_word":    {`unrouted: "drop" is neither refuse nor dead_letter`},
	"unrouted_useless": {"unrouted: has no meaning without routes"},
	"unrouted_default": {"unrouted: has no meaning beside connection_string"},
	"unrouted_nowhere": {"unrouted: dead_letter needs dead_letter::directory"},
}

func load(tb testing.TB, name string) (*Config, error) {
	tb.Helper()
	all, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(tb, err)
	id := component.NewIDWithName(NewFactory().Type(), name)
	sub, err := all.Sub(id.String())
	require.NoError(tb, err)
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	if err := sub.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	all, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	assert.Len(t, all.ToStringMap(), len(refused)+2, "each is tested")
	for name, wants := range refused {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, name)
			require.Error(t, err)
			for _, want := range wants {
				assert.ErrorContains(t, err, want)
			}
			for line := range strings.Lines(err.Error()) {
				assert.LessOrEqual(t, len(line), 400)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	cfg, err := load(t, "")
	require.NoError(t, err)
	assert.Equal(t, 30*time.Second, cfg.ClientConfig.Timeout)
	assert.Zero(t, cfg.RetryConfig.MaxElapsedTime, "without end")
	assert.False(t, cfg.persistent())
	assert.True(t, cfg.hasDefault())
	assert.False(t, cfg.DeadLetter.Enabled())
}

func TestAllSettingsAreRead(t *testing.T) {
	cfg, err := load(t, "all")
	require.NoError(t, err)
	assert.Equal(t, "/etc/otelcol-mesh/connection-string", cfg.ConnectionStringFile)
	assert.Equal(t, time.Minute, cfg.ConnectionStringInterval)
	assert.Equal(t, 10*time.Second, cfg.ClientConfig.Timeout)
	assert.True(t, cfg.persistent())
	queue := cfg.QueueConfig.Get()
	assert.Equal(t, int64(1<<30), queue.QueueSize)
	assert.Equal(t, int64(1<<20), queue.Batch.Get().MaxSize)
	assert.Equal(t, time.Minute, cfg.RetryConfig.MaxInterval)
	assert.True(t, cfg.RetryConfig.Enabled)
	assert.Equal(t, PausesConfig{Quota: 10 * time.Minute, Hold: time.Minute, MaxRetryAfter: 2 * time.Hour}, cfg.Pauses)
	assert.Equal(t, 20*time.Second, cfg.ShutdownTimeout)
	assert.Equal(t, []int{1 << 20, 5000, 6}, []int{cfg.MaxBodyBytes, cfg.MaxBodyItems, cfg.CompressionLevel})
	assert.Equal(t, "merged", cfg.Mapping.Role)
	require.Len(t, cfg.Routes, 2)
	assert.Equal(t, map[string][]string{"k8s.namespace.name": {"shop"}, "cloud.region": {"westeurope", "northeurope"}}, cfg.Routes[0].Match)
	assert.Equal(t, map[string][]string{"tenant": {"7"}}, cfg.Routes[1].Match)
	assert.Equal(t, "azure_auth/tenant", cfg.Routes[1].Auth.Get().AuthenticatorID.String())
	assert.Equal(t, 512, cfg.DeadLetter.MaxMiB)
}
