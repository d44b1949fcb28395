// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// Explainer runs recorded telemetry through the processor's own code and records how each item was judged. It is for
// people who ask why: it needs no collector, sends nothing, and is slow. Not for concurrent use.
type Explainer struct {
	m *meshTopology
}

// NewExplainer returns an explainer that asks the snapshot. cluster is what the processor's option of the same name is;
// empty as at a hub.
func NewExplainer(snapshot *topology.Snapshot, cluster string) (*Explainer, error) {
	config := createDefaultConfig().(*Config)
	config.Cluster = cluster
	m, err := newMeshTopology(processor.Settings{
		ID: component.NewID(metadata.Type),
		TelemetrySettings: component.TelemetrySettings{
			Logger: zap.NewNop(), MeterProvider: metricnoop.NewMeterProvider(), TracerProvider: tracenoop.NewTracerProvider(),
			Resource: pcommon.NewResource(),
		},
	}, config)
	if err != nil {
		return nil, fmt.Errorf("cannot make the processor: %w", err)
	}
	store := &topology.Store{}
	store.Set(snapshot)
	m.topology = store
	return &Explainer{m: m}, nil
}

// Explanation is how one item was judged.
type Explanation struct {
	// Item says which one it is: "span", "log record" or "metric point".
	Item string
	// Name is the span's, the record's event name, or the metric's. ID is the trace and span id; empty if it has none.
	Name, Kind, ID string
	// Time is the item's own; zero if it has none.
	Time time.Time
	// Judged says that the item is one that tells of a call. The other fields below are zero if it is not.
	Judged bool
	// Near is who reported the item.
	Near rules.Near
	// Verdict is who called whom.
	Verdict rules.Verdict
	// Trace is what was tried, and why it won or lost.
	Trace rules.Trace
	// Resource and Attributes are what the item says after it was stamped.
	Resource, Attributes map[string]any
}

// recorder keeps how the items of one batch were judged, by the map that holds each one's attributes.
type recorder struct {
	judged map[pcommon.Map]*answer
}

// answer is how one item was judged.
type answer struct {
	near    rules.Near
	verdict rules.Verdict
	trace   rules.Trace
}

func (r *recorder) judge(attrs pcommon.Map, at topology.View, reporter *rules.Reporter, c *rules.Call) *rules.Verdict {
	j := &answer{}
	j.near = rules.ResolveNearTraced(at, reporter, &j.trace)
	j.verdict = rules.JudgeTraced(at, &j.near, c, &j.trace)
	r.judged[attrs] = j
	return &j.verdict
}

func (r *recorder) judgePoint(attrs pcommon.Map, at topology.View, reporter *rules.Reporter, l *rules.Labels) *rules.Verdict {
	j := &answer{}
	j.near = rules.ResolveNearTraced(at, reporter, &j.trace)
	j.verdict = rules.JudgeLabelsTraced(at, &j.near, l, &j.trace)
	r.judged[attrs] = j
	return &j.verdict
}

func (r *recorder) explain(e *Explanation, resource pcommon.Resource, attrs pcommon.Map) *Explanation {
	e.Resource, e.Attributes = resource.Attributes().AsRaw(), attrs.AsRaw()
	if j := r.judged[attrs]; j != nil {
		e.Judged, e.Near, e.Verdict, e.Trace = true, j.near, j.verdict, j.trace
	}
	return e
}

func (e *Explainer) record() *recorder {
	e.m.explains = &recorder{judged: map[pcommon.Map]*answer{}}
	return e.m.explains
}

// Traces says how each span is judged, and stamps the spans. The order may differ where a resource is split.
func (e *Explainer) Traces(td ptrace.Traces) ([]*Explanation, error) {
	r := e.record()
	td, err := e.m.processTraces(context.Background(), td)
	if err != nil {
		return nil, err
	}
	var out []*Explanation
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				out = append(out, r.explain(&Explanation{
					Item: "span", Name: span.Name(), Kind: span.Kind().String(), ID: ids(span.TraceID(), span.SpanID()),
					Time: itemTime(span.StartTimestamp()),
				}, rs.Resource(), span.Attributes()))
			}
		}
	}
	return out, nil
}

// Logs says how each log record is judged, and stamps the records. The order may differ where a resource is split.
func (e *Explainer) Logs(ld plog.Logs) ([]*Explanation, error) {
	r := e.record()
	ld, err := e.m.processLogs(context.Background(), ld)
	if err != nil {
		return nil, err
	}
	var out []*Explanation
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				name := record.EventName()
				if name == "" && record.Body().Type() == pcommon.ValueTypeStr {
					name = record.Body().Str()
				}
				when := record.Timestamp()
				if when == 0 {
					when = record.ObservedTimestamp()
				}
				out = append(out, r.explain(&Explanation{
					Item: "log record", Name: name, ID: ids(record.TraceID(), record.SpanID()), Time: itemTime(when),
				}, rl.Resource(), record.Attributes()))
			}
		}
	}
	return out, nil
}

// Metrics says how each point is judged, and stamps the points.
func (e *Explainer) Metrics(md pmetric.Metrics) ([]*Explanation, error) {
	r := e.record()
	md, err := e.m.processMetrics(context.Background(), md)
	if err != nil {
		return nil, err
	}
	var out []*Explanation
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, metric := range sm.Metrics().All() {
				eachPoint(metric, func(attrs pcommon.Map, when pcommon.Timestamp) {
					out = append(out, r.explain(&Explanation{
						Item: "metric point", Name: metric.Name(), Kind: metric.Type().String(), Time: itemTime(when),
					}, rm.Resource(), attrs))
				})
			}
		}
	}
	return out, nil
}

func ids(trace pcommon.TraceID, span pcommon.SpanID) string {
	if trace.IsEmpty() && span.IsEmpty() {
		return ""
	}
	return trace.String() + "/" + span.String()
}

func itemTime(t pcommon.Timestamp) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return t.AsTime()
}
