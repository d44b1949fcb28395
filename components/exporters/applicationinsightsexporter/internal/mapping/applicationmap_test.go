// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/appmap"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/static"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
)

// TestApplicationMap draws the map from what the endpoint has of the bookinfo mesh in two regions, and compares it with who
// called whom. The spans are recorded ones of real Envoys, with the pods of each call in place of those of the recording;
// they pass the processors of the hub.
func TestApplicationMap(t *testing.T) {
	for _, mode := range []string{"per_cluster", "merged"} {
		t.Run(mode, func(t *testing.T) {
			calls := newBookinfoCalls(t)
			for _, cluster := range layout.Clusters() {
				calls.page(cluster, cluster, cluster)
				calls.page(cluster, otherThan(cluster), otherThan(cluster)) // its reviews are down
				calls.page(cluster, cluster, otherThan(cluster))            // its ratings are down
			}
			m, _ := mapperOf(t, func(s *Settings) { s.Role = mode })
			b := &items.Batch{}
			m.Traces(calls.throughTheHub(), b)
			require.Equal(t, calls.spans, b.Sources(), "one item for each span")
			drawn := appmap.Build(deliver(t, strictEndpoint(t), b))

			roleOf := func(p layout.Pod) string {
				role := p.Service + "." + p.Namespace
				if mode == "per_cluster" {
					role += "@" + p.Cluster.Name
				}
				return role
			}
			var truth appmap.Graph
			want := map[appmap.Call]appmap.Traffic{}
			for _, call := range calls.made {
				if call.from == nil {
					truth.Called("", roleOf(call.to))
					continue
				}
				truth.Called(roleOf(*call.from), roleOf(call.to))
				key := appmap.Call{From: roleOf(*call.from), To: roleOf(call.to)}
				traffic := want[key]
				traffic.Calls++
				if call.from.Cluster.Name != call.to.Cluster.Name {
					traffic.CrossRegion++
				}
				want[key] = traffic
			}
			assert.Empty(t, drawn.Diff(truth))
			assert.Empty(t, drawn.Dependencies, "no phantom node")
			assert.Empty(t, drawn.Unanswered)
			assert.Zero(t, drawn.Duplicates)
			for call, traffic := range drawn.Calls {
				traffic.Targets = nil
				assert.Equal(t, want[call], traffic, "%v", call)
			}
			for role, c := range drawn.Components {
				regions := 1
				if mode == "merged" {
					regions = 2
				}
				assert.Len(t, c.Regions, regions, role)
			}
			if mode == "per_cluster" {
				assert.Contains(t, drawn.Calls, appmap.Call{From: "productpage.bookinfo@aks-westeurope", To: "reviews.bookinfo@aks-northeurope"})
				assert.Len(t, drawn.Components, 10)
			} else {
				assert.Len(t, drawn.Components, 5)
			}
		})
	}
}

// TestATargetIsTheRoleThatAnswers: the called end names itself as its callers name it, so that a call whose request is lost
// or not sampled ends at the same name.
func TestATargetIsTheRoleThatAnswers(t *testing.T) {
	calls := newBookinfoCalls(t)
	west := layout.Clusters()[0]
	calls.page(west, otherThan(west), west)
	m, _ := mapperOf(t, nil)
	b := &items.Batch{}
	m.Traces(calls.throughTheHub(), b)
	for call, traffic := range appmap.Build(deliver(t, strictEndpoint(t), b)).Calls {
		assert.Equal(t, []appmap.Target{{Type: "HTTP", Name: call.To}}, traffic.Targets, "%v", call)
	}
}

// TestACallThatReachedNobody has no cluster that it went to. With roles by cluster its target is therefore the service
// alone, a node of its own beside the components; with merged roles it is the name that answered calls have too.
func TestACallThatReachedNobody(t *testing.T) {
	west := layout.Clusters()[0]
	page, details := west.PodsOf("productpage")[0], west.PodsOf("details")[0]
	for mode, want := range map[string]int{"per_cluster": 1, "merged": 0} {
		calls := newBookinfoCalls(t)
		calls.page(west, west, west)
		calls.span(calls.next(), 0, "sidecar-outbound", page, details)
		all := calls.td.ResourceSpans()
		attributes := all.At(all.Len() - 1).ScopeSpans().At(0).Spans().At(0).Attributes()
		attributes.RemoveIf(func(key string, _ pcommon.Value) bool { return strings.HasPrefix(key, "mesh.upstream.") })
		attributes.PutStr("http.status_code", "503")
		attributes.PutStr("response_flags", "UH")
		m, _ := mapperOf(t, func(s *Settings) { s.Role = mode })
		b := &items.Batch{}
		m.Traces(calls.throughTheHub(), b)
		drawn := appmap.Build(deliver(t, strictEndpoint(t), b))
		assert.Len(t, drawn.Dependencies, want, mode)
		assert.Len(t, drawn.Unanswered, 1-want, mode)
		for node := range drawn.Dependencies {
			assert.Equal(t, appmap.Target{Type: "HTTP", Name: "details.bookinfo"}, node.Target)
		}
	}
}

