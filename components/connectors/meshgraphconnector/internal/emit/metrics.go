// SPDX-License-Identifier: Apache-2.0

package emit

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

// Scope is the name of the instrumentation scope of all metrics of the graph.
const Scope = "github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector"

// writer makes the metrics of some edges.
type writer struct {
	metrics    pmetric.MetricSlice
	start, end pcommon.Timestamp
	attrs      pcommon.Map

	requests, never, flags, requestSize, responseSize, connections pmetric.NumberDataPointSlice
	open, mutual                                                   pmetric.NumberDataPointSlice
	duration                                                       pmetric.ExponentialHistogramDataPointSlice
}

// Append appends the metrics of edges over a time. docs/graph.md lists them.
func Append(edges []Named, start, end time.Time, into pmetric.MetricSlice) {
	w := &writer{metrics: into, start: pcommon.NewTimestampFromTime(start), end: pcommon.NewTimestampFromTime(end), attrs: pcommon.NewMap()}
	w.requests = w.sum("mesh.edge.requests", "{request}", "Requests of an edge, each counted once, by how they ended.")
	w.never = w.sum("mesh.edge.requests.never_reached", "{request}", "Requests that the caller's proxy answered by itself; part of mesh.edge.requests.")
	w.flags = w.sum("mesh.edge.response_flags", "{request}", "Requests with a response flag, by who reports it. One may have several.")
	w.duration = w.histogram("mesh.edge.duration", "ms", "Duration of the requests that arrived, by who measured it.")
	w.requestSize = w.sum("mesh.edge.request.size", "By", "Bytes from caller to callee.")
	w.responseSize = w.sum("mesh.edge.response.size", "By", "Bytes from callee to caller.")
	w.connections = w.sum("mesh.edge.connections", "{connection}", "TCP connections that were opened, closed, or could not be made.")
	w.open = w.gauge("mesh.edge.connections.open", "{connection}", "TCP connections that were opened and not closed.")
	w.mutual = w.gauge("mesh.edge.mutual_tls.share", "1", "Part of requests and connections with mutual TLS, of those of which it is known.")
	for i := range edges {
		w.edge(&edges[i].Key, edges[i].Edge)
	}
	into.RemoveIf(empty)
}

func empty(metric pmetric.Metric) bool {
	switch metric.Type() {
	case pmetric.MetricTypeSum:
		return metric.Sum().DataPoints().Len() == 0
	case pmetric.MetricTypeGauge:
		return metric.Gauge().DataPoints().Len() == 0
	case pmetric.MetricTypeExponentialHistogram:
		return metric.ExponentialHistogram().DataPoints().Len() == 0
	default:
		return false
	}
}

func (w *writer) metric(name, unit, description string) pmetric.Metric {
	metric := w.metrics.AppendEmpty()
	metric.SetName(name)
	metric.SetUnit(unit)
	metric.SetDescription(description)
	return metric
}

func (w *writer) sum(name, unit, description string) pmetric.NumberDataPointSlice {
	sum := w.metric(name, unit, description).SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	return sum.DataPoints()
}

func (w *writer) gauge(name, unit, description string) pmetric.NumberDataPointSlice {
	return w.metric(name, unit, description).SetEmptyGauge().DataPoints()
}

func (w *writer) histogram(name, unit, description string) pmetric.ExponentialHistogramDataPointSlice {
	h := w.metric(name, unit, description).SetEmptyExponentialHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	return h.DataPoints()
}

func (w *writer) edge(k *graph.Key, e *Edge) {
	Attributes(k, w.attrs)
	for class, n := range e.Classes {
		if n > 0 {
			w.count(w.requests, n, "mesh.response.class", graph.Class(class).String())
		}
	}
	w.count(w.never, e.NeverReached, "", "")
	for _, f := range e.Flags {
		if p, ok := w.count(w.flags, f.Requests, "response_flags", f.Flag); ok {
			p.PutStr("reporter", f.Reporter.String())
		}
	}
	for r, h := range e.Latency {
		if h != nil && h.Count > 0 {
			w.latency(graph.Reporter(r), h)
		}
	}
	w.count(w.requestSize, e.RequestBytes, "", "")
	w.count(w.responseSize, e.ResponseBytes, "", "")
	w.count(w.connections, e.Opened, "mesh.connection.state", "opened")
	w.count(w.connections, e.Closed, "mesh.connection.state", "closed")
	w.count(w.connections, e.Failed, "mesh.connection.state", "failed")
	if e.Open > 0 || e.Opened > 0 || e.Closed > 0 {
		p := w.point(w.open)
		p.SetStartTimestamp(0)
		p.SetIntValue(whole(e.Open))
	}
	if share, known := e.MutualShare(); known {
		p := w.point(w.mutual)
		p.SetStartTimestamp(0)
		p.SetDoubleValue(share)
	}
}

