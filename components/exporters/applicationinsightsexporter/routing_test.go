// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

func TestTheFirstRouteThatMatchesTakesTheResource(t *testing.T) {
	r := newRouter(config(t, keys{
		"connection_string": someConnection,
		"routes": []keys{
			{"name": "shop-eu", "connection_string": someConnection, "match": keys{"team": "shop", "cloud.region": []any{"westeurope", "northeurope"}}},
			{"name": "shop", "connection_string": someConnection, "match": keys{"team": "shop"}},
			{"name": "tenant", "connection_string": someConnection, "match": keys{"tenant": 7, "paying": true}},
		},
	}))
	for _, c := range []struct {
		attributes map[string]any
		want       int
	}{
		{map[string]any{"team": "shop", "cloud.region": "northeurope"}, 0},
		{map[string]any{"team": "shop", "cloud.region": "eastus"}, 1},
		{map[string]any{"team": "shop"}, 1},
		{map[string]any{"team": "Shop"}, 3},
		{map[string]any{"tenant": 7, "paying": true}, 2},
		{map[string]any{"tenant": "7", "paying": "true"}, 2},
		{map[string]any{"tenant": 7}, 3},
		{nil, 3},
	} {
		resource := pcommon.NewResource()
		require.NoError(t, resource.Attributes().FromRaw(c.attributes))
		assert.Equal(t, c.want, r.of(resource), c.attributes)
	}
}

// routed returns the settings of routes for two teams.
func routed(a, b *ingestiontest.Server) keys {
	return keys{"routes": []keys{
		{"name": "team-a", "connection_string": a.ConnectionString(), "match": keys{"team": "a"}},
		{"name": "team-b", "connection_string": b.ConnectionString(), "match": keys{"team": "b"}},
	}}
}

func mixed() ptrace.Traces {
	td := ptrace.NewTraces()
	addSpans(td, 0, 10, "team", "a")
	addSpans(td, 10, 30, "team", "b")
	addSpans(td, 30, 60)
	addSpans(td, 60, 65, "team", "a")
	return td
}

func TestEachResourceGoesToItsDestination(t *testing.T) {
	a, b, rest := ingestiontest.Start(t, ingestiontest.Config{}), ingestiontest.Start(t, ingestiontest.Config{}), ingestiontest.Start(t, ingestiontest.Config{})
	r := start(t, config(t, quick, routed(a, b), to(rest)))
	assert.True(t, r.traces.Capabilities().MutatesData)
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), mixed()))

	ld := plog.NewLogs()
	md := pmetric.NewMetrics()
	for _, team := range []string{"a", "b", "none"} {
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr("team", team)
		record := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		record.Body().SetStr("message of " + team)
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("team", team)
		metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		metric.SetName("metric of " + team)
		point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
		point.SetIntValue(1)
		point.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	}
	require.NoError(t, r.logs.ConsumeLogs(t.Context(), ld))
	require.NoError(t, r.metrics.ConsumeMetrics(t.Context(), md))
	assert.Equal(t, books{received: 71, accepted: 71}, r.settle(t))
	for destination, c := range map[string]struct {
		endpoint *ingestiontest.Server
		requests int
	}{"team-a": {a, 15}, "team-b": {b, 20}, "default": {rest, 30}} {
		unique, double := distinct(c.endpoint)
		assert.Equal(t, c.requests, unique, destination)
		assert.Zero(t, double)
		assert.Len(t, c.endpoint.Items(ingestiontest.Filter{}), c.requests+2, destination)
		assert.Equal(t, int64(c.requests), r.sum(t, "application_insights_items_accepted", "destination", destination, "signal", "traces"))
	}
}

// A destination that is down holds up no other, and has its own place on disk.
func TestDestinationsDoNotWaitForEachOther(t *testing.T) {
	a, b, rest := ingestiontest.Start(t, ingestiontest.Config{}), ingestiontest.Start(t, ingestiontest.Config{}), ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, a.Fault(outages["hangs"]))
	stored := newDisk()
	cfg := func() *Config { return config(t, quick, briefly, onDisk, routed(a, b), to(rest)) }
	r := start(t, cfg(), stored)
	for range 5 {
		require.NoError(t, r.traces.ConsumeTraces(t.Context(), mixed()))
	}
	require.Eventually(t, func() bool { return r.books(t).accepted == 5*50 }, patience, time.Millisecond)
	r.stop(t)
	assert.Contains(t, stored.clients, "application_insights/test+team-a traces")
	a.ClearFaults()
	second := start(t, cfg(), stored)
	require.Eventually(t, func() bool { return second.books(t).accepted == 5*15 }, patience, time.Millisecond)
}

// small is a queue that one request fills.
var small = keys{"sending_queue": keys{"sizer": "requests", "queue_size": 1, "num_consumers": 1}}

