// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	bigendian "encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// calls makes n traces of one call each, the client's and the server's span, both named after what they are.
type calls struct {
	td     ptrace.Traces
	random *rand.Rand
}

func newCalls() *calls {
	return &calls{td: ptrace.NewTraces(), random: rand.New(rand.NewPCG(1, 2))}
}

func (c *calls) add(name, called string, n int, change func(client, server ptrace.Span)) {
	resource := func(service string) ptrace.SpanSlice {
		rs := c.td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		rs.Resource().Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
		return rs.ScopeSpans().AppendEmpty().Spans()
	}
	clients, servers := resource("productpage"), resource(called)
	for range n {
		var trace pcommon.TraceID
		bigendian.BigEndian.PutUint64(trace[:], c.random.Uint64())
		bigendian.BigEndian.PutUint64(trace[8:], c.random.Uint64())
		one := func(spans ptrace.SpanSlice, kind ptrace.SpanKind, at byte) ptrace.Span {
			span := spans.AppendEmpty()
			span.SetName(name)
			span.SetKind(kind)
			span.SetTraceID(trace)
			span.SetSpanID(pcommon.SpanID{trace[0], trace[1], trace[2], trace[3], trace[4], trace[5], trace[6], at})
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Second)))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-900 * time.Millisecond)))
			span.Attributes().PutStr("mesh.source.service", "productpage")
			span.Attributes().PutStr("mesh.destination.service", called)
			return span
		}
		client, server := one(clients, ptrace.SpanKindClient, 1), one(servers, ptrace.SpanKindServer, 2)
		server.SetParentSpanID(client.SpanID())
		if change != nil {
			change(client, server)
		}
	}
}

// seen is what of one kind of traces came to the endpoint.
type seen struct {
	items          int
	traces         map[string]float64 // weights
	weight, spread float64
}

func seenOf(items []ingestiontest.Item) map[string]*seen {
	out := map[string]*seen{}
	for _, item := range items {
		if item.Type != "Request" && item.Type != "Dependency" {
			continue
		}
		name, _, _ := strings.Cut(item.Name, " ")
		s := out[name]
		if s == nil {
			s = &seen{traces: map[string]float64{}}
			out[name] = s
		}
		s.items++
		if _, known := s.traces[item.OperationID]; !known {
			s.weight += item.ItemCount
			s.spread += item.ItemCount * (item.ItemCount - 1)
		}
		s.traces[item.OperationID] = item.ItemCount
	}
	return out
}

