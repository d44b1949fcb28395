// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

var start = time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)

func event(phase failover.Phase, kind failover.Kind) failover.Event {
	e := failover.Event{
		Phase: phase, Kind: kind, Caller: "westeurope", Service: failover.Service{Namespace: "shop", Name: "reviews"},
		From: failover.Place{Region: "westeurope", Cluster: "aks-west"}, To: failover.Place{Region: "northeurope", Cluster: "aks-north"},
		Share: 0.336, Moved: 1234, Callers: []string{"shop/cart", "shop/web"}, Scope: failover.Partial, Start: start,
	}
	if kind == failover.Failover {
		e.Evidence = []failover.Evidence{
			{Kind: "endpoints_unhealthy", Detail: "none of 4 endpoints in westeurope, aks-west is ready", At: start},
			{Kind: "response_flags", Detail: "12 of 60 requests had UF", At: start},
		}
	}
	if phase == failover.Ended {
		e.End, e.Reason = start.Add(12*time.Minute+30*time.Second), "recovered"
	}
	return e
}

func writer() *Writer {
	resource := pcommon.NewResource()
	resource.Attributes().PutStr("service.name", "otelcol-mesh")
	return New(resource, "1.2.3")
}

func TestLogs(t *testing.T) {
	observed := start.Add(time.Second)
	logs := writer().Logs([]failover.Event{
		event(failover.Started, failover.Failover), event(failover.Updated, failover.Failover), event(failover.Ended, failover.Failover),
		event(failover.Started, failover.Unexpected), event(failover.Ended, failover.Unexpected),
		event(failover.Started, failover.Deployment), event(failover.Ended, failover.Deployment),
	}, observed)
	require.Equal(t, 1, logs.ResourceLogs().Len())
	assert.Equal(t, map[string]any{"service.name": "otelcol-mesh"}, logs.ResourceLogs().At(0).Resource().Attributes().AsRaw())
	scope := logs.ResourceLogs().At(0).ScopeLogs().At(0)
	assert.Equal(t, []string{ScopeName, "1.2.3"}, []string{scope.Scope().Name(), scope.Scope().Version()})
	records := scope.LogRecords()
	var got []string
	for i := range records.Len() {
		r := records.At(i)
		got = append(got, fmt.Sprintln(r.EventName(), r.SeverityText(), r.SeverityNumber() == plog.SeverityNumberWarn, r.Timestamp().AsTime().Sub(start), r.ObservedTimestamp().AsTime().Sub(start)))
		assert.Equal(t, r.EventName(), r.Attributes().AsRaw()["microsoft.custom_event.name"])
	}
	assert.Equal(t, []string{
		"mesh.failover.started Warn true 0s 1s\n", "mesh.failover.updated Warn true 1s 1s\n", "mesh.failover.ended Info false 12m30s 1s\n",
		"mesh.shift.started Warn true 0s 1s\n", "mesh.shift.ended Info false 12m30s 1s\n",
		"mesh.deployment_shift.started Info false 0s 1s\n", "mesh.deployment_shift.ended Info false 12m30s 1s\n",
	}, got)

	id := ID(&failover.Event{Kind: failover.Failover, Caller: "westeurope", Service: failover.Service{Namespace: "shop", Name: "reviews"}, Start: start})
	want := map[string]any{
		"mesh.failover.id": id, "mesh.failover.kind": "failover",
		"mesh.source.region": "westeurope", "mesh.destination.service": "reviews", "mesh.destination.namespace": "shop",
		"mesh.failover.from.region": "westeurope", "mesh.failover.from.cluster": "aks-west",
		"mesh.failover.to.region": "northeurope", "mesh.failover.to.cluster": "aks-north",
		"mesh.failover.scope": "partial", "mesh.failover.share": 0.336, "mesh.failover.requests_moved": int64(1234),
		"mesh.failover.start":            "2026-11-23T03:00:00Z",
		"mesh.failover.affected_callers": []any{"shop/cart", "shop/web"},
		"mesh.failover.evidence":         []any{"none of 4 endpoints in westeurope, aks-west is ready", "12 of 60 requests had UF"},
		"mesh.failover.evidence.kinds":   []any{"endpoints_unhealthy", "response_flags"},
		"microsoft.custom_event.name":    "mesh.failover.started",
	}
	assert.Equal(t, want, records.At(0).Attributes().AsRaw())
	want["microsoft.custom_event.name"] = "mesh.failover.ended"
	want["mesh.failover.duration"], want["mesh.failover.end.reason"] = 750.0, "recovered"
	assert.Equal(t, want, records.At(2).Attributes().AsRaw())
	assert.NotContains(t, records.At(3).Attributes().AsRaw(), "mesh.failover.evidence")
	assert.Zero(t, writer().Logs(nil, start).ResourceLogs().Len())
}

