// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
	"github.com/otelcol-mesh/otelcol-mesh/internal/points"
)

// Feed reads metrics and traces. Any number of goroutines may use it at once.
type Feed struct {
	// Ejected, if it is set before the first use, gets what Envoys tell of hosts that outlier detection took out. What it
	// is handed may not be kept.
	Ejected func(*Ejection)

	hasher  hasher
	walkers sync.Pool
	tracers sync.Pool
}

// Ejection is how many hosts of a service a proxy's outlier detection holds out of use. Envoy does not tell where these
// hosts are: the number is about all places at once.
type Ejection struct {
	// Proxy tells proxies apart, Series what one tells: it has a number for each port and subset of a service.
	Proxy, Series ID
	// Caller is the workload of the proxy.
	Caller graph.Caller
	// Namespace and Service are those that were called.
	Namespace, Service string
	// Hosts is the number now, 0 if all are in use.
	Hosts uint64
	Time  time.Time
}

// New returns a feed. Points that are to be recognized after a restart need the same seed.
func New(seed [16]byte) *Feed {
	f := &Feed{hasher: newHasher(seed)}
	f.walkers.New = func() any { return &walker{feed: f} }
	f.tracers.New = func() any { return &tracer{} }
	return f
}

// Metrics hands each data point about an edge to add, and says what became of all of them. The point is used again for
// the next one. An error of add means that the point was taken in part.
func (f *Feed) Metrics(md pmetric.Metrics, add func(ID, *graph.Point) error) Counts {
	w := f.walkers.Get().(*walker)
	w.add = add
	for _, rm := range md.ResourceMetrics().All() {
		w.resourceMetrics(rm)
	}
	counts := w.counts
	w.release()
	f.walkers.Put(w)
	return counts
}

// walker goes through metrics. It keeps its buffers from one request to the next, and none of the request's texts.
type walker struct {
	feed   *Feed
	add    func(ID, *graph.Point) error
	counts Counts

	// resource and scope identify what is walked through; a resource without points of edges is not hashed.
	attrs    pmetric.ResourceMetrics
	hashed   bool
	resource sum128
	metric   sum128

	quantity quantity
	tcp      bool
	read     reading
	ejection Ejection
	exp      exphist.Points
	bounds   []float64
	buckets  []uint64
}

func (w *walker) release() {
	w.add, w.counts, w.attrs = nil, Counts{}, pmetric.ResourceMetrics{}
	w.read, w.ejection = reading{}, Ejection{}
}

func (w *walker) resourceMetrics(rm pmetric.ResourceMetrics) {
	w.attrs, w.hashed = rm, false
	for _, sm := range rm.ScopeMetrics().All() {
		for _, m := range sm.Metrics().All() {
			w.quantity, w.tcp = quantityOf(m.Name())
			if w.quantity == nothing || w.quantity == ejected && w.feed.Ejected == nil {
				w.counts[OtherMetric] += points.Of(m)
				continue
			}
			w.identify(sm, m)
			w.points(m)
		}
	}
}

// identify hashes what all points of a metric have in common. The name is not the scope's alone: Envoy's and Istio's
// metrics come under one.
func (w *walker) identify(sm pmetric.ScopeMetrics, m pmetric.Metric) {
	if !w.hashed {
		w.resource, w.hashed = w.feed.hasher.resource(w.attrs.Resource().Attributes()), true
	}
	scope := w.resource.text(sm.Scope().Name()).text(sm.Scope().Version())
	w.metric = scope.text(m.Name()).text(m.Unit()).fold(uint64(m.Type()))
}
