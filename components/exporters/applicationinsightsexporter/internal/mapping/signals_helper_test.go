// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// caseTime is when everything in the cases happened; the endpoint's clock says the same.
var caseTime = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// mapperOf returns a mapper whose clock stands at caseTime.
func mapperOf(tb testing.TB, change func(*Settings)) (*Mapper, *seenCounts) {
	tb.Helper()
	s := DefaultSettings()
	if change != nil {
		change(&s)
	}
	m, seen := newTestMapper(tb, s)
	m.now = func() time.Time { return caseTime }
	return m, seen
}

// strictEndpoint refuses texts that are longer than the service documents.
func strictEndpoint(tb testing.TB) *ingestiontest.Server {
	return ingestiontest.Start(tb, ingestiontest.Config{Lengths: ingestiontest.RejectLong, Now: func() time.Time { return caseTime }})
}

// deliver posts what can be delivered and returns what the endpoint has then.
func deliver(tb testing.TB, server *ingestiontest.Server, b *items.Batch) []ai.Envelope {
	tb.Helper()
	var body bytes.Buffer
	sent := 0
	for i := range b.Len() {
		item := b.Item(i)
		require.True(tb, json.Valid(item.JSON), "%s", item.JSON)
		if item.Reject != items.RejectNone {
			continue
		}
		body.WriteString(`{"iKey":"` + ingestiontest.DefaultInstrumentationKey + `",`)
		body.Write(item.JSON[1:])
		body.WriteByte('\n')
		sent++
	}
	if sent == 0 {
		return nil
	}
	server.Reset()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	response, err := client.Post(server.URL()+ai.TrackPath, ai.ContentTypeLines, &body)
	require.NoError(tb, err)
	var answer ai.TrackResponse
	require.NoError(tb, json.NewDecoder(response.Body).Decode(&answer))
	require.NoError(tb, response.Body.Close())
	require.Empty(tb, answer.Errors, "the endpoint refused items")
	require.Equal(tb, sent, answer.ItemsAccepted)
	stored := server.Items(ingestiontest.Filter{})
	require.Len(tb, stored, sent)
	envelopes := make([]ai.Envelope, 0, sent)
	for i := range stored {
		envelopes = append(envelopes, stored[i].Envelope)
	}
	return envelopes
}

// oneLog maps a record that fill makes, with resource attributes of a pod, and returns its item.
func oneLog(t *testing.T, m *Mapper, fill func(plog.LogRecord)) ai.Envelope {
	t.Helper()
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	podOf(rl.Resource().Attributes())
	r := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	r.SetTimestamp(pcommon.NewTimestampFromTime(caseTime))
	fill(r)
	b := &items.Batch{}
	m.Logs(ld, b)
	require.Equal(t, 1, b.Len())
	require.Equal(t, 1, b.Sources())
	return deliver(t, strictEndpoint(t), b)[0]
}

// metricsOf maps the metrics that fill makes and returns their items.
func metricsOf(t *testing.T, m *Mapper, fill func(pmetric.MetricSlice)) (*items.Batch, []ai.Envelope) {
	t.Helper()
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	podOf(rm.Resource().Attributes())
	fill(rm.ScopeMetrics().AppendEmpty().Metrics())
	b := &items.Batch{}
	m.Metrics(md, b)
	return b, deliver(t, strictEndpoint(t), b)
}

func podOf(attributes pcommon.Map) {
	attributes.PutStr("service.name", "reviews.bookinfo")
	attributes.PutStr("k8s.namespace.name", "bookinfo")
	attributes.PutStr("k8s.cluster.name", "aks-westeurope")
	attributes.PutStr("k8s.pod.name", "reviews-v1-1")
	attributes.PutStr("cloud.region", "westeurope")
}

// data returns the payload as its type.
func data[T ai.BaseData](t *testing.T, e ai.Envelope) T {
	t.Helper()
	d, ok := e.Data.BaseData.(T)
	require.True(t, ok, "it is %s", e.Data.BaseType)
	return d
}

func long(n int) string { return strings.Repeat("x", n) }