// TestSamplingKeepsWhatMattersAndTheCounts prevents that an error, a slow call, one that left its region or one that was tried
// again is sampled away, that a quiet service disappears behind a loud one, and that a sampled request counts as one.
func TestSamplingKeepsWhatMattersAndTheCounts(t *testing.T) {
	a := newAzure(t)
	a.anybody = true
	h := newHub(t, a, []string{"APPLICATION_INSIGHTS_CONNECTION_STRING=" + connectionTo(1, a.url())}, "examples/hub-sampling.yaml",
		quick("application_insights"), "yaml:{extensions: {mesh_sampling: {traces_per_edge: 100, interval: 1s}}, processors: {tail_sampling: {decision_wait: 1s}}}")
	always := map[string]func(client, server ptrace.Span){
		"error":     func(client, _ ptrace.Span) { client.Status().SetCode(ptrace.StatusCodeError) },
		"status503": func(_, server ptrace.Span) { server.Attributes().PutInt("http.response.status_code", 503) },
		"grpc":      func(_, server ptrace.Span) { server.Attributes().PutInt("rpc.grpc.status_code", 14) },
		// By the later name, as instrumentation libraries write it; the status of such a span may be unset.
		"grpcname": func(_, server ptrace.Span) {
			server.Attributes().PutStr("rpc.system.name", "grpc")
			server.Attributes().PutStr("rpc.response.status_code", "NOT_FOUND")
		},
		"retried": func(client, _ ptrace.Span) {
			client.Attributes().PutStr("envoy.response.flags", "UF,URX")
			client.Attributes().PutInt("http.response.status_code", 200)
		},
		"slow": func(client, _ ptrace.Span) {
			client.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-4 * time.Second)))
		},
		"region": func(client, server ptrace.Span) {
			client.Attributes().PutStr("mesh.traffic.locality", "cross_region")
			server.Attributes().PutStr("mesh.traffic.locality", "cross_region")
		},
	}
	const rounds, loud, quiet, each = 5, 1500, 20, 10
	for round := range rounds {
		c := newCalls()
		c.random = rand.New(rand.NewPCG(uint64(round), 2))
		c.add("loud", "reviews", loud, func(_, server ptrace.Span) {
			server.Attributes().PutStr("rpc.system.name", "grpc")
			server.Attributes().PutStr("rpc.response.status_code", "OK")
		})
		c.add("quiet", "ratings", quiet, nil)
		for name, change := range always {
			c.add(name, "reviews", each, change)
		}
		h.send(t, c.td)
		// A part of the loud ones is certain to be kept; the next round comes when the sampler knows how loud they are.
		eventually(t, h.stderr, func() bool { return len(seenOf(a.Items(ingestiontest.Filter{}))["quiet"].ids()) == (round+1)*quiet })
	}
	require.NoError(t, h.stop())
	all := seenOf(a.Items(ingestiontest.Filter{}))
	for name := range always {
		s := all[name]
		require.NotNil(t, s, name)
		assert.Len(t, s.traces, rounds*each, "%s: all of them", name)
		assert.InDelta(t, rounds*each, s.weight, 0, "%s: each for itself", name)
		assert.Equal(t, 2*rounds*each, s.items, "%s: whole traces", name)
	}
	assert.Len(t, all["quiet"].traces, rounds*quiet, "a quiet edge is kept whole")
	assert.InDelta(t, rounds*quiet, all["quiet"].weight, 0)
	s := all["loud"]
	t.Logf("loud: %d of %d traces were kept, and stand for %.0f (plus or minus %.0f)", len(s.traces), rounds*loud, s.weight, math.Sqrt(s.spread))
	assert.Less(t, len(s.traces), rounds*loud/3)
	assert.Greater(t, len(s.traces), rounds*50)
	assert.Equal(t, 2*len(s.traces), s.items, "whole traces")
	assert.InDelta(t, rounds*loud, s.weight, 4.5*math.Sqrt(s.spread), "those that were kept stand for all")
}

func (s *seen) ids() map[string]float64 {
	if s == nil {
		return nil
	}
	return s.traces
}

// TestWhatWaitsForADecision holds the documentation to what it says of a hub that ends: one that is stopped decides, one that
// is killed loses what it acknowledged and had not decided.
func TestWhatWaitsForADecision(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %t", killed), func(t *testing.T) {
			a := newAzure(t)
			a.anybody = true
			h := newHub(t, a, []string{"APPLICATION_INSIGHTS_CONNECTION_STRING=" + connectionTo(1, a.url())}, "examples/hub-sampling.yaml",
				quick("application_insights"), "yaml:{processors: {tail_sampling: {decision_wait: 60s}}}")
			c := newCalls()
			c.add("error", "reviews", 50, func(client, _ ptrace.Span) { client.Status().SetCode(ptrace.StatusCodeError) })
			h.send(t, c.td)
			if killed {
				h.kill(t)
			} else {
				require.NoError(t, h.stop())
			}
			// One that comes after all that was on the disk.
			h.run(t)
			last := newCalls()
			last.add("last", "reviews", 1, func(client, _ ptrace.Span) { client.Status().SetCode(ptrace.StatusCodeError) })
			h.send(t, last.td)
			require.NoError(t, h.stop())
			h.configs = h.configs[:1]
			h.run(t)
			h.send(t, spansOf(0, 1, nil))
			eventually(t, h.stderr, func() bool {
				return seenOf(a.Items(ingestiontest.Filter{}))["last"] != nil && seenOf(a.Items(ingestiontest.Filter{}))["span-0"] != nil
			})
			require.NoError(t, h.stop())
			want := 50
			if killed {
				want = 0
			}
			assert.Len(t, seenOf(a.Items(ingestiontest.Filter{}))["error"].ids(), want)
		})
	}
}
