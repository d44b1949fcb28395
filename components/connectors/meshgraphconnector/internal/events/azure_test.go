// SPDX-License-Identifier: Apache-2.0

package events

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

// TestInAzureMonitor prevents that an event arrives as a line of log: by the exporter as it comes, it is a custom event of the
// event's name, with every attribute of it.
func TestInAzureMonitor(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	factory := applicationinsightsexporter.NewFactory()
	cfg := factory.CreateDefaultConfig().(*applicationinsightsexporter.Config)
	cfg.ConnectionString = configopaque.String(endpoint.ConnectionString())
	exporter, err := factory.CreateLogs(t.Context(), exportertest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, exporter.Start(t.Context(), componenttest.NewNopHost()))
	now := time.Now()
	started := event(failover.Started, failover.Failover)
	started.Start = now
	ended := event(failover.Ended, failover.Unexpected)
	ended.Start, ended.End = now, now.Add(time.Second)
	require.NoError(t, exporter.ConsumeLogs(t.Context(), writer().Logs([]failover.Event{started, ended}, now)))
	require.NoError(t, exporter.Shutdown(context.Background()))

	items := endpoint.Items(ingestiontest.Filter{Type: "Event"})
	require.Len(t, items, 2)
	assert.Equal(t, []string{"mesh.failover.started", "mesh.shift.ended"}, []string{items[0].Name, items[1].Name})
	data := items[0].Envelope.Data.BaseData.(*ai.EventData)
	assert.Equal(t, Sentence(&started), data.Properties["message"])
	for key, want := range map[string]string{
		"mesh.failover.share": "0.336", "mesh.failover.requests_moved": "1234", "mesh.failover.scope": "partial",
		"mesh.failover.to.region": "northeurope", "mesh.destination.service": "reviews", "mesh.failover.id": ID(&started),
		"mesh.failover.affected_callers": `["shop/cart","shop/web"]`,
		"mesh.failover.evidence.kinds":   `["endpoints_unhealthy","response_flags"]`,
		"event.name":                     "mesh.failover.started",
	} {
		assert.Equal(t, want, data.Properties[key], key)
	}
	assert.NotContains(t, data.Properties, "microsoft.custom_event.name", "it is the event's name")
}
