// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"maps"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/azuremonitorexporter"
	"go.opentelemetry.io/collector/exporter"
)

// The two exporters.
const (
	ours     = "application_insights"
	upstream = "azure_monitor"
)

func factories() map[string]exporter.Factory {
	return map[string]exporter.Factory{
		upstream: azuremonitorexporter.NewFactory(),
		ours:     ourFactory(),
	}
}

// upstreamConfig is the best that can be done for the upstream exporter: a timeout, without which one hung endpoint holds
// every batch forever, and a queue on disk.
func upstreamConfig(w *world) map[string]any {
	cfg := map[string]any{
		"connection_string": w.connection(),
		"timeout":           w.timeout.String(),
		"shutdown_timeout":  "5s",
		"sending_queue":     map[string]any{"storage": "file_storage", "num_consumers": 4},
	}
	w.addClient(cfg)
	return cfg
}

// ourConfig is as shipped, but for pauses that a test can wait for.
func ourConfig(w *world) map[string]any {
	cfg := map[string]any{
		"timeout": w.timeout.String(),
		"sending_queue": map[string]any{
			"storage": "file_storage", "num_consumers": 4,
			"batch": map[string]any{"flush_timeout": "20ms", "sizer": "items", "min_size": 20, "max_size": 1000},
		},
		"retry_on_failure": map[string]any{"initial_interval": "20ms", "max_interval": "200ms", "max_elapsed_time": 0},
		"dead_letter":      map[string]any{"directory": w.deadLetters()},
	}
	if w.connectionFile != "" {
		cfg["connection_string_file"] = w.connectionFile
	} else {
		cfg["connection_string"] = w.connection()
	}
	maps.Copy(cfg, ourPauses())
	w.addClient(cfg)
	return cfg
}
