// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/bookinfo"
	"github.com/otelcol-mesh/otelcol-mesh/demo/stack"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/appmap"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// unsent is how long an Envoy of the demo may keep a span before it sends it, and some more.
const unsent = 6 * time.Second

// TestLedger compares what was delivered with what the applications wrote down themselves: which pod called which, how
// often, and, as the layout says, through which gateway. A third of the time the reviews of one region are down.
func TestLedger(t *testing.T) {
	s := startMesh(t)
	stop := startLoad(t, s)
	third := ledgerDuration(t) / 3
	pause(t, third)
	require.NoError(t, s.Mesh().Fail(west, "reviews"))
	failed := time.Now()
	pause(t, third)
	healing, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	require.NoError(t, s.Mesh().Heal(healing, west, "reviews"))
	pause(t, third)
	stop()

	calls, dropped := s.Mesh().Ledger().Calls()
	require.Zero(t, dropped)
	// The probes for readiness at the start are nobody's calls.
	probes := map[string]float64{}
	calls = slices.DeleteFunc(calls, func(c bookinfo.Call) bool {
		if c.Caller == "" {
			callee, _ := mesh.TruthOf(c.Callee)
			probes[callee.End.Service+"@"+callee.End.Cluster]++
		}
		return c.Caller == ""
	})
	require.NotEmpty(t, calls)
	// What the proxies that were taken down had not sent yet is gone with them.
	lost := func(pod string, at time.Time) bool {
		p, _ := mesh.TruthOf(pod)
		return p.End.Cluster == west && p.End.Service == "reviews" && at.Before(failed) && at.After(failed.Add(-unsent))
	}
	waitForSpans(t, s, calls, lost)
	a := newAudit(s, calls, lost)
	a.spans(t)
	a.records(t)
	a.points(t, probes)
	a.applicationMap(t)
	a.report(t)
	assert.Zero(t, a.wrong, "items that contradict the ledger")
	crossed := 0
	for e, f := range a.edges {
		if e.via != "" {
			crossed += f.calls
		}
	}
	assert.Positive(t, crossed, "calls through an east/west gateway: there was no failover")
}

// ledgerDuration is how long the load lasts; OTELCOL_MESH_LEDGER=10m is what the figures in the docs were taken with.
func ledgerDuration(t *testing.T) time.Duration {
	text := os.Getenv("OTELCOL_MESH_LEDGER")
	if text == "" {
		return 24 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "OTELCOL_MESH_LEDGER")
	return d
}

// pause lets the load go on; it waits for nothing that something could tell.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		require.NoError(t, t.Context().Err())
	}
}

// waitForSpans waits until both sides of every call were delivered, but for what was lost with its pod. The two come from two
// proxies, each of which sends when it has enough or after seconds.
func waitForSpans(t *testing.T, s *stack.Stack, calls []bookinfo.Call, lost func(pod string, at time.Time) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	requests, dependencies := 0, 0
	err := s.Insights().Wait(ctx, func() bool {
		parents, have := map[spanID]string{}, map[spanID]bool{}
		for _, item := range s.Insights().Items(ingestiontest.Filter{Type: "Request"}) {
			parents[spanID{item.OperationID, item.ID}] = item.ParentID
		}
		for _, item := range s.Insights().Items(ingestiontest.Filter{Type: "Dependency"}) {
			have[spanID{item.OperationID, item.ID}] = true
		}
		requests, dependencies = 0, 0
		for i := range calls {
			c := &calls[i]
			parent, ok := parents[spanOf(c)]
			if !ok && !lost(c.Callee, c.At) {
				requests++
			}
			if ok && !have[spanID{c.TraceID, parent}] && !lost(c.Caller, c.At) {
				dependencies++
			}
		}
		return requests == 0 && dependencies == 0
	})
	require.NoErrorf(t, err, "%d of %d calls have no Request, and %d have one without a Dependency", requests, len(calls), dependencies)
}

// spanID is a span, as a trace and a span id in hexadecimal.
type spanID struct{ trace, span string }

func spanOf(c *bookinfo.Call) spanID { return spanID{c.TraceID, c.SpanID} }

// edge is one way that calls take.
type edge struct{ caller, callee, via string }

// found is what was delivered of an edge.
type found struct {
	calls, requests, dependencies, records int
	// unsent counts the calls whose callee's side may have been lost with the proxy.
	unsent int
	// unresolved counts the ends that are not named, by where and why.
	unresolved map[string]int
}

// audit compares items with the ledger.
type audit struct {
	calls []bookinfo.Call
	edges map[edge]*found
	// byCallee is the call that a span of a callee's sidecar is about, byTrace all calls of a trace.
	byCallee map[spanID]*bookinfo.Call
	items    map[string][]ingestiontest.Item
	// lost says of a pod that what its proxy had to tell of that time need not have been sent.
	lost     func(pod string, at time.Time) bool
	wrong    int
	examples []string
}

