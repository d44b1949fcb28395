// SPDX-License-Identifier: Apache-2.0

package pairing

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/callattr"
)

func id(n byte) SpanID { return SpanID{7: n} }

var (
	frontend = mesh.End{Cluster: "west", Region: "westeurope", Namespace: "shop", Workload: "frontend-v1", Service: "frontend"}
	ingress  = mesh.End{Cluster: "west", Region: "westeurope", Namespace: "istio-system", Workload: "ingress", Service: "ingress"}
	backend  = mesh.End{Cluster: "north", Region: "northeurope", Namespace: "shop", Workload: "backend-v1", Service: "backend"}
	backend2 = mesh.End{Cluster: "west", Region: "westeurope", Namespace: "shop", Workload: "backend-v2", Service: "backend"}
	other    = mesh.End{Cluster: "west", Region: "westeurope", Namespace: "shop", Workload: "other", Service: "other"}
	named    = mesh.End{Namespace: "shop", Service: "backend"}
)

// stamped makes a call as mesh_topology stamps it.
func stamped(source mesh.End, sourceBy mesh.Resolution, destination mesh.End, destinationBy mesh.Resolution) callattr.Call {
	c := callattr.Call{TLS: mesh.TLSUnknown}
	c.Source, c.Destination = source, destination
	c.Set(callattr.SourceResolution, pcommon.NewValueStr(sourceBy.String()))
	c.Set(callattr.DestinationResolution, pcommon.NewValueStr(destinationBy.String()))
	return c
}

var trace = TraceID{1}

// client is the span of an outbound sidecar, which does not know whom it reached.
func client(span, parent byte, change ...func(*Facts)) Facts {
	f := Facts{
		Trace: trace, Span: id(span), Parent: id(parent), Side: Caller, Named: true, GRPC: -1, Code: 200,
		Call:  stamped(frontend, mesh.ByTag, named, mesh.UnknownNoAddress),
		Proxy: 1, Upstream: 100, Host: 1000, Duration: 50 * time.Millisecond,
	}
	return changed(f, change)
}

// server is the span of an inbound sidecar behind an east/west gateway.
func server(span, parent byte, at mesh.End, change ...func(*Facts)) Facts {
	f := Facts{
		Trace: trace, Span: id(span), Parent: id(parent), Side: Callee, Named: true, GRPC: -1, Code: 200,
		Call:  stamped(mesh.End{}, mesh.UnknownBehindGateway, at, mesh.ByTag),
		Proxy: 2, Upstream: 200, Host: 1000, Duration: 20 * time.Millisecond,
	}
	f.Call.Via = "north/istio-system/eastwest"
	return changed(f, change)
}

func changed(f Facts, change []func(*Facts)) Facts {
	for _, c := range change {
		c(&f)
	}
	return f
}

func code(n uint16) func(*Facts)           { return func(f *Facts) { f.Code = n } }
func host(n uint64) func(*Facts)           { return func(f *Facts) { f.Host = n } }
func grpc(n int8) func(*Facts)             { return func(f *Facts) { f.GRPC = n } }
func lasting(d time.Duration) func(*Facts) { return func(f *Facts) { f.Duration = d } }
func gaveUp(f *Facts)                      { f.Local = true }
func cutOff(f *Facts)                      { f.CutOff, f.Local = true, true }
func proxy(n uint64) func(*Facts) {
	return func(f *Facts) { f.Proxy = n }
}

func from(end mesh.End, by mesh.Resolution) func(*Facts) {
	return func(f *Facts) {
		d, dBy := f.Call.Destination, f.Call.DestinationBy
		via := f.Call.Via
		f.Call = stamped(end, by, d, dBy)
		f.Call.Via = via
	}
}

func to(end mesh.End, by mesh.Resolution) func(*Facts) {
	return func(f *Facts) {
		via := f.Call.Via
		f.Call = stamped(f.Call.Source, f.Call.SourceBy, end, by)
		f.Call.Via = via
	}
}

// attempt is the span of one attempt of a gateway.
func attempt(span, parent byte, change ...func(*Facts)) Facts {
	f := client(span, parent, from(ingress, mesh.ByTag))
	f.Named, f.Host = false, 0
	return changed(f, change)
}

func gateway(span, parent byte, change ...func(*Facts)) Facts {
	f := client(span, parent, from(ingress, mesh.ByTag))
	f.Gateway = true
	return changed(f, change)
}

func waypoint(span, parent byte, change ...func(*Facts)) Facts {
	f := Facts{
		Trace: trace, Span: id(span), Parent: id(parent), Side: Carrier, Named: true, GRPC: -1, Code: 200,
		Call:  stamped(mesh.End{}, mesh.UnknownNoAddress, named, mesh.UnknownNoAddress),
		Proxy: 3, Upstream: 300, Host: 1000, Duration: 40 * time.Millisecond,
	}
	return changed(f, change)
}

// want is what one span shall know in the end. Zero fields are not compared.
type want struct {
	source, destination string // workloads; "-" for none
	by                  string // resolution of the far end
	waits               bool
	conflict            conflicts
}

type pairingCase struct {
	name  string
	spans []Facts
	want  []want
	// late is what is known once nobody waits any more; nil if that is want too.
	late []want
	// passing are conflicts that may show in some orders.
	passing conflicts
}

func workload(e mesh.End) string {
	if e.Workload == "" {
		return "-"
	}
	return e.Workload
}

func check(t *testing.T, e *Entry, w want, passing conflicts, msg string) {
	t.Helper()
	source, destination := e.now.source.Value(), e.now.destination.Value()
	assert.Equal(t, w.source, workload(source), "source %s", msg)
	assert.Equal(t, w.destination, workload(destination), "destination %s", msg)
	if w.by != "" {
		by := e.now.destinationBy
		if e.side == Callee {
			by = e.now.sourceBy
		}
		assert.Equal(t, w.by, by.String(), "resolution %s", msg)
	}
	assert.Equal(t, w.waits, e.wants, "waits %s", msg)
	assert.Equal(t, w.conflict, e.counted&^passing, "conflicts %s", msg)
}

func newStore(wait time.Duration) *Store {
	return NewStore(Settings{Wait: wait, MaxAge: time.Minute, MaxEntries: 1000, MaxHeld: 100, MaxBytes: 1 << 20})
}

// TestPairs adds the spans of each case in every order, or in many: what is known in the end must not depend on it.
func TestPairs(t *testing.T) {
	for _, tt := range append(calls(), noCalls()...) {
		t.Run(tt.name, func(t *testing.T) {
			permute(len(tt.spans), func(order []int) {
				s := newStore(5 * time.Second)
				entries := make([]*Entry, len(tt.spans))
				var b Batch
				for _, i := range order {
					entries[i] = s.Add(&tt.spans[i], time.Unix(1000, 0), &b)
				}
				for i, w := range tt.want {
					check(t, entries[i], w, tt.passing, fmt.Sprint("of ", i, " in order ", order))
				}
				late := tt.late
				if late == nil {
					late = tt.want
				}
				for _, e := range entries {
					e.final = true
					s.settle(s.shardOf(&trace), e, Waited, &b)
				}
				for i, w := range late {
					w.waits = false
					check(t, entries[i], w, tt.passing, fmt.Sprint("of ", i, " in order ", order, " at last"))
				}
			})
		})
	}
}

// permute calls f with every order of n things, for more than five with some.
func permute(n int, f func([]int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	calls := 0
	var rec func(int)
	rec = func(k int) {
		if calls > 200 {
			return
		}
		if k == n {
			calls++
			f(order)
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			rec(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	rec(0)
}
