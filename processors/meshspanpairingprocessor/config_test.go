// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

func TestConfig(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"wait": "0s", "max_age": "10m", "max_entries": 5, "max_held_spans": 6, "max_held_mib": 7, "storage": "file_storage/hub",
	}).Unmarshal(cfg))
	require.NoError(t, cfg.Validate())
	id := component.MustNewIDWithName("file_storage", "hub")
	assert.Equal(t, &Config{MaxAge: 10 * time.Minute, MaxEntries: 5, MaxHeldSpans: 6, MaxHeldMiB: 7, Storage: &id}, cfg)
	require.NoError(t, createDefaultConfig().(*Config).Validate())
}

func TestConfigErrors(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"negative wait", func(c *Config) { c.Wait = -1 }, "'wait' is -1ns: write a time between 0s, which holds nothing back, and 1m0s"},
		{"wait without a unit", func(c *Config) { c.Wait = 5 }, "'wait' is 5ns: write a time with its unit, such as 5s, of at least 1ms, or 0s"},
		{"age without a unit", func(c *Config) { c.Wait, c.MaxAge = 0, 300 }, "'max_age' is 300ns: write a time with its unit, such as 5m, of at least 1ms"},
		{"long wait", func(c *Config) { c.Wait = time.Hour }, "'wait' is 1h0m0s: write a time between 0s, which holds nothing back, and 1m0s\n'wait' (1h0m0s) is longer than 'max_age' (5m0s): make 'max_age' the longer one"},
		{"wait longer than age", func(c *Config) { c.MaxAge = time.Second }, "'wait' (5s) is longer than 'max_age' (1s): make 'max_age' the longer one"},
		{"no age", func(c *Config) { c.MaxAge = 0 }, "'max_age' is 0s: write a time of more than 0s and at most 24h0m0s"},
		{"long age", func(c *Config) { c.MaxAge = 25 * time.Hour }, "'max_age' is 25h0m0s: write a time of more than 0s and at most 24h0m0s"},
		{"no entries", func(c *Config) { c.MaxEntries = 0 }, "'max_entries' is 0: write a number of at least 1"},
		{"no spans", func(c *Config) { c.MaxHeldSpans = -3 }, "'max_held_spans' is -3: write a number of at least 1"},
		{"no bytes", func(c *Config) { c.MaxHeldMiB = 0 }, "'max_held_mib' is 0: write a number of at least 1"},
		{"bytes beyond counting", func(c *Config) { c.MaxHeldMiB = 1 << 43 }, "'max_held_mib' is 8796093022208: write a number of at most 1048576"},
		{"empty storage", func(c *Config) { c.Storage = &component.ID{} }, "'storage' is empty: write the id of a storage extension, or remove the key to keep what waits in memory only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.EqualError(t, config(tt.change).Validate(), tt.want)
		})
	}
}
