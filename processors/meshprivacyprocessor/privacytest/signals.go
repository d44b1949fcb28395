// SPDX-License-Identifier: Apache-2.0

package privacytest

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// wanted is how many secrets each signal carries at least; the three make more than ten thousand.
const wanted = 4000

// Traces are spans with secrets in every place that can hold a text.
func (c *Corpus) Traces() ptrace.Traces {
	td := ptrace.NewTraces()
	for start := len(c.secrets); len(c.secrets)-start < wanted; {
		rs := td.ResourceSpans().AppendEmpty()
		Put(rs.Resource().Attributes(), ResourceFields)
		c.attributes(rs.Resource().Attributes(), 0)
		rs.SetSchemaUrl(c.URL())
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName(c.Line())
		ss.Scope().SetVersion(c.Line())
		ss.SetSchemaUrl(c.URL())
		c.attributes(ss.Scope().Attributes(), 0)
		for range 20 {
			span := ss.Spans().AppendEmpty()
			span.SetName(pick(c, c.Line, c.URL)())
			span.TraceState().FromRaw("vendor=eyJ" + c.Word() + c.Word())
			span.Status().SetMessage(c.Line())
			Put(span.Attributes(), TopologyFields)
			c.attributes(span.Attributes(), 0)
			event := span.Events().AppendEmpty()
			event.SetName(c.Line())
			c.attributes(event.Attributes(), 0)
			link := span.Links().AppendEmpty()
			link.TraceState().FromRaw("token=" + c.Word())
			c.attributes(link.Attributes(), 0)
		}
	}
	return td
}

// Logs are log records like that.
func (c *Corpus) Logs() plog.Logs {
	ld := plog.NewLogs()
	for start := len(c.secrets); len(c.secrets)-start < wanted; {
		rl := ld.ResourceLogs().AppendEmpty()
		Put(rl.Resource().Attributes(), ResourceFields)
		c.attributes(rl.Resource().Attributes(), 0)
		rl.SetSchemaUrl(c.URL())
		sl := rl.ScopeLogs().AppendEmpty()
		c.attributes(sl.Scope().Attributes(), 0)
		sl.SetSchemaUrl(c.URL())
		for range 20 {
			record := sl.LogRecords().AppendEmpty()
			record.SetEventName(c.Line())
			record.SetSeverityText(c.Line())
			c.value(record.Body(), 0)
			Put(record.Attributes(), TopologyFields)
			c.attributes(record.Attributes(), 0)
		}
	}
	return ld
}

// Metrics are metrics of every type like that.
func (c *Corpus) Metrics() pmetric.Metrics {
	md := pmetric.NewMetrics()
	for start := len(c.secrets); len(c.secrets)-start < wanted; {
		rm := md.ResourceMetrics().AppendEmpty()
		Put(rm.Resource().Attributes(), ResourceFields)
		c.attributes(rm.Resource().Attributes(), 0)
		rm.SetSchemaUrl(c.URL())
		sm := rm.ScopeMetrics().AppendEmpty()
		c.attributes(sm.Scope().Attributes(), 0)
		sm.SetSchemaUrl(c.URL())
		for _, kind := range []pmetric.MetricType{
			pmetric.MetricTypeGauge, pmetric.MetricTypeSum, pmetric.MetricTypeHistogram, pmetric.MetricTypeExponentialHistogram, pmetric.MetricTypeSummary,
		} {
			c.metric(sm.Metrics().AppendEmpty(), kind)
		}
	}
	return md
}

func (c *Corpus) metric(metric pmetric.Metric, kind pmetric.MetricType) {
	metric.SetName(c.Line())
	metric.SetDescription(c.Line())
	metric.SetUnit(c.Line())
	c.attributes(metric.Metadata(), 0)
	var attrs pcommon.Map
	exemplars := pmetric.NewExemplarSlice()
	switch kind {
	case pmetric.MetricTypeGauge:
		point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
		attrs, exemplars = point.Attributes(), point.Exemplars()
	case pmetric.MetricTypeSum:
		point := metric.SetEmptySum().DataPoints().AppendEmpty()
		attrs, exemplars = point.Attributes(), point.Exemplars()
	case pmetric.MetricTypeHistogram:
		point := metric.SetEmptyHistogram().DataPoints().AppendEmpty()
		attrs, exemplars = point.Attributes(), point.Exemplars()
	case pmetric.MetricTypeExponentialHistogram:
		point := metric.SetEmptyExponentialHistogram().DataPoints().AppendEmpty()
		attrs, exemplars = point.Attributes(), point.Exemplars()
	case pmetric.MetricTypeSummary:
		attrs = metric.SetEmptySummary().DataPoints().AppendEmpty().Attributes()
	}
	Put(attrs, TopologyFields)
	c.attributes(attrs, 0)
	c.attributes(exemplars.AppendEmpty().FilteredAttributes(), 0)
}

// ResourceFields are those of each resource, which stay as they are.
var ResourceFields = [][2]string{
	{"service.name", "productpage.bookinfo"},
	{"service.instance.id", "bookinfo.productpage-v1-6d5f7c9b8-abcde"},
	{"k8s.cluster.name", "aks-westeurope"},
	{"k8s.pod.name", "productpage-v1-6d5f7c9b8-abcde"},
	{"cloud.region", "westeurope"},
	{"cloud.availability_zone", "westeurope-1"},
}

// TopologyFields are those of one span.
var TopologyFields = [][2]string{
	{"envoy.request.id", "e4e8c177-3962-9359-945e-61e7175cd867"},
	{"envoy.node.id", "sidecar~127.1.0.21~productpage-v1-1.bookinfo~bookinfo.svc.cluster.local"},
	{"envoy.upstream.cluster", "outbound|9080||reviews.bookinfo.svc.cluster.local"},
	{"envoy.response.flags", "-"},
	{"envoy.downstream.address", "127.1.0.21"},
	{"network.protocol.version", "1.1"},
	{"network.peer.address", "127.1.0.31"},
	{"server.address", "reviews.bookinfo"},
	{"istio.canonical_service", "productpage"},
	{"istio.canonical_revision", "v1"},
	{"istio.mesh_id", "mesh1"},
	{"istio.namespace", "bookinfo"},
	{"istio.cluster_id", "aks-westeurope"},
	{"mesh.source.cluster", "aks-westeurope"},
	{"mesh.source.region", "westeurope"},
	{"mesh.source.zone", "westeurope-1"},
	{"mesh.source.namespace", "bookinfo"},
	{"mesh.source.workload", "productpage-v1"},
	{"mesh.source.principal", "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage"},
	{"mesh.destination.cluster", "aks-westeurope"},
	{"mesh.destination.zone", "westeurope-2"},
	{"mesh.destination.workload", "reviews-v1"},
	{"mesh.destination.principal", "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews"},
	{"mesh.traffic.locality", "cross_zone"},
	{"mesh.resolution.source", "tag"},
	{"mesh.resolution.destination", "ip"},
}

// Put adds attributes.
func Put(attrs pcommon.Map, pairs [][2]string) {
	for _, kv := range pairs {
		attrs.PutStr(kv[0], kv[1])
	}
}
