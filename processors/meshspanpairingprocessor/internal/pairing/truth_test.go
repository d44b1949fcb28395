// SPDX-License-Identifier: Apache-2.0

package pairing

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
	"unique"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// world makes traces of which it knows who called whom, and spans that tell less than that.
type world struct {
	rnd    *rand.Rand
	trace  TraceID
	nextID uint64
	facts  []Facts
	truth  []truth
}

// truth is who called whom in the span of the same index. complete says that all spans together tell it.
type truth struct {
	source, destination mesh.End
	via                 string
	complete            bool
}

var clusters = []string{"west", "north", "east"}

func (w *world) workload() mesh.End {
	service := "service-" + strconv.Itoa(w.rnd.IntN(8))
	c := clusters[w.rnd.IntN(len(clusters))]
	return mesh.End{Cluster: c, Region: c + "europe", Namespace: "shop", Workload: service + "-v" + strconv.Itoa(w.rnd.IntN(2)), Service: service}
}

func (w *world) id() (id SpanID) {
	w.nextID++
	binary.BigEndian.PutUint64(id[:], w.nextID)
	return id
}

func hashOf(text string) (n uint64) {
	for _, c := range text {
		n = n*31 + uint64(c)
	}
	return n + 1
}

func (w *world) add(f Facts, source, destination mesh.End, complete bool) {
	f.Trace, f.GRPC, f.Named = w.trace, -1, f.Named || f.Side == Callee
	w.facts = append(w.facts, f)
	via := viaOf(source, destination)
	if f.Call.Via == "" && w.rnd.IntN(3) > 0 {
		w.facts[len(w.facts)-1].Call.Via = via
	}
	w.truth = append(w.truth, truth{source, destination, via, complete})
}

// viaOf is the gateway that carries a call from cluster to cluster.
func viaOf(source, destination mesh.End) string {
	if source.Cluster == destination.Cluster {
		return ""
	}
	return destination.Cluster + "/gateway"
}

// farDestination is what a proxy at the calling end may know of the called end.
func (w *world) farDestination(d mesh.End) (mesh.End, mesh.Resolution) {
	switch w.rnd.IntN(6) {
	case 0:
		return d, mesh.ByIP
	case 1:
		return mesh.End{Cluster: d.Cluster, Namespace: d.Namespace, Service: d.Service}, mesh.ByGateway
	case 2:
		return mesh.End{Cluster: d.Cluster}, mesh.ByEndpointMetadata
	}
	return mesh.End{Namespace: d.Namespace, Service: d.Service}, mesh.UnknownNoAddress
}

// farSource is what a proxy at the called end may know of the calling end.
func (w *world) farSource(s mesh.End) (mesh.End, mesh.Resolution) {
	switch w.rnd.IntN(5) {
	case 0:
		return s, mesh.ByIP
	case 1:
		return mesh.End{Namespace: s.Namespace}, mesh.UnknownNodeAddress
	case 2:
		return mesh.End{Cluster: s.Cluster, Namespace: s.Namespace}, mesh.ByTrustDomain
	}
	return mesh.End{}, mesh.UnknownBehindGateway
}

func (w *world) server(parent SpanID, source, at mesh.End, host string, outcome uint16, lasted time.Duration, direct bool, depth int) {
	id := w.id()
	far, by := w.farSource(source)
	w.add(Facts{
		Span: id, Parent: parent, Side: Callee, Call: stamped(far, by, at, mesh.ByTag), Proxy: hashOf(at.Cluster + at.Workload),
		Upstream: 7, Host: hashOf(host), Duration: lasted, Code: outcome, CutOff: outcome == 0, Local: outcome == 0,
	}, source, at, direct)
	for depth > 0 && w.rnd.IntN(2) == 0 {
		w.call(id, at, depth-1)
		depth--
	}
}

// relayed is a call to a proxy outside of the mesh, which passes the headers on to somebody else.
func (w *world) relayed(parent SpanID, source mesh.End, depth int) {
	id, middle, at := w.id(), w.workload(), w.workload()
	middle.Service, middle.Workload = "proxy", "proxy"
	w.add(Facts{
		Span: id, Parent: parent, Side: Caller, Named: true, Call: stamped(source, mesh.ByTag, mesh.End{Namespace: "shop", Service: "proxy"}, mesh.UnknownNoAddress),
		Proxy: hashOf(source.Cluster + source.Workload), Upstream: 9, Host: hashOf("proxy"), Duration: time.Second, Code: 200,
	}, source, middle, false)
	w.server(id, middle, at, at.Service, 200, time.Second/2, false, depth)
}

