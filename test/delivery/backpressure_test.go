// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// Queues that are full within seconds; and what is laid over besides, so that the end of an outage is noticed within
// seconds as well.
const (
	tinyHub = `exporters:
  application_insights:
    retry_on_failure: {initial_interval: 200ms, max_interval: 1s}
    sending_queue:
      sizer: bytes
      queue_size: 2000000
      batch: {flush_timeout: 200ms, sizer: bytes, min_size: 100000, max_size: 400000}
`
	tinyAgent = `exporters:
  otlp_grpc/hub:
    retry_on_failure: {initial_interval: 200ms, max_interval: 1s}
    sending_queue:
      sizer: bytes
      queue_size: 500000
      batch: {flush_timeout: 200ms, sizer: items, min_size: 100, max_size: 200}
`
)

// TestBackpressure blocks the endpoint and follows the jam upstream: the hub's queues fill, then those of the agents, then
// the agents refuse what comes in, and the senders keep it. Each stage shows in the metrics. Then it dissolves, and nothing
// that was acknowledged is missing.
func TestBackpressure(t *testing.T) {
	r := startRig(t, 22, overlays{hub: hubOverlays(t, tinyHub), agent: agentOverlays(t, tinyAgent)})
	require.NoError(t, r.server.Fault(fault{Kind: ingestiontest.FaultStatus, Status: 503, Times: ingestiontest.Forever}))
	ctx, cancel := context.WithTimeout(t.Context(), 3*within)
	defer cancel()
	sending, stopSending := context.WithCancel(ctx)
	defer stopSending()
	l := startLoad(sending, ctx, t, r.agents, 5000)

	signals := []string{traces, logs, metrics}
	start := time.Now()
	stage := func(what string, holds func() bool) {
		t.Helper()
		limit, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		if err := until(limit, holds); err != nil {
			r.describe(t)
			require.NoError(t, err, what)
		}
		t.Logf("%5.1f s: %s", time.Since(start).Seconds(), what)
	}
	for _, signal := range signals {
		stage("the hub's queue of "+signal+" is full", func() bool { return r.hub.full(ctx, "application_insights", signal) })
	}
	stage("the hub refuses", func() bool { return r.hub.positive(ctx, "otelcol_receiver_refused") })
	for _, agent := range r.agents {
		for _, signal := range signals {
			stage(agent.name+"'s queue of "+signal+" is full", func() bool { return agent.full(ctx, "otlp_grpc/hub", signal) })
		}
		for _, noun := range []string{"spans", "log_records", "metric_points"} {
			stage(agent.name+" refuses "+noun, func() bool { return agent.positive(ctx, "otelcol_receiver_refused_"+noun) })
		}
	}
	stage("the senders are told", func() bool { return l.refused.Load() > 0 })
	// How long the oldest item waits shows at each stage, and in the exporter what is being sent again.
	for _, o := range r.roles() {
		stage("the oldest item of "+o.name+" has waited for seconds", func() bool {
			age, ok := o.metric(ctx, "otelcol_extension_queue_storage_oldest_item_age")
			return ok && age > 2
		})
	}
	stage("the exporter says since when it tries", func() bool {
		return r.hub.positive(ctx, "otelcol_exporter_application_insights_oldest_item_age")
	})

	stopSending()
	r.server.ClearFaults()
	stage("all has arrived", func() bool { n, _ := l.missing(r.server); return n == 0 && l.count() > 0 })
	l.wait() // what the senders still held is acknowledged now
	stage("and what the senders held back", func() bool { n, _ := l.missing(r.server); return n == 0 })
	missing, which := l.missing(r.server)
	assert.Zero(t, missing, which)
	for _, signal := range signals {
		stage("the hub's queue of "+signal+" is empty", func() bool {
			size, ok := r.hub.metric(ctx, "otelcol_exporter_queue_size", `exporter="application_insights"`, `"`+signal+`"`)
			return ok && size == 0
		})
	}
	t.Logf("%d items acknowledged, %d attempts refused, lost %d", l.count(), l.refused.Load(), missing)
}

// full tells whether the queue of one signal has no room for another request of the sizes that come here.
func (o *role) full(ctx context.Context, exporter, signal string) bool {
	labels := []string{`exporter="` + exporter + `"`, `"` + signal + `"`}
	size, ok := o.metric(ctx, "otelcol_exporter_queue_size", labels...)
	capacity, known := o.metric(ctx, "otelcol_exporter_queue_capacity", labels...)
	return ok && known && capacity > 0 && size >= 0.6*capacity
}

func (o *role) positive(ctx context.Context, name string) bool {
	value, ok := o.metric(ctx, name)
	return ok && value > 0
}

// describe tells what the queues look like, for finding out why a stage does not come.
func (r *rig) describe(t *testing.T) {
	for _, o := range r.roles() {
		err := o.get(t.Context(), "8888", "/metrics", func(line string) {
			for _, prefix := range []string{"otelcol_exporter_queue", "otelcol_receiver_refused", "otelcol_extension_queue_storage_oldest", "otelcol_exporter_enqueue", "otelcol_exporter_application_insights_items"} {
				if len(line) >= len(prefix) && line[:len(prefix)] == prefix {
					t.Log(o.name + ": " + line)
				}
			}
		})
		if err != nil {
			t.Log(o.name, err)
		}
	}
}