func newAudit(s *stack.Stack, calls []bookinfo.Call, lost func(pod string, at time.Time) bool) *audit {
	a := &audit{calls: calls, lost: lost, edges: map[edge]*found{}, byCallee: map[spanID]*bookinfo.Call{}, items: map[string][]ingestiontest.Item{}}
	for i := range calls {
		a.byCallee[spanOf(&calls[i])] = &calls[i]
		a.edge(&calls[i]).calls++
		if lost(calls[i].Callee, calls[i].At) {
			a.edge(&calls[i]).unsent++
		}
	}
	for _, item := range s.Insights().Items(ingestiontest.Filter{}) {
		a.items[item.Type] = append(a.items[item.Type], item)
	}
	return a
}

// wayOf returns the way of a call: through the callee's gateway if the caller is in the other region.
func wayOf(c *bookinfo.Call) edge {
	caller, _ := mesh.TruthOf(c.Caller)
	callee, _ := mesh.TruthOf(c.Callee)
	return edge{caller: nameOf(caller), callee: nameOf(callee), via: gatewayBetween(caller, callee)}
}

func gatewayBetween(caller, callee mesh.PodTruth) string {
	if caller.End.Cluster == callee.End.Cluster {
		return ""
	}
	return callee.End.Cluster + "/istio-system/istio-eastwestgateway"
}

func nameOf(p mesh.PodTruth) string { return p.End.Workload + "@" + p.End.Cluster }

func (a *audit) edge(c *bookinfo.Call) *found {
	way := wayOf(c)
	f := a.edges[way]
	if f == nil {
		f = &found{unresolved: map[string]int{}}
		a.edges[way] = f
	}
	return f
}

// judge compares one item with the call that it is about.
func (a *audit) judge(item ingestiontest.Item, c *bookinfo.Call) {
	properties := item.Properties()
	caller, _ := mesh.TruthOf(c.Caller)
	callee, _ := mesh.TruthOf(c.Callee)
	for side, truth := range map[string]mesh.PodTruth{"source": caller, "destination": callee} {
		resolution := properties["mesh.resolution."+side]
		switch e := end(properties, side); {
		case resolution == "", !fits(e, truth.End):
			a.contradicts(item, c, fmt.Sprintf("%s is %+v by %q", side, e, resolution))
		case e.Cluster == "" || e.Workload == "":
			a.edge(c).unresolved[item.Type+" "+side+" "+resolution]++
		}
	}
	if via, want := properties["mesh.via"], gatewayBetween(caller, callee); via != want {
		a.contradicts(item, c, fmt.Sprintf("mesh.via is %q, want %q", via, want))
	}
}

func (a *audit) contradicts(item ingestiontest.Item, c *bookinfo.Call, what string) {
	a.wrong++
	if len(a.examples) < 10 {
		a.examples = append(a.examples, fmt.Sprintf("%s of %s about %s -> %s: %s\n%v", item.Type, item.Role, c.Caller, c.Callee, what, item.Properties()))
	}
}

// spans compares requests and dependencies.
func (a *audit) spans(t *testing.T) {
	// A caller's span stands for all attempts; the last one answered.
	last := map[spanID]*bookinfo.Call{}
	seen := map[spanID]bool{}
	for _, item := range a.items["Request"] {
		id := spanID{item.OperationID, item.ID}
		c := a.byCallee[id]
		if c == nil || seen[id] {
			continue
		}
		seen[id] = true
		a.edge(c).requests++
		a.judge(item, c)
		if podOf(item) != c.Callee {
			a.contradicts(item, c, "another pod answered")
		}
		parent := spanID{item.OperationID, item.ParentID}
		if before := last[parent]; before == nil || before.At.Before(c.At) {
			last[parent] = c
		}
	}
	for _, item := range a.items["Dependency"] {
		id := spanID{item.OperationID, item.ID}
		c := last[id]
		if c == nil {
			continue
		}
		delete(last, id)
		a.edge(c).dependencies++
		a.judge(item, c)
		if podOf(item) != c.Caller {
			a.contradicts(item, c, "another pod called")
		}
	}
	for _, c := range last {
		assert.True(t, a.lost(c.Caller, c.At), "%s called %s at %s, and its span was not delivered", c.Caller, c.Callee, c.At)
	}
}