func TestIDIsOfTheShift(t *testing.T) {
	e := event(failover.Started, failover.Failover)
	id := ID(&e)
	assert.Regexp(t, "^[0-9a-f]{16}$", id)
	ended := event(failover.Ended, failover.Failover)
	assert.Equal(t, id, ID(&ended))
	for name, change := range map[string]func(*failover.Event){
		"caller":  func(e *failover.Event) { e.Caller = "northeurope" },
		"service": func(e *failover.Event) { e.Service.Name = "ratings" },
		"kind":    func(e *failover.Event) { e.Kind = failover.Unexpected },
		"start":   func(e *failover.Event) { e.Start = e.Start.Add(time.Nanosecond) },
		"border":  func(e *failover.Event) { e.Service = failover.Service{Namespace: "shopr", Name: "eviews"} },
	} {
		other := event(failover.Started, failover.Failover)
		change(&other)
		assert.NotEqual(t, id, ID(&other), name)
	}
}

func TestSentences(t *testing.T) {
	for _, tt := range []struct {
		want   string
		event  failover.Event
		change func(*failover.Event)
	}{
		{"Failover of reviews.shop: 34 % of the calls from westeurope go to northeurope (aks-north) instead of westeurope (aks-west), " +
			"1234 requests so far. Evidence: none of 4 endpoints in westeurope, aks-west is ready; 12 of 60 requests had UF. " +
			"Affected: shop/cart, shop/web.", event(failover.Started, failover.Failover), nil},
		{
			"Failover of the whole region westeurope, here of reviews.shop: 100 % of the calls from northeurope go to northeurope (aks-north) " +
				"instead of westeurope (aks-west), 1 request so far. Evidence: 12 of 60 requests had UF.", event(failover.Started, failover.Failover),
			func(e *failover.Event) {
				e.Scope, e.Share, e.Caller, e.Callers, e.Evidence, e.Moved = failover.Whole, 1, "northeurope", nil, e.Evidence[1:], 1
			},
		},
		{
			"Now the whole region westeurope fails over, reviews.shop too: 99 % of the calls from westeurope go to northeurope (aks-north) " +
				"instead of westeurope (aks-west), 1234 requests so far. Affected: a, b, c and 1 more.", event(failover.Updated, failover.Failover),
			func(e *failover.Event) {
				e.Scope, e.Share, e.Callers, e.Evidence = failover.Whole, 0.9999, []string{"a", "b", "c", "d"}, nil
			},
		},
		{
			"Failover of reviews.shop, no longer of the whole region westeurope: 0.1 % of the calls from westeurope go to cluster west-2 instead " +
				"of cluster aks-west, 1234 requests so far.", event(failover.Updated, failover.Failover),
			func(e *failover.Event) {
				e.Share, e.To, e.Callers, e.Evidence = 0.00001, failover.Place{Region: "westeurope", Cluster: "west-2"}, nil, nil
			},
		},
		{
			"Unexpected shift of reviews, without a sign that anything failed: 0 % of the calls from an unknown place go to northeurope instead of " +
				"an unknown place, 0 requests so far. Affected: c, c, c and at least 17 more.", event(failover.Started, failover.Unexpected),
			func(e *failover.Event) {
				e.Service.Namespace, e.Caller, e.From, e.To.Cluster, e.Share, e.Moved = "", "", failover.Place{}, "", 0, 0
				e.Callers = nil
				for range failover.MaxCallers {
					e.Callers = append(e.Callers, "c")
				}
			},
		},
		{"Failover of reviews.shop is over after 12m30s: calls from westeurope go to westeurope (aks-west) again. 1234 requests went to " +
			"northeurope (aks-north), 34 % of the calls at most.", event(failover.Ended, failover.Failover), nil},
		{"Unexpected shift of reviews.shop turned out to be a failover after 12m30s. 1234 requests went to northeurope (aks-north), 34 % of " +
			"the calls at most.", event(failover.Ended, failover.Unexpected), func(e *failover.Event) { e.Reason = "evidence_found" }},
		{"Failover of reviews.shop is not followed any more after 12m30s: nobody in westeurope calls it. 1234 requests went to northeurope " +
			"(aks-north), 34 % of the calls at most.", event(failover.Ended, failover.Failover), func(e *failover.Event) { e.Reason = "no_traffic" }},
		{
			"Failover of reviews.shop has lasted 12m30s and counts as usual from now on: calls from westeurope go to northeurope (aks-north). " +
				"1234 requests went to northeurope (aks-north), 34 % of the calls at most.", event(failover.Ended, failover.Failover),
			func(e *failover.Event) { e.Reason = "accepted" },
		},
		{
			"Deployment of reviews.shop, which deletes all endpoints in westeurope (aks-west) before there are new ones: 34 % of the calls from " +
				"westeurope go to northeurope (aks-north) instead of westeurope (aks-west), 1234 requests so far. Affected: shop/cart, shop/web.",
			event(failover.Started, failover.Deployment), nil,
		},
		{
			"Shift for a deployment of reviews.shop is over after 12m30s: calls from westeurope go to westeurope (aks-west) again. 1234 requests " +
				"went to northeurope (aks-north), 34 % of the calls at most.", event(failover.Ended, failover.Deployment), nil,
		},
		{
			"The deployment of reviews.shop is over after 12m30s, and calls from westeurope still go to northeurope (aks-north). 1234 requests " +
				"went to northeurope (aks-north), 34 % of the calls at most.", event(failover.Ended, failover.Deployment),
			func(e *failover.Event) { e.Reason = "deployment_over" },
		},
		{
			"Failover of reviews.shop is over after 12m30s. 1234 requests went to northeurope (aks-north), 34 % of the calls at most.",
			event(failover.Ended, failover.Failover), func(e *failover.Event) { e.Reason = "of another version" },
		},
	} {
		e := tt.event
		if tt.change != nil {
			tt.change(&e)
		}
		assert.Equal(t, tt.want, Sentence(&e))
	}
}

