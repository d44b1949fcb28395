// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/metadata"
)

const scrapeScope = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver"

// life is one series of one process from its first value to its end.
type life struct {
	id  int
	now value
}

// pod is a process with series, and what the oracle knows of them.
type pod struct {
	name, workload string
	began          time.Time
	uptime         bool
	series         map[string]*life
	scraped        map[string]bool // what the scraper saw last
	known          map[string]*told
	latest         time.Time // of the scrapes that came
	process        time.Time // as the scrapes that came say
	// unseen are the series known from before a restart that did not come since; nil after the first scrape.
	unseen map[string]bool
}

// told is what has come of a series.
type told struct {
	life int
	at   time.Time
	gone time.Time
	now  value
}

// scrape is what a scraper sends.
type scrape struct {
	at, began time.Time
	alive     map[string]life
	gone      []string
	md        pmetric.Metrics
}

// world makes traffic, and says what of it can be known.
type world struct {
	t       *testing.T
	rand    *rand.Rand
	now     time.Time
	pods    []*pod
	lives   int
	began   time.Time
	expect  map[string]value
	late    []func()
	learned bool
	config  *Config
	p       *meshMetrics
	sink    *sink
	// saved is when the state was written that the process began with, images are what was known when one was written.
	saved  time.Time
	first  time.Time // since when the series are watched
	images map[int64]knowledge
	// unsent are deltas that their sender has, deltas is what it pushed.
	unsent []unsent
	deltas map[string]value
	kills  int
	seed   uint64
}

func newWorld(t *testing.T, seed uint64, config *Config) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1_800_000_000, int64(seed*123_456_789%1_000_000_000)), expect: map[string]value{},
		sink: &sink{}, seed: seed,
	}
	w.began = w.now
	config.Metrics = []MetricsConfig{{Names: []string{"istio_*"}, Attributes: []string{"mesh.*", "reporter", "response_code"}}}
	w.config = config
	w.start()
	w.sink.refuse = func() bool { return w.rand.IntN(3) == 0 }
	for i := range 6 {
		began := w.now.Add(-time.Hour)
		w.pods = append(w.pods, &pod{
			name: fmt.Sprintf("pod-%d", i), workload: fmt.Sprintf("workload-%d", i%2), began: began, uptime: i%3 != 0,
			series: map[string]*life{}, known: map[string]*told{}, scraped: map[string]bool{},
		})
	}
	return w
}

// start begins a process.
func (w *world) start() {
	p, err := newMeshMetrics(processortest.NewNopSettings(metadata.Type), w.config, w.sink)
	require.NoError(w.t, err)
	p.now = func() time.Time { return w.now }
	// Hashes order what is handed over, and so decide what is refused: a seed is one course of things, again and again.
	hashes, raw := rand.New(rand.NewPCG(w.seed, uint64(w.kills))), make([]byte, 0, seedsSize)
	for len(raw) < seedsSize {
		raw = binary.LittleEndian.AppendUint64(raw, hashes.Uint64())
	}
	p.seeds = readSeeds(raw)
	p.open()
	require.NoError(w.t, p.restore(w.t.Context()))
	w.p = p
	w.t.Cleanup(p.telemetry.Shutdown)
}

var kinds = []string{"istio_requests_total", "istio_tcp_sent_bytes_total", "istio_request_duration_milliseconds"}

func (w *world) traffic(p *pod) {
	for range w.rand.IntN(5) {
		key := fmt.Sprintf("%d %d", w.rand.IntN(len(kinds)), w.rand.IntN(4))
		l := p.series[key]
		if l == nil {
			w.lives++
			l = &life{id: w.lives}
			p.series[key] = l
		}
		n := uint64(w.rand.IntN(9))
		bucket := w.rand.IntN(4)
		switch key[0] {
		case '0':
			l.now.sum += float64(n)
		case '1':
			l.now.count += n
		default:
			l.now.count += n
			l.now.buckets[bucket] += n
			l.now.sum += float64(n * uint64(bucket))
		}
	}
}

// restart makes another process of a pod, a while after whoever scraped.
func (w *world) restart(p *pod) {
	w.now = w.now.Add(5 * time.Second)
	// It may be scraped in its first second.
	p.began = w.now.Add(time.Duration(w.rand.IntN(3)-1) * time.Second)
	p.series = map[string]*life{}
}

func (w *world) scrapeOf(p *pod, fails bool) *scrape {
	w.now = w.now.Add(time.Second)
	s := &scrape{at: w.now, began: p.began, alive: map[string]life{}}
	seen := map[string]bool{}
	if !fails {
		for key, l := range p.series {
			s.alive[key] = *l
			seen[key] = true
		}
	}
	for key := range p.scraped {
		if !seen[key] {
			s.gone = append(s.gone, key)
		}
	}
	slices.Sort(s.gone)
	p.scraped = seen
	s.md = w.metrics(p, s)
	return s
}

