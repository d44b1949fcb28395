// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/early"
)

// TestSigns has what a written series of calls tells, by its labels.
func TestSigns(t *testing.T) {
	s := newSeeds()
	const requests = "istio_requests_total"
	base := map[string]any{
		"reporter": "source", "response_flags": "-", "mesh.destination.service": "reviews", "mesh.destination.namespace": "shop",
		"mesh.source.cluster": "west", "mesh.source.region": "westeurope", "mesh.destination.cluster": "west", "mesh.destination.region": "westeurope",
	}
	for _, c := range []struct {
		what, name string
		change     map[string]any
		want       []early.Kind
		text       string
	}{
		{"a call that stays", requests, nil, []early.Kind{early.Usual}, "reviews.shop in westeurope"},
		{"another region", requests, map[string]any{"mesh.destination.region": "northeurope"}, []early.Kind{early.Elsewhere}, "reviews.shop in northeurope"},
		{"another cluster", requests, map[string]any{"mesh.destination.cluster": "west-2"}, []early.Kind{early.Elsewhere}, "reviews.shop in westeurope"},
		{"another cluster, of no known region", requests, map[string]any{"mesh.destination.cluster": "north", "mesh.destination.region": ""}, []early.Kind{early.Elsewhere}, "reviews.shop in north"},
		{"who answered is not known", requests, map[string]any{"mesh.destination.cluster": "", "mesh.destination.region": ""}, []early.Kind{early.Usual}, "reviews.shop"},
		{"nobody answered", requests, map[string]any{"response_flags": "UH", "mesh.destination.cluster": "", "mesh.destination.region": ""}, []early.Kind{early.Failed}, "reviews.shop"},
		{"one of two flags", requests, map[string]any{"response_flags": "DC, URX"}, []early.Kind{early.Failed}, "reviews.shop in westeurope"},
		{"a flag of the caller", requests, map[string]any{"response_flags": "DC"}, []early.Kind{early.Usual}, "reviews.shop in westeurope"},
		{"it failed elsewhere", requests, map[string]any{"response_flags": "UC", "mesh.destination.region": "eastus"}, []early.Kind{early.Elsewhere, early.Failed}, "reviews.shop in eastus"},
		{"who was called, before who answered", requests, map[string]any{"destination_service_name": "web", "destination_service_namespace": "front"}, []early.Kind{early.Usual}, "web.front in westeurope"},
		{"a label for nothing", requests, map[string]any{"destination_service_name": "unknown"}, []early.Kind{early.Usual}, "reviews.shop in westeurope"},
		{"pushed", "istiocustom.istio_requests_total", nil, []early.Kind{early.Usual}, "reviews.shop in westeurope"},
		{"connections", "istio_tcp_connections_opened_total", map[string]any{"mesh.destination.region": "eastus"}, []early.Kind{early.Elsewhere}, "reviews.shop in eastus"},
		{"connections that ended were counted", "istio_tcp_connections_closed_total", map[string]any{"mesh.destination.region": "eastus"}, []early.Kind{early.Usual}, "reviews.shop in eastus"},
		{"connections that broke", "istio_tcp_connections_closed_total", map[string]any{"response_flags": "UF"}, []early.Kind{early.Failed}, "reviews.shop in westeurope"},
		{"connections that did not come about", "istio_tcp_connections_failed_total", nil, []early.Kind{early.Failed}, "reviews.shop in westeurope"},
		{"durations", "istio_request_duration_milliseconds", nil, nil, ""},
		{"no reporter", requests, map[string]any{"reporter": ""}, nil, ""},
		{"no service", requests, map[string]any{"mesh.destination.service": ""}, nil, ""},
	} {
		attrs := pcommon.NewMap()
		labels := maps.Clone(base)
		maps.Copy(labels, c.change)
		require.NoError(t, attrs.FromRaw(labels))
		signs, text := s.signsOf(c.name, attrs)
		var got []early.Kind
		for _, sign := range signs {
			got = append(got, sign.Kind)
		}
		require.Equal(t, c.want, got, c.what)
		require.Equal(t, c.text, text, c.what)
	}
}

// TestWatchesFollowTheSeries says that what is remembered has the ceilings of the series that are written, and goes with them.
func TestWatchesFollowTheSeries(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxSeries, c.MaxOverflowSeries = 50, 10 })
	for pod := range 500 {
		md := pushed("pod", "200", start, f.now.Add(1), 1)
		attrs := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).Attributes()
		attrs.PutStr("destination_service_name", string(rune('A'+pod%26))+string(rune('a'+pod/26)))
		attrs.PutStr("mesh.source.region", "westeurope")
		attrs.PutStr("mesh.destination.region", "northeurope")
		require.NoError(t, f.p.ConsumeMetrics(t.Context(), md))
	}
	require.Positive(t, f.p.early.Len())
	require.LessOrEqual(t, f.p.early.Len(), 60)
	for range 70 {
		f.total()
	}
	require.Zero(t, f.p.store.Table.Count(0))
	f.total()
	require.Zero(t, f.p.early.Len())
	require.Zero(t, f.p.store.Bytes(), "all memory is given back")
}
