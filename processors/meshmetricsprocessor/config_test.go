// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConfig(t *testing.T) {
	require.NoError(t, createDefaultConfig().(*Config).Validate())
	for message, change := range map[string]func(*Config){
		"'interval' is 1ms":              func(c *Config) { c.Interval = time.Millisecond },
		"'max_staleness' is 1s":          func(c *Config) { c.MaxStaleness = time.Second },
		"'early::min_gap' is 0s":         func(c *Config) { c.Early.MinGap = 0 },
		"'early::burst' is -1":           func(c *Config) { c.Early.Burst = -1 },
		"'early::burst' is 101":          func(c *Config) { c.Early.Burst = 101 },
		"'early::refill' is 25h0m0s":     func(c *Config) { c.Early.Refill = 25 * time.Hour },
		"'max_series' is 0":              func(c *Config) { c.MaxSeries = 0 },
		"'max_overflow_series' is -1":    func(c *Config) { c.MaxOverflowSeries = -1 },
		"'max_series_per_process' is 0":  func(c *Config) { c.MaxSeriesPerProcess = 0 },
		"'max_points_per_request' is 0":  func(c *Config) { c.MaxPointsPerRequest = 0 },
		"'max_state_mib' is 0":           func(c *Config) { c.MaxStateMiB = 0 },
		"'drop' has \"a*b\"":             func(c *Config) { c.Drop = []string{"a*b"} },
		"'resource_attributes' has \"\"": func(c *Config) { c.ResourceAttributes = []string{""} },
		"'metrics[0]::names' is empty":   func(c *Config) { c.Metrics = []MetricsConfig{{}} },
		"'metrics[0]::buckets' is \"x\"": func(c *Config) { c.Metrics[0].Buckets = "x" },
		"'metrics' is empty":             func(c *Config) { c.Metrics = nil },
	} {
		config := createDefaultConfig().(*Config)
		change(config)
		require.ErrorContains(t, config.Validate(), message)
	}
}