// TestTheMapTestSeesMistakes prevents that "nothing is wrong" means "nothing was compared".
func TestTheMapTestSeesMistakes(t *testing.T) {
	west := layout.Clusters()[0]
	calls := newBookinfoCalls(t)
	calls.page(west, west, west)
	td := calls.throughTheHub()
	// The span of one called side is lost: its role is gone, and the call leads to a node of its own.
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			ss.Spans().RemoveIf(func(s ptrace.Span) bool {
				v, _ := s.Attributes().Get("url.full")
				return s.Kind() == ptrace.SpanKindServer && strings.Contains(v.AsString(), "/ratings")
			})
		}
	}
	m, _ := mapperOf(t, nil)
	b := &items.Batch{}
	m.Traces(td, b)
	drawn := appmap.Build(deliver(t, strictEndpoint(t), b))
	var truth appmap.Graph
	for _, call := range calls.made {
		if call.from != nil {
			truth.Called(call.from.Service+"."+call.from.Namespace+"@"+west.Name, call.to.Service+"."+call.to.Namespace+"@"+west.Name)
		}
	}
	assert.Equal(t, []string{
		`missing arrow "reviews.bookinfo@aks-westeurope" -> "ratings.bookinfo@aks-westeurope"`,
		`missing component "ratings.bookinfo@aks-westeurope"`,
		`phantom dependency node "ratings.bookinfo@aks-westeurope" of type "HTTP", called by "reviews.bookinfo@aks-westeurope" (2 calls)`,
	}, drawn.Diff(truth))
}

// bookinfoCalls makes the spans of pages of bookinfo, as the proxies of the demo's mesh make them.
type bookinfoCalls struct {
	t       *testing.T
	td      ptrace.Traces
	made    []madeCall
	spans   int
	ids     uint64
	records map[string]string
}

// madeCall is one call; from is nil for one from outside of the mesh.
type madeCall struct {
	from *layout.Pod
	to   layout.Pod
}

func newBookinfoCalls(t *testing.T) *bookinfoCalls {
	return &bookinfoCalls{t: t, td: ptrace.NewTraces(), records: map[string]string{}}
}

func otherThan(c layout.Cluster) layout.Cluster {
	for _, other := range layout.Clusters() {
		if other.Name != c.Name {
			return other
		}
	}
	return c
}

// page makes one trace for each version of reviews: a page of the cluster at, with reviews and ratings of the clusters
// named.
func (b *bookinfoCalls) page(at, reviewsAt, ratingsAt layout.Cluster) {
	for _, reviews := range reviewsAt.PodsOf("reviews") {
		trace := b.next()
		ingress, page := at.PodsOf("istio-ingressgateway")[0], at.PodsOf("productpage")[0]
		request := b.span(trace, 0, "ingress-gateway", ingress, page)
		b.made = append(b.made, madeCall{nil, ingress})
		attempt := b.span(trace, request, "ingress-gateway-upstream", ingress, page)
		asked := b.answer(trace, attempt, ingress, page)
		b.call(trace, asked, page, at.PodsOf("details")[0])
		answered := b.call(trace, asked, page, reviews)
		if reviews.Version != "v1" {
			b.call(trace, answered, reviews, ratingsAt.PodsOf("ratings")[0])
		}
	}
}

// call makes the two spans of a call between sidecars and returns that of the called side.
func (b *bookinfoCalls) call(trace, parent uint64, from, to layout.Pod) uint64 {
	file := "sidecar-outbound"
	if from.Cluster.Name != to.Cluster.Name {
		file = "sidecar-outbound-remote"
	}
	return b.answer(trace, b.span(trace, parent, file, from, to), from, to)
}

func (b *bookinfoCalls) answer(trace, parent uint64, from, to layout.Pod) uint64 {
	b.made = append(b.made, madeCall{&from, to})
	file := "sidecar-inbound"
	if from.Cluster.Name != to.Cluster.Name {
		file = "sidecar-inbound-remote"
	}
	return b.span(trace, parent, file, to, from)
}

func (b *bookinfoCalls) next() uint64 { b.ids++; return b.ids }

