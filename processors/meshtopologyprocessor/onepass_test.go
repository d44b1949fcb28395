// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadatatest"
)

// someSpans makes up a resource whose spans are of one proxy for a while at least.
func someSpans(r *rand.Rand) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "bookinfo")
	if r.IntN(8) == 0 {
		rs.Resource().Attributes().PutStr("envoy.node.id", productpageNode)
	}
	nodes := []string{productpageNode, reviewsNode, "waypoint~127.1.0.61~waypoint-1.bookinfo~bookinfo.svc.cluster.local"}
	first, lone := r.IntN(len(nodes)), r.IntN(2) == 0
	var last pcommon.SpanID
	for range 1 + r.IntN(3) {
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName(oneOf(r, "envoy", "other"))
		for i := range r.IntN(6) {
			span := ss.Spans().AppendEmpty()
			span.SetKind(oneOf(r, ptrace.SpanKindClient, ptrace.SpanKindServer, ptrace.SpanKindInternal))
			span.SetStartTimestamp(someTime(r))
			span.SetSpanID([8]byte{byte(r.IntN(5) + 1), byte(i)})
			if r.IntN(2) == 0 {
				span.SetParentSpanID(last)
			}
			last = span.SpanID()
			someItem(r).CopyTo(span.Attributes())
			node := nodes[first]
			if !lone && r.IntN(4) == 0 {
				node = oneOf(r, append(nodes, "", "17")...)
			}
			if node != "" {
				span.Attributes().PutStr(oneOf(r, "node_id", "node_id", "node_id", "envoy.node.id"), node)
			}
			if r.IntN(10) == 0 {
				span.Attributes().PutStr("envoy.node.id", oneOf(r, nodes...))
			}
			if r.IntN(5) > 0 {
				span.Attributes().PutStr("istio.cluster_id", oneOf(r, "aks-westeurope", "aks-westeurope", "aks-westeurope", "Kubernetes"))
			}
		}
	}
	return td
}

// TestOnePassIsTwo holds that stamping spans before it is known whether the resource is of one proxy changes nothing:
// beside it, the whole resource is looked through first.
func TestOnePassIsTwo(t *testing.T) {
	m, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), local())
	require.NoError(t, err)
	require.NoError(t, m.start(t.Context(), newHost(t)))
	r := rand.New(rand.NewPCG(5, 6))
	whole, split := 0, 0
	for range 2000 {
		once, twice := someSpans(r), ptrace.NewTraces()
		once.CopyTo(twice)

		first := m.newBatch(context.Background())
		goneOnce := first.resourceSpans(once.ResourceSpans(), once.ResourceSpans().At(0))

		second := m.newBatch(context.Background())
		all, rs, goneTwice := twice.ResourceSpans(), twice.ResourceSpans().At(0), false
		res := readResource(rs.Resource().Attributes())
		if res.reporter.NodeID == "" && severalSpanProxies(rs) {
			goneTwice = second.splitResource(all, rs, &res, 0)
			split++
		} else {
			zone, _ := second.resolveSpans(rs, &res)
			second.stampSpans(rs, &res, 0, nil)
			second.finishResource(rs, &res, zone)
			whole++
		}
		assert.Equal(t, second.tally, first.tally)
		require.Equal(t, goneTwice, goneOnce)
		require.Equal(t, asText(t, twice), asText(t, once))
	}
	assert.Greater(t, split, 100)
	assert.Greater(t, whole, 100)
}

func asText(t *testing.T, td ptrace.Traces) string {
	t.Helper()
	text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return string(text)
}
