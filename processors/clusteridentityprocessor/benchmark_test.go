// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// stampedSpans are a resource with spans as agents send them: 10 attributes of the resource, 25 of each span.
func stampedSpans(spans int) ptrace.ResourceSpans {
	rs := ptrace.NewTraces().ResourceSpans().AppendEmpty()
	fill(rs.Resource().Attributes(), map[string]string{clusterKey: west}, "k8s.namespace.name", "k8s.pod.name", "k8s.node.name", "k8s.deployment.name",
		"cloud.provider", "cloud.region", "service.name", "service.instance.id", "telemetry.sdk.name")
	ss := rs.ScopeSpans().AppendEmpty()
	for range spans {
		span := ss.Spans().AppendEmpty()
		span.SetKind(ptrace.SpanKindClient)
		fill(span.Attributes(), map[string]string{
			"mesh.source.cluster": west, "mesh.destination.cluster": north, istioKey: west, "envoy.upstream.cluster": "outbound|9080||reviews.bookinfo.svc.cluster.local",
		}, "http.request.method", "url.full", "http.response.status_code", "user_agent.original", "envoy.node.id", "mesh.source.region", "mesh.source.zone",
			"mesh.source.namespace", "mesh.source.workload", "mesh.source.service", "mesh.destination.region", "mesh.destination.zone", "mesh.destination.namespace",
			"mesh.destination.workload", "mesh.destination.service", "mesh.resolution.source", "mesh.resolution.destination", "mesh.traffic.locality", "mesh.tls",
			"server.address", "network.protocol.version")
	}
	return rs
}

func fill(m pcommon.Map, known map[string]string, others ...string) {
	for key, value := range known {
		m.PutStr(key, value)
	}
	for _, key := range others {
		m.PutStr(key, "value of some length")
	}
}

func BenchmarkCompare(b *testing.B) {
	id := mayOnly(b, west)
	b.Run("name", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !id.MaySpeakFor(west) {
				b.Fatal()
			}
		}
	})
	b.Run("resource", func(b *testing.B) {
		attrs := stampedSpans(0).Resource().Attributes()
		j := judge{id: id, unset: []string{"Kubernetes"}}
		b.ReportAllocs()
		for b.Loop() {
			if r := j.resource(attrs); r.bad.reason != fine {
				b.Fatal(r.bad)
			}
		}
	})
	for _, spans := range []int{1, 100} {
		rs := stampedSpans(spans)
		b.Run(fmt.Sprint("resource and spans/", spans), func(b *testing.B) {
			state := &batch{judge: judge{id: id, unset: []string{"Kubernetes"}}}
			b.ReportAllocs()
			for b.Loop() {
				if state.resourceSpans(rs) {
					b.Fatal()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*spans), "ns/span")
		})
	}
}

// TestNothingIsAllocated: on the way of honest telemetry.
func TestNothingIsAllocated(t *testing.T) {
	rs := stampedSpans(10)
	state := &batch{judge: judge{id: mayOnly(t, west), unset: []string{"Kubernetes"}}}
	gone := false
	n := testing.AllocsPerRun(100, func() { gone = gone || state.resourceSpans(rs) })
	require.False(t, gone)
	assert.Zero(t, n)
}