// recordedPods are the pods of the recordings: who reported, and who was at the other end.
func recordedPods(file string) (near, far layout.Pod) {
	west, north := layout.Clusters()[0], layout.Clusters()[1]
	page := west.PodsOf("productpage")[0]
	switch file {
	case "sidecar-outbound":
		return page, west.PodsOf("details")[0]
	case "sidecar-inbound":
		return west.PodsOf("details")[0], page
	case "sidecar-outbound-remote":
		return page, north.PodsOf("reviews")[0]
	case "sidecar-inbound-remote":
		return north.PodsOf("reviews")[0], page
	default:
		return west.PodsOf("istio-ingressgateway")[0], page
	}
}

// span adds a recorded span with other pods, and returns its id.
func (b *bookinfoCalls) span(trace, parent uint64, file string, near, far layout.Pod) uint64 {
	b.t.Helper()
	wasNear, wasFar := recordedPods(file)
	var pairs []string
	for _, text := range []func(layout.Pod) string{
		layout.Pod.EndpointMetadata, func(p layout.Pod) string { return p.Name }, func(p layout.Pod) string { return p.ServiceAccount },
		func(p layout.Pod) string { return p.Workload }, func(p layout.Pod) string { return p.IP },
		func(p layout.Pod) string { return p.Cluster.PodsOf("istio-eastwestgateway")[0].IP },
		func(p layout.Pod) string { return p.Service }, func(p layout.Pod) string { return p.Cluster.Name },
	} {
		pairs = append(pairs, text(wasNear), text(near), text(wasFar), text(far))
	}
	td := b.recorded(file)
	rs := td.ResourceSpans().At(0)
	replace := strings.NewReplacer(pairs...)
	s := rs.ScopeSpans().At(0).Spans().At(0)
	for _, attributes := range []pcommon.Map{rs.Resource().Attributes(), s.Attributes()} {
		for _, v := range attributes.All() {
			v.SetStr(replace.Replace(v.Str()))
		}
	}
	s.SetName(replace.Replace(s.Name()))
	id := b.next()
	var traceID pcommon.TraceID
	var spanID, parentID pcommon.SpanID
	binary.BigEndian.PutUint64(traceID[8:], trace)
	binary.BigEndian.PutUint64(spanID[:], id)
	binary.BigEndian.PutUint64(parentID[:], parent)
	s.SetTraceID(traceID)
	s.SetSpanID(spanID)
	s.SetParentSpanID(parentID)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(caseTime))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(caseTime.Add(12 * time.Millisecond)))
	rs.MoveTo(b.td.ResourceSpans().AppendEmpty())
	b.spans++
	return id
}

func (b *bookinfoCalls) recorded(file string) ptrace.Traces {
	text, ok := b.records[file]
	if !ok {
		raw, err := os.ReadFile(filepath.Join(root, "test", "recordings", "testdata", "spans", file+".json"))
		require.NoError(b.t, err)
		text = string(raw)
		for key, digits := range map[string]int{"traceId": 32, "spanId": 16, "parentSpanId": 16} {
			text = strings.ReplaceAll(text, `"`+key+`": "01"`, `"`+key+`": "`+strings.Repeat("0", digits-1)+`1"`)
		}
		b.records[file] = text
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces([]byte(text))
	require.NoError(b.t, err)
	return td
}

// throughTheHub passes the spans through the processors of the hub, which knows the whole mesh.
func (b *bookinfoCalls) throughTheHub() ptrace.Traces {
	b.t.Helper()
	file, err := mesh.Topology()
	require.NoError(b.t, err)
	snapshot, err := static.Parse(file, topology.Limits{}, time.Unix(0, 0))
	require.NoError(b.t, err)
	held := &fakeTopology{}
	held.Set(snapshot)
	host := fakeHost{componenttest.NewNopHost(), map[component.ID]component.Component{component.MustNewID("mesh_topology"): held}}
	td := b.td
	for _, f := range []processor.Factory{
		meshtopologyprocessor.NewFactory(), meshspanpairingprocessor.NewFactory(), envoysemconvprocessor.NewFactory(),
	} {
		td = allThrough(b.t, f, host, td)
	}
	require.Equal(b.t, b.spans, td.SpanCount())
	return td
}

// allThrough passes spans through a processor that may hand them on in parts.
func allThrough(t *testing.T, f processor.Factory, host component.Host, td ptrace.Traces) ptrace.Traces {
	t.Helper()
	sink := &consumertest.TracesSink{}
	p, err := f.CreateTraces(t.Context(), processortest.NewNopSettings(f.Type()), f.CreateDefaultConfig(), sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), host))
	require.NoError(t, p.ConsumeTraces(t.Context(), td))
	require.NoError(t, p.Shutdown(context.Background()))
	all := ptrace.NewTraces()
	for _, part := range slices.Clone(sink.AllTraces()) {
		part.ResourceSpans().MoveAndAppendTo(all.ResourceSpans())
	}
	return all
}
