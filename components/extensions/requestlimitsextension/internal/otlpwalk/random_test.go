// SPDX-License-Identifier: Apache-2.0

package otlpwalk

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// random makes requests with everything that OTLP has in them.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 6))} } //nolint:gosec // reproducible

func (r random) text() string { return strings.Repeat("é/a\"\\", r.IntN(12)) }

func (r random) attributes(m pcommon.Map, depth int) {
	for i := range r.IntN(6) {
		r.value(m.PutEmpty("k"+strings.Repeat("y", r.IntN(30))+strconv.Itoa(i)), depth)
	}
}

func (r random) value(v pcommon.Value, depth int) {
	kinds := 8
	if depth > 4 {
		kinds = 6
	}
	switch r.IntN(kinds) {
	case 0:
	case 1:
		v.SetStr(r.text())
	case 2:
		v.SetInt(r.Int64() - r.Int64())
	case 3:
		v.SetDouble(r.Float64())
	case 4:
		v.SetBool(r.IntN(2) == 0)
	case 5:
		v.SetEmptyBytes().FromRaw([]byte(r.text()))
	case 6:
		s := v.SetEmptySlice()
		for range r.IntN(4) {
			r.value(s.AppendEmpty(), depth+1)
		}
	case 7:
		r.attributes(v.SetEmptyMap(), depth+1)
	}
}

func (r random) scope(s pcommon.InstrumentationScope) {
	s.SetName(r.text())
	s.SetVersion(r.text())
	r.attributes(s.Attributes(), 0)
}

func (r random) id() (id pcommon.TraceID) {
	if r.IntN(4) > 0 {
		id[0], id[15] = byte(r.IntN(256)), 1
	}
	return id
}

func (r random) traces() ptrace.Traces {
	td := ptrace.NewTraces()
	for range r.IntN(4) {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl(r.text())
		r.attributes(rs.Resource().Attributes(), 0)
		for range r.IntN(4) {
			ss := rs.ScopeSpans().AppendEmpty()
			r.scope(ss.Scope())
			for range r.IntN(6) {
				r.span(ss.Spans().AppendEmpty())
			}
		}
	}
	return td
}

func (r random) span(s ptrace.Span) {
	s.SetTraceID(r.id())
	s.SetSpanID(pcommon.SpanID{1})
	s.SetName(r.text())
	s.TraceState().FromRaw(r.text())
	s.SetFlags(r.Uint32())
	s.SetKind(ptrace.SpanKind(r.IntN(6))) //nolint:gosec // small
	s.SetStartTimestamp(pcommon.Timestamp(r.Uint64()))
	s.SetDroppedAttributesCount(r.Uint32())
	s.Status().SetMessage(r.text())
	r.attributes(s.Attributes(), 0)
	for range r.IntN(3) {
		e := s.Events().AppendEmpty()
		e.SetName(r.text())
		r.attributes(e.Attributes(), 0)
	}
	for range r.IntN(3) {
		l := s.Links().AppendEmpty()
		l.SetTraceID(r.id())
		l.SetFlags(r.Uint32())
		r.attributes(l.Attributes(), 0)
	}
}

func (r random) logs() plog.Logs {
	ld := plog.NewLogs()
	for range r.IntN(4) {
		rl := ld.ResourceLogs().AppendEmpty()
		r.attributes(rl.Resource().Attributes(), 0)
		for range r.IntN(4) {
			sl := rl.ScopeLogs().AppendEmpty()
			sl.SetSchemaUrl(r.text())
			r.scope(sl.Scope())
			for range r.IntN(6) {
				l := sl.LogRecords().AppendEmpty()
				l.SetTraceID(r.id())
				l.SetSeverityText(r.text())
				l.SetEventName(r.text())
				l.SetObservedTimestamp(pcommon.Timestamp(r.Uint64()))
				l.SetFlags(plog.LogRecordFlags(r.Uint32()))
				r.value(l.Body(), 0)
				r.attributes(l.Attributes(), 0)
			}
		}
	}
	return ld
}

func (r random) metrics() pmetric.Metrics {
	md := pmetric.NewMetrics()
	for range r.IntN(4) {
		rm := md.ResourceMetrics().AppendEmpty()
		r.attributes(rm.Resource().Attributes(), 0)
		for range r.IntN(4) {
			sm := rm.ScopeMetrics().AppendEmpty()
			r.scope(sm.Scope())
			for range r.IntN(6) {
				m := sm.Metrics().AppendEmpty()
				m.SetName(r.text())
				m.SetUnit(r.text())
				m.SetDescription(r.text())
				r.attributes(m.Metadata(), 0)
				r.points(m)
			}
		}
	}
	return md
}

func (r random) points(m pmetric.Metric) {
	switch r.IntN(6) {
	case 0:
		r.numbers(m.SetEmptyGauge().DataPoints())
	case 1:
		r.numbers(m.SetEmptySum().DataPoints())
	case 2:
		points := m.SetEmptyHistogram().DataPoints()
		for range r.IntN(4) {
			p := points.AppendEmpty()
			r.attributes(p.Attributes(), 0)
			p.BucketCounts().FromRaw(make([]uint64, r.IntN(20)))
			p.ExplicitBounds().FromRaw(make([]float64, r.IntN(20)))
			p.SetMin(r.Float64())
			r.exemplars(p.Exemplars())
		}
	case 3:
		points := m.SetEmptyExponentialHistogram().DataPoints()
		for range r.IntN(4) {
			p := points.AppendEmpty()
			r.attributes(p.Attributes(), 0)
			p.SetScale(int32(r.IntN(40)) - 20) //nolint:gosec // small
			p.Positive().SetOffset(-3)
			for range r.IntN(20) {
				p.Positive().BucketCounts().Append(r.Uint64N(1000))
				p.Negative().BucketCounts().Append(r.Uint64())
			}
			r.exemplars(p.Exemplars())
		}
	case 4:
		points := m.SetEmptySummary().DataPoints()
		for range r.IntN(4) {
			p := points.AppendEmpty()
			r.attributes(p.Attributes(), 0)
			for range r.IntN(4) {
				p.QuantileValues().AppendEmpty().SetQuantile(r.Float64())
			}
		}
	}
}

func (r random) numbers(points pmetric.NumberDataPointSlice) {
	for range r.IntN(5) {
		p := points.AppendEmpty()
		r.attributes(p.Attributes(), 0)
		if r.IntN(2) == 0 {
			p.SetIntValue(r.Int64())
		} else {
			p.SetDoubleValue(r.Float64())
		}
		r.exemplars(p.Exemplars())
	}
}

func (r random) exemplars(exemplars pmetric.ExemplarSlice) {
	for range r.IntN(3) {
		e := exemplars.AppendEmpty()
		e.SetTraceID(r.id())
		e.SetIntValue(r.Int64())
		r.attributes(e.FilteredAttributes(), 0)
	}
}