// records compares the access logs of the callees.
func (a *audit) records(t *testing.T) {
	seen := map[spanID]bool{}
	for _, item := range a.items["Message"] {
		id := spanID{item.OperationID, item.ParentID}
		c := a.byCallee[id]
		if c == nil || seen[id] || podOf(item) != c.Callee {
			continue
		}
		seen[id] = true
		a.edge(c).records++
		a.judge(item, c)
	}
	assert.NotEmpty(t, seen, "access logs of callees")
}

// points compares the sums of istio_requests_total between services: no edge may have more requests than the ledger, and none
// that it does not have. The proxies count the probes, too, which came through one of the ways to a service.
func (a *audit) points(t *testing.T, probes map[string]float64) {
	sums := map[edge]float64{}
	for _, item := range a.items["Metric"] {
		properties := item.Properties()
		if item.Name != "istio_requests_total" || properties["reporter"] != "destination" {
			continue
		}
		source, destination := end(properties, "source"), end(properties, "destination")
		sums[edge{caller: source.Service + "@" + source.Cluster, callee: destination.Service + "@" + destination.Cluster}] += valueOf(item)
	}
	truth := map[edge]float64{}
	for i := range a.calls {
		caller, _ := mesh.TruthOf(a.calls[i].Caller)
		callee, _ := mesh.TruthOf(a.calls[i].Callee)
		truth[edge{caller: caller.End.Service + "@" + caller.End.Cluster, callee: callee.End.Service + "@" + callee.End.Cluster}]++
	}
	for way, sum := range sums {
		assert.LessOrEqual(t, sum, truth[way]+probes[way.callee], "requests of %+v by Istio's metrics", way)
		t.Logf("istio_requests_total %s -> %s: %v of %v calls", way.caller, way.callee, sum, truth[way])
	}
	assert.NotEmpty(t, sums, "points of istio_requests_total")
}

// applicationMap compares what the portal would draw with who really called whom: regions apart, the ways between them
// there, and no node that is nobody.
func (a *audit) applicationMap(t *testing.T) {
	role := func(p mesh.PodTruth) string { return p.End.Service + "." + p.End.Namespace + "@" + p.End.Cluster }
	var want appmap.Graph
	crossing := 0
	for i := range a.calls {
		caller, _ := mesh.TruthOf(a.calls[i].Caller)
		callee, _ := mesh.TruthOf(a.calls[i].Callee)
		if caller.End.Service == "istio-ingressgateway" {
			want.Called("", role(caller))
		}
		want.Called(role(caller), role(callee))
	}
	var envelopes []ai.Envelope
	for _, items := range a.items {
		for _, item := range items {
			envelopes = append(envelopes, item.Envelope)
		}
	}
	m := appmap.Build(envelopes)
	for d, traffic := range m.Dependencies {
		// A call for which no endpoint was left has no cluster that it went to. It must have failed, then.
		if d.Name == "reviews.bookinfo" {
			assert.InDelta(t, traffic.Calls, traffic.Failed, 0, "%+v", d)
			want.Left(d.Role, d.Target)
		}
	}
	assert.Empty(t, m.Diff(want))
	for call, traffic := range m.Calls {
		apart := !strings.HasSuffix(call.To, call.From[strings.LastIndex(call.From, "@"):])
		assert.Equal(t, apart, traffic.CrossRegion > 0, "%+v: %+v", call, traffic)
		if apart {
			crossing++
		}
	}
	assert.Positive(t, crossing, "calls between regions on the map")
}

func valueOf(item ingestiontest.Item) float64 {
	data, ok := item.Envelope.Data.BaseData.(*ai.MetricData)
	if !ok || len(data.Metrics) == 0 {
		return 0
	}
	return data.Metrics[0].Value
}

func (a *audit) report(t *testing.T) {
	var lines []string
	unsent, unresolved := 0, 0
	for way, f := range a.edges {
		unsent += f.unsent
		for what, n := range f.unresolved {
			// A record of an access log may be all that one knows of a call; a span has its partner.
			if !strings.HasPrefix(what, "Message ") {
				unresolved += n
			}
		}
		assert.GreaterOrEqual(t, f.requests, f.calls-f.unsent, "requests of %+v", way)
		assert.LessOrEqual(t, f.requests, f.calls, "requests of %+v", way)
		lines = append(lines, fmt.Sprintf("%s -> %s via %q: %d calls, %d requests, %d dependencies, %d access logs, unresolved: %v",
			way.caller, way.callee, way.via, f.calls, f.requests, f.dependencies, f.records, f.unresolved))
	}
	assert.LessOrEqual(t, unresolved, unsent, "ends of spans that nothing told, though only so many partners were lost")
	slices.Sort(lines)
	t.Logf("%d calls on %d edges\n%s", len(a.calls), len(lines), strings.Join(lines, "\n"))
	for _, example := range a.examples {
		t.Error(example)
	}
}
