// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/events"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/keep"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/metadata"
)

var begin = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

var errRefused = errors.New("the queue is full")

// call is a point about requests from one workload to another.
type call struct {
	from, to         string
	region, toRegion string
	code, flags      string
	reporter         string
	requests         int64
}

func (c call) with(set func(*call)) call { set(&c); return c }

func theCall() call {
	return call{from: "web", to: "cart", region: "westeurope", toRegion: "westeurope", code: "200", flags: "-", reporter: "source", requests: 1}
}

// request is what an agent sends: calls as deltas of mesh_metrics that end at a time. No two points of it are alike, and number
// makes two requests differ.
func request(at time.Time, number int, calls ...call) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
	metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("istio_requests_total")
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	for i, c := range calls {
		p := sum.DataPoints().AppendEmpty()
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(at.Add(-time.Minute)))
		p.SetTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Duration(number<<8 | i))))
		p.SetIntValue(c.requests)
		a := p.Attributes()
		for key, value := range map[string]string{
			"mesh.source.cluster": "aks-" + c.region, "mesh.source.region": c.region, "mesh.source.namespace": "shop",
			"mesh.source.workload": c.from, "mesh.source.version": "v1",
			"mesh.destination.cluster": "aks-" + c.toRegion, "mesh.destination.region": c.toRegion,
			"mesh.destination.namespace": "shop", "mesh.destination.service": c.to, "mesh.destination.workload": c.to,
			"mesh.destination.version": "v2", "mesh.tls": "mutual", "mesh.traffic.locality": "same_zone",
			"reporter": c.reporter, "request_protocol": "http", "response_code": c.code, "response_flags": c.flags,
		} {
			a.PutStr(key, value)
		}
	}
	return md
}

// sink is the next component. It adds up what it takes.
type sink struct {
	mu       sync.Mutex
	refuse   func() bool
	refusal  error
	requests map[string]int64
	metrics  []pmetric.Metrics
	logs     []plog.Logs
}

func newSink() *sink {
	return &sink{refuse: func() bool { return false }, refusal: errRefused, requests: map[string]int64{}}
}

func (*sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (s *sink) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse() {
		return s.refusal
	}
	s.metrics = append(s.metrics, md)
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Name() != "mesh.edge.requests" {
					continue
				}
				for _, p := range m.Sum().DataPoints().All() {
					s.requests[name(p.Attributes())] += p.IntValue()
				}
			}
		}
	}
	return nil
}

func (s *sink) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse() {
		return s.refusal
	}
	s.logs = append(s.logs, ld)
	return nil
}

func (s *sink) batches() []pmetric.Metrics {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.metrics
}

func (s *sink) taken() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.requests)
}

func name(a pcommon.Map) string {
	get := func(key string) string {
		if v, ok := a.Get(key); ok {
			return v.Str()
		}
		return ""
	}
	return get("mesh.source.workload") + ">" + get("mesh.destination.service") + "@" + get("mesh.destination.region") + " " + get("mesh.response.class")
}

// process is a connector's inside, driven by hand.
type process struct {
	*engine
	sender    *sender
	telemetry *componenttest.Telemetry
	t         *testing.T
}

func start(t *testing.T, config *Config, to *sink, now time.Time) *process {
	t.Helper()
	return startOn(t, config, to, now, keep.Options{Most: int64(config.MaxJournalMiB) * mib})
}

// startOn starts a process with a disk of its own.
func startOn(t *testing.T, config *Config, to *sink, now time.Time, disk keep.Options) *process {
	t.Helper()
	telemetry := componenttest.NewTelemetry()
	builder, err := metadata.NewTelemetryBuilder(telemetry.NewTelemetrySettings())
	require.NoError(t, err)
	t.Cleanup(func() { builder.Shutdown(); assert.NoError(t, telemetry.Shutdown(context.Background())) })
	e, err := newEngine(config, zap.NewNop(), newCounter(builder, zap.NewNop()), now)
	require.NoError(t, err)
	e.wantsMetrics, e.wantsEvents, e.disk = true, true, disk
	p := &process{t: t, engine: e, telemetry: telemetry, sender: &sender{
		engine: e, metrics: to, logs: to, edgesInPart: maxEdgesInPart, parts: make(chan part),
		resource: pcommon.NewResource(), writer: events.New(pcommon.NewResource(), "1"),
	}}
	require.NoError(t, e.open(now))
	return p
}

// step is a turn of the loop, with what is handed on in it.
func (p *process) step(now time.Time, flush bool) {
	if flush {
		p.sender.gaugesDue = true
	}
	p.tick(now, flush, flush)
	p.sync()
	p.sender.start(context.Background(), now)
	p.sender.wait()
}

// kill ends the process without a word. Its files stay as they are.
func (p *process) kill() {
	if p.directory != nil {
		_ = p.directory.Close() // It syncs and closes, and writes nothing.
		require.NoError(p.t, p.lock.Release())
	}
}

func testConfig(directory string) *Config {
	c := createDefaultConfig().(*Config)
	c.Admin.Endpoint = ""
	c.Directory = directory
	return c
}
