// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"go.opentelemetry.io/collector/exporter"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter"
)

func ourFactory() exporter.Factory { return applicationinsightsexporter.NewFactory() }

// ourPauses are the pauses that only people, or a day that ends, bring to an end.
func ourPauses() map[string]any {
	return map[string]any{
		"pauses":                     map[string]any{"quota": "100ms", "hold": "100ms", "max_retry_after": "1h"},
		"connection_string_interval": "50ms",
		// Of the names of the test the exporter cannot know that they are loopback addresses.
		"allow_plain_http": true,
	}
}