// call makes the spans of one call with up to three attempts, as Envoy makes them: by a sidecar, or by a gateway with a
// span for each attempt.
func (w *world) call(parent SpanID, source mesh.End, depth int) {
	if w.rnd.IntN(8) == 0 {
		w.relayed(parent, source, depth)
		return
	}
	id, isGateway := w.id(), w.rnd.IntN(4) == 0
	target := w.workload()
	attempts := 1
	for attempts < 3 && w.rnd.IntN(4) == 0 {
		attempts++
	}
	outcome := []uint16{200, 200, 404, 503, 0}[w.rnd.IntN(5)]
	f := Facts{
		Span: id, Parent: parent, Side: Caller, Named: true, Gateway: isGateway, Proxy: hashOf(source.Cluster + source.Workload),
		Upstream: hashOf(target.Service), Host: hashOf(target.Service), Duration: time.Second, Code: outcome,
	}
	switch {
	case outcome == 0:
		f.Code, f.Local = 504, true
	case outcome == 503 && attempts > 1:
		f.Local, f.Exhausted = true, true
	}
	at := target
	for n := range attempts {
		if n > 0 {
			// The next attempt goes to any workload of the service.
			at.Cluster = clusters[w.rnd.IntN(len(clusters))]
			at.Region = at.Cluster + "europe"
		}
		lasted, code := time.Second/4, uint16(503)
		if n == attempts-1 {
			code = outcome
			if code == 0 && attempts == 1 {
				lasted = time.Second * 95 / 100
			}
		}
		above := id
		if isGateway {
			above = w.attempt(id, &f, source, at, code)
		}
		w.server(above, source, at, target.Service, code, lasted, true, depth)
	}
	far, by := w.farDestination(at)
	f.Call = stamped(source, mesh.ByTag, far, by)
	w.add(f, source, at, !f.Exhausted && (outcome != 0 || attempts == 1))
}

func (w *world) attempt(parent SpanID, root *Facts, source, at mesh.End, code uint16) SpanID {
	f := *root
	f.Span, f.Parent, f.Named, f.Gateway, f.Host, f.Code = w.id(), parent, false, false, 0, code
	f.Local, f.Exhausted, f.CutOff = code == 0, false, false
	far, by := w.farDestination(at)
	f.Call = stamped(source, mesh.ByTag, far, by)
	if code == 0 {
		f.Duration = time.Second * 96 / 100
	}
	w.add(f, source, at, code != 0)
	return f.Span
}

func right(said, want string) bool { return said == "" || said == want }

func checkEnd(t *testing.T, said unique.Handle[mesh.End], want mesh.End) {
	t.Helper()
	e := said.Value()
	require.True(t, right(e.Cluster, want.Cluster) && right(e.Workload, want.Workload) && right(e.Region, want.Region), "%+v is not %+v", e, want)
}

// TestNeverAWrongEnd lets spans come in any order, twice, late or never, and looks at all of them after each.
func TestNeverAWrongEnd(t *testing.T) {
	known, complete := 0, 0
	for seed := range uint64(600) {
		w := &world{rnd: rand.New(rand.NewPCG(seed, 1)), trace: TraceID{1, 15: byte(seed)}}
		w.call(SpanID{0: 9}, w.workload(), 4)
		lossless := seed%2 == 0
		var order []int
		for i := range w.facts {
			switch n := w.rnd.IntN(10); {
			case n == 0 && !lossless:
			case n == 1:
				order = append(order, i, i)
			default:
				order = append(order, i)
			}
		}
		w.rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		s := newStore(5 * time.Second)
		entries := map[int]*Entry{}
		var b Batch
		for n, i := range order {
			now := start.Add(time.Duration(n) * time.Duration(w.rnd.IntN(300)) * time.Millisecond)
			entries[i] = s.Add(&w.facts[i], now, &b)
			for i, e := range entries {
				checkEnd(t, e.now.source, w.truth[i].source)
				checkEnd(t, e.now.destination, w.truth[i].destination)
				require.True(t, right(e.now.via.Value(), w.truth[i].via), "%q is not %q", e.now.via.Value(), w.truth[i].via)
			}
		}
		for i, e := range entries {
			if w.truth[i].complete && lossless {
				complete++
				if e.now.source.Value().Workload != "" && e.now.destination.Value().Workload != "" && e.now.sourceBy.Known() && e.now.destinationBy.Known() {
					known++
				}
			}
		}
	}
	require.Positive(t, complete)
	t.Logf("%d of %d spans know both ends", known, complete)
	assert.GreaterOrEqual(t, float64(known)/float64(complete), 0.98)
}