// metrics is a scrape as the receiver and mesh_topology make it.
func (w *world) metrics(p *pod, s *scrape) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.instance.id", p.name+":15090")
	rm.Resource().Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
	if w.learned {
		rm.Resource().Attributes().PutStr("k8s.pod.name", p.name)
		rm.Resource().Attributes().PutStr("k8s.deployment.name", p.workload)
	}
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(scrapeScope)
	if p.uptime && len(s.alive) > 0 {
		up := sm.Metrics().AppendEmpty()
		up.SetName("envoy_server_uptime")
		point := up.SetEmptyGauge().DataPoints().AppendEmpty()
		point.SetTimestamp(pcommon.NewTimestampFromTime(s.at))
		point.SetDoubleValue(float64(int64(s.at.Sub(p.began).Seconds())))
	}
	for k, name := range kinds {
		m := sm.Metrics().AppendEmpty()
		m.SetName(name)
		if k == 2 {
			m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		} else {
			m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			m.Sum().SetIsMonotonic(true)
		}
	}
	// In one order, so that a seed is one course of things.
	for _, key := range slices.Sorted(maps.Keys(s.alive)) {
		l := s.alive[key]
		w.point(p, sm, key, s.at, &l.now)
	}
	for _, key := range s.gone {
		w.point(p, sm, key, s.at, nil)
	}
	return md
}

func (w *world) point(p *pod, sm pmetric.ScopeMetrics, key string, at time.Time, v *value) {
	k := int(key[0] - '0')
	m := sm.Metrics().At(sm.Metrics().Len() - len(kinds) + k)
	var attrs pcommon.Map
	if k == 2 {
		point := m.Histogram().DataPoints().AppendEmpty()
		attrs = point.Attributes()
		point.SetTimestamp(pcommon.NewTimestampFromTime(at))
		point.ExplicitBounds().FromRaw([]float64{1, 5, 10})
		point.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(v == nil))
		if v == nil {
			point.BucketCounts().FromRaw(make([]uint64, 4))
			point.SetSum(0)
		} else {
			point.SetCount(v.count)
			point.SetSum(v.sum)
			point.BucketCounts().FromRaw(v.buckets[:])
		}
	} else {
		point := m.Sum().DataPoints().AppendEmpty()
		attrs = point.Attributes()
		point.SetTimestamp(pcommon.NewTimestampFromTime(at))
		point.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(v == nil))
		switch {
		case v == nil:
		case k == 1:
			point.SetIntValue(int64(v.count))
		default:
			point.SetDoubleValue(v.sum)
		}
	}
	w.labels(p, attrs, key[2:])
}

func (w *world) labels(p *pod, attrs pcommon.Map, code string) {
	put := []func(){
		func() { attrs.PutStr("reporter", "source") },
		func() { attrs.PutStr("source_workload", p.workload) },
		func() { attrs.PutStr("source_cluster", "unknown") },
		func() { attrs.PutStr("response_code", code) },
		func() { attrs.PutStr("request_protocol", "http") },
		func() { attrs.PutStr("mesh.source.workload", p.workload) },
		func() { attrs.PutStr("pod_ip", p.name) },
		func() { attrs.PutStr("mesh.destination.service", "reviews") },
		func() { attrs.PutStr("mesh.destination.region", []string{"westeurope", "northeurope"}[code[0]%2]) },
		func() {
			if w.learned {
				attrs.PutStr("mesh.source.cluster", "aks-westeurope")
				attrs.PutStr("mesh.source.region", "westeurope")
			}
		},
	}
	w.rand.Shuffle(len(put), func(i, j int) { put[i], put[j] = put[j], put[i] })
	for _, one := range put {
		one()
	}
}

func (w *world) deliver(p *pod, s *scrape) {
	// Refused or not: what passes beside it, Envoy's uptime, may have been.
	_ = w.p.ConsumeMetrics(w.t.Context(), s.md)
	w.expected(p, s)
}