// count adds a point unless there is nothing to count.
func (w *writer) count(to pmetric.NumberDataPointSlice, n uint64, key, value string) (pcommon.Map, bool) {
	if n == 0 {
		return pcommon.Map{}, false
	}
	p := w.point(to)
	p.SetIntValue(whole(n))
	if key != "" {
		p.Attributes().PutStr(key, value)
	}
	return p.Attributes(), true
}

func (w *writer) point(to pmetric.NumberDataPointSlice) pmetric.NumberDataPoint {
	p := to.AppendEmpty()
	p.SetStartTimestamp(w.start)
	p.SetTimestamp(w.end)
	w.attrs.CopyTo(p.Attributes())
	return p
}

func (w *writer) latency(r graph.Reporter, h *exphist.Histogram) {
	p := w.duration.AppendEmpty()
	p.SetStartTimestamp(w.start)
	p.SetTimestamp(w.end)
	w.attrs.CopyTo(p.Attributes())
	p.Attributes().PutStr("reporter", r.String())
	p.SetCount(h.Count)
	// A sum that is none any more would be refused, and all that waits with it, again and again.
	p.SetSum(min(h.Sum, math.MaxFloat64))
	p.SetScale(h.Scale)
	p.SetZeroCount(h.Zero)
	p.SetZeroThreshold(h.ZeroThreshold)
	p.Positive().SetOffset(h.Offset)
	p.Positive().BucketCounts().FromRaw(h.Buckets)
	if !math.IsInf(h.Min, 0) && !math.IsInf(h.Max, 0) {
		p.SetMin(h.Min)
		p.SetMax(h.Max)
	}
}

// whole is a count as OTLP has it.
func whole(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// Attributes sets the attributes that name an edge, as docs/attributes.md has them, in the place of what is there. What
// nothing told is absent.
func Attributes(k *graph.Key, attrs pcommon.Map) {
	attrs.Clear()
	attrs.EnsureCapacity(18)
	for _, a := range [...]struct{ key, value string }{
		{"mesh.source.cluster", k.Caller.Cluster},
		{"mesh.source.region", k.Caller.Region},
		{"mesh.source.namespace", k.Caller.Namespace},
		{"mesh.source.workload", k.Caller.Workload},
		{"mesh.source.version", k.Caller.Version},
		{"mesh.destination.cluster", k.Callee.Cluster},
		{"mesh.destination.region", k.Callee.Region},
		{"mesh.destination.namespace", k.Callee.Namespace},
		{"mesh.destination.service", k.Callee.Service},
		{"mesh.destination.workload", k.Callee.Workload},
		{"mesh.destination.version", k.Callee.Version},
	} {
		if a.value != "" {
			attrs.PutStr(a.key, a.value)
		}
	}
	switch k.Protocol {
	case graph.HTTP, graph.GRPC:
		attrs.PutStr("network.protocol.name", k.Protocol.String())
	case graph.TCP:
		attrs.PutStr("network.transport", "tcp")
	}
	if k.Caller.Cluster != "" && k.Callee.Cluster != "" {
		attrs.PutBool("mesh.traffic.cross_cluster", k.Caller.Cluster != k.Callee.Cluster)
	}
	if k.Overflow {
		attrs.PutBool("otel.metric.overflow", true)
	}
}

// Resource appends what all output of the graph comes from, the collector itself, and returns where its metrics go.
func Resource(md pmetric.Metrics, resource pcommon.Resource, version string) pmetric.MetricSlice {
	rm := md.ResourceMetrics().AppendEmpty()
	resource.CopyTo(rm.Resource())
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(Scope)
	sm.Scope().SetVersion(version)
	return sm.Metrics()
}