func TestReport(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	for _, phase := range []failover.Phase{failover.Started, failover.Updated, failover.Ended} {
		e := event(phase, failover.Failover)
		Report(zap.New(core), &e)
	}
	require.Equal(t, 3, logs.Len(), "one line each")
	entries := logs.All()
	assert.Equal(t, []zapcore.Level{zapcore.WarnLevel, zapcore.WarnLevel, zapcore.InfoLevel}, []zapcore.Level{entries[0].Level, entries[1].Level, entries[2].Level})
	e := event(failover.Started, failover.Failover)
	assert.Equal(t, Sentence(&e), entries[0].Message)
	line, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg"}).EncodeEntry(entries[0].Entry, entries[0].Context)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(line.Bytes(), &fields))
	assert.Equal(t, "mesh.failover.started", fields["event"])
	assert.Equal(t, "northeurope", fields["mesh.failover.to.region"])
	assert.Equal(t, []any{"endpoints_unhealthy", "response_flags"}, fields["mesh.failover.evidence.kinds"])
	assert.NotContains(t, fields, "microsoft.custom_event.name")
	Report(zap.NewNop(), &e)
}

func TestActive(t *testing.T) {
	metrics := pmetric.NewMetricSlice()
	at := start.Add(time.Minute)
	Active(metrics, nil, at)
	assert.Zero(t, metrics.Len())
	second := event(failover.Started, failover.Failover)
	second.Service.Name = "ratings"
	active := []failover.Event{event(failover.Started, failover.Failover), event(failover.Started, failover.Unexpected), second, event(failover.Started, failover.Deployment)}
	Active(metrics, active, at)
	require.Equal(t, 2, metrics.Len())
	m := metrics.At(0)
	assert.Equal(t, []string{"mesh.failover.active", "{failover}"}, []string{m.Name(), m.Unit()})
	require.Equal(t, 2, m.Gauge().DataPoints().Len())
	p := m.Gauge().DataPoints().At(0)
	assert.Equal(t, int64(1), p.IntValue())
	assert.Equal(t, at, p.Timestamp().AsTime())
	assert.Equal(t, map[string]any{
		"mesh.source.region": "westeurope", "mesh.destination.service": "reviews", "mesh.destination.namespace": "shop",
		"mesh.failover.from.region": "westeurope", "mesh.failover.from.cluster": "aks-west",
		"mesh.failover.to.region": "northeurope", "mesh.failover.to.cluster": "aks-north",
	}, p.Attributes().AsRaw())
	assert.Equal(t, []string{"mesh.shift.active", "{shift}"}, []string{metrics.At(1).Name(), metrics.At(1).Unit()})
	assert.Equal(t, []int64{2, 1}, []int64{Count(active, failover.Failover), Count(active, failover.Unexpected)})
}