// expected says what can be known from a scrape that came, after all that came before.
func (w *world) expected(p *pod, s *scrape) {
	latest, process := p.latest, p.process
	if p.uptime && len(s.alive) > 0 && s.began.After(process) && s.at.After(latest) {
		process = s.began
	}
	for key := range s.alive {
		delete(p.unseen, key)
	}
	for _, key := range s.gone {
		delete(p.unseen, key)
	}
	for key, l := range s.alive {
		last := p.known[key]
		var grown value
		switch {
		case last == nil:
			last = &told{}
			p.known[key] = last
			if w.fromZero(p, s, latest, process) {
				grown = l.now
			}
		case !s.at.After(last.at):
			continue
		case last.life == l.id:
			grown = l.now.minus(last.now)
		case (!last.gone.IsZero() && s.at.After(last.gone)) || (p.uptime && process.After(last.at) && !s.at.Before(process)) ||
			l.now.below(last.now) || (key[0] == '0' && l.now.sum < last.now.sum):
			grown = l.now
		default:
			// Nobody can tell.
			grown = l.now.minus(last.now)
		}
		gone := last.gone
		if s.at.After(gone) {
			gone = time.Time{}
		}
		*last = told{life: l.id, at: s.at, now: l.now, gone: gone}
		name := kinds[key[0]-'0']
		for _, total := range []string{name, name + " " + p.workload, name + " " + p.workload + " " + key[2:]} {
			v := w.expect[total]
			v.add(grown)
			w.expect[total] = v
		}
	}
	if len(s.alive) == 0 {
		return
	}
	if s.at.After(latest) {
		p.unseen = nil
	}
	for _, key := range s.gone {
		if last := p.known[key]; last != nil && s.at.After(last.at) {
			last.gone = s.at
		}
	}
	if s.at.After(p.latest) {
		p.latest = s.at
	}
	p.process = process
}

// pass hands over, at the end of an interval or before it.
func (w *world) pass() {
	if w.rand.IntN(2) == 0 {
		w.p.hurry(w.t.Context(), atShift)
	} else {
		w.p.flush(w.t.Context(), atInterval)
	}
}

// step does one thing that happens.
func (w *world) step() {
	p := w.pods[w.rand.IntN(len(w.pods))]
	switch w.rand.IntN(16) {
	case 0:
		w.restart(p)
	case 1:
		w.deliver(p, w.scrapeOf(p, true))
	case 2:
		// A series is evicted.
		if keys := slices.Sorted(maps.Keys(p.series)); len(keys) > 0 {
			delete(p.series, keys[w.rand.IntN(len(keys))])
		}
	case 3:
		s := w.scrapeOf(p, false)
		w.late = append(w.late, func() { w.deliver(p, s) })
	case 4, 5:
		if len(w.late) > 0 {
			w.late[0]()
			w.late = w.late[1:]
		}
	case 6:
		w.now = w.now.Add(time.Second)
		if w.images != nil {
			w.images[w.now.UnixNano()] = w.knows()
		}
		w.pass()
	case 7:
		// The same scrape comes twice.
		s := w.scrapeOf(p, false)
		again := pmetric.NewMetrics()
		s.md.CopyTo(again)
		w.deliver(p, s)
		_ = w.p.ConsumeMetrics(w.t.Context(), again)
	case 8:
		w.learned = true
	case 9, 10, 11:
		w.traffic(p)
	default:
		w.traffic(p)
		w.deliver(p, w.scrapeOf(p, false))
	}
}

func (w *world) settle() {
	w.sink.refuse = nil
	w.now = w.now.Add(time.Minute)
	require.Zero(w.t, w.p.flush(w.t.Context(), atInterval))
}

// TestConservation holds what is written against what can be known, over random interleavings of traffic, scrapes,
// failed, late and repeated scrapes, restarts, series that end and come back, a topology that learns, and refusals.
func TestConservation(t *testing.T) {
	for seed := range uint64(testRuns(t, 60)) {
		w := newWorld(t, seed, createDefaultConfig().(*Config))
		for range 150 {
			w.step()
		}
		w.settle()
		checkTotals(t, seed, w)
	}
}

// checkTotals compares all totals that are not nothing.
func checkTotals(t *testing.T, seed uint64, w *world) {
	for key, v := range w.expect {
		require.Equal(t, v, w.sink.totals[key], "seed %d: %s", seed, key)
	}
	for key, v := range w.sink.totals {
		require.Equal(t, w.expect[key], v, "seed %d: %s", seed, key)
	}
}

// TestConservationWithinABudget holds the same where most series overflow: each metric's and each workload's totals.
func TestConservationWithinABudget(t *testing.T) {
	for seed := range uint64(testRuns(t, 30)) {
		config := createDefaultConfig().(*Config)
		config.MaxSeries = 3
		w := newWorld(t, seed, config)
		for range 150 {
			w.step()
		}
		w.settle()
		for _, name := range kinds {
			for _, key := range []string{name, name + " workload-0", name + " workload-1"} {
				require.Equal(t, w.expect[key], w.sink.totals[key], "seed %d: %s", seed, key)
			}
		}
	}
}