func TestOnlyWhatWasRefusedComesBack(t *testing.T) {
	a, b, rest := ingestiontest.Start(t, ingestiontest.Config{}), ingestiontest.Start(t, ingestiontest.Config{}), ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, a.Fault(outages["fails"]))
	r := start(t, config(t, quick, briefly, small, routed(a, b), to(rest)))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(100, 101, "team", "a")))

	err := r.traces.ConsumeTraces(t.Context(), mixed())
	require.Error(t, err)
	assert.False(t, consumererror.IsPermanent(err))
	assert.ErrorContains(t, err, "team-a")
	var partial consumererror.Traces
	require.ErrorAs(t, err, &partial)
	assert.Equal(t, 15, partial.Data().SpanCount(), "the spans of team a and no others")
	require.Eventually(t, func() bool { return r.books(t).accepted == 50 }, patience, time.Millisecond)

	a.ClearFaults()
	require.Eventually(t, func() bool { return r.traces.ConsumeTraces(t.Context(), partial.Data()) == nil }, patience, time.Millisecond)
	assert.Equal(t, books{received: 66, accepted: 66}, r.settle(t))
	for _, e := range []*ingestiontest.Server{a, b, rest} {
		_, double := distinct(e)
		assert.Zero(t, double)
	}
}

// A sender that cannot narrow sends everything again, and what was taken the first time is there twice.
func TestASenderThatCannotNarrowDoublesTheOtherDestinations(t *testing.T) {
	a, b, rest := ingestiontest.Start(t, ingestiontest.Config{}), ingestiontest.Start(t, ingestiontest.Config{}), ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, a.Fault(outages["fails"]))
	r := start(t, config(t, quick, briefly, small, routed(a, b), to(rest)))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(100, 101, "team", "a")))
	require.Error(t, r.traces.ConsumeTraces(t.Context(), mixed()))
	r.settleAt(t, 50)
	a.ClearFaults()
	r.settleAt(t, 51)
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), mixed()))
	r.settle(t)
	unique, double := distinct(b)
	assert.Equal(t, 20, unique)
	assert.Equal(t, 20, double)
	unique, double = distinct(a)
	assert.Equal(t, 16, unique)
	assert.Zero(t, double)
}

func (r *running) settleAt(tb testing.TB, accepted int64) {
	tb.Helper()
	require.Eventually(tb, func() bool { return r.books(tb).accepted == accepted }, patience, time.Millisecond)
}

func TestUnroutedIsRefused(t *testing.T) {
	a, b := ingestiontest.Start(t, ingestiontest.Config{}), ingestiontest.Start(t, ingestiontest.Config{})
	r := start(t, config(t, quick, routed(a, b), keys{"unrouted": "refuse"}))
	err := r.traces.ConsumeTraces(t.Context(), mixed())
	require.Error(t, err)
	assert.True(t, consumererror.IsPermanent(err))
	var partial consumererror.Traces
	require.ErrorAs(t, err, &partial)
	assert.Equal(t, 30, partial.Data().SpanCount())
	assert.Equal(t, books{received: 35, accepted: 35}, r.settle(t))
	assert.Equal(t, int64(30), r.sum(t, "application_insights_items_unrouted", "signal", "traces"))
}

func TestUnroutedGoesToTheDeadLetters(t *testing.T) {
	a, b := ingestiontest.Start(t, ingestiontest.Config{}), ingestiontest.Start(t, ingestiontest.Config{})
	directory := t.TempDir()
	r := start(t, config(t, quick, routed(a, b), keys{"unrouted": "dead_letter", "dead_letter": keys{"directory": directory}}))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), mixed()))
	assert.Equal(t, books{received: 65, accepted: 35, dead: 30}, r.settle(t))
	list := letters(t, directory)
	require.Len(t, list, 30)
	assert.Equal(t, destinationUnrouted, list[0].Destination)

	broken := &brokenLetters{}
	store := r.shared().letters
	r.shared().letters = broken
	err := r.traces.ConsumeTraces(t.Context(), mixed())
	assert.ErrorContains(t, err, errDisk.Error())
	assert.False(t, consumererror.IsPermanent(err), "the sender tries again")
	var partial consumererror.Traces
	require.ErrorAs(t, err, &partial)
	assert.Equal(t, 30, partial.Data().SpanCount())
	r.shared().letters = store
	r.settle(t)
}

// What can never be taken must not make a sender drop what could be taken later.
func TestAPermanentErrorDoesNotHideAnotherOne(t *testing.T) {
	a, b := ingestiontest.Start(t, ingestiontest.Config{}), ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, a.Fault(outages["fails"]))
	r := start(t, config(t, quick, briefly, small, routed(a, b), keys{"unrouted": "refuse"}))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(100, 101, "team", "a")))
	err := r.traces.ConsumeTraces(t.Context(), mixed())
	assert.False(t, consumererror.IsPermanent(err))
	var partial consumererror.Traces
	require.True(t, errors.As(err, &partial))
	assert.Equal(t, 45, partial.Data().SpanCount())
}
