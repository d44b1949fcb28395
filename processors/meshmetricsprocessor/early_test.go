// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/metadatatest"
)

// called is one way of calls of a proxy: to whom, where they are answered, and how.
type called struct{ service, region, flags string }

// proxy counts calls as a sidecar of westeurope does.
type proxy struct {
	name  string
	calls map[called]float64
}

func (x *proxy) call(n float64, ways ...called) {
	for _, way := range ways {
		x.calls[way] += n
	}
}

func (x *proxy) scrape() pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.instance.id", x.name)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(scrapeScope)
	m := sm.Metrics().AppendEmpty()
	m.SetName("istio_requests_total")
	m.SetEmptySum().SetIsMonotonic(true)
	m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for way, n := range x.calls {
		point := m.Sum().DataPoints().AppendEmpty()
		point.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		point.SetDoubleValue(n)
		way.labels(point.Attributes())
	}
	return md
}

func (c *called) labels(attrs pcommon.Map) {
	attrs.PutStr("reporter", "source")
	attrs.PutStr("destination_service_name", c.service)
	attrs.PutStr("destination_service_namespace", "shop")
	attrs.PutStr("response_flags", c.flags)
	attrs.PutStr("mesh.source.cluster", "aks-westeurope")
	attrs.PutStr("mesh.source.region", "westeurope")
	attrs.PutStr("mesh.source.workload", "web")
	if c.region != "" {
		attrs.PutStr("mesh.destination.service", c.service)
		attrs.PutStr("mesh.destination.cluster", "aks-"+c.region)
		attrs.PutStr("mesh.destination.region", c.region)
	}
}

var (
	reviewsHere, ratingsHere = called{"reviews", "westeurope", "-"}, called{"ratings", "westeurope", "-"}
	reviewsAway, ratingsAway = called{"reviews", "northeurope", "-"}, called{"ratings", "northeurope", "-"}
	reviewsDown              = called{"reviews", "", "UF,URX"}
)

// arrival is a hand-over.
type arrival struct {
	at     time.Duration
	points int
	// calls are those of each way.
	calls map[called]float64
}

// arrivals is who gets what is handed over.
type arrivals struct {
	mu     sync.Mutex
	began  time.Time
	list   []arrival
	refuse func() error
}

func (*arrivals) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (a *arrivals) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuse != nil {
		if err := a.refuse(); err != nil {
			return err
		}
	}
	one := arrival{at: time.Since(a.began), points: md.DataPointCount(), calls: map[called]float64{}}
	for _, rm := range md.ResourceMetrics().All() {
		for _, p := range rm.ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().All() {
			way := called{text(p.Attributes(), "destination_service_name"), text(p.Attributes(), "mesh.destination.region"), text(p.Attributes(), "response_flags")}
			one.calls[way] += p.DoubleValue()
		}
	}
	a.list = append(a.list, one)
	return nil
}

// first returns when calls of a way first arrived.
func (a *arrivals) first(way called) (time.Duration, arrival) {
	for _, one := range a.list {
		if one.calls[way] > 0 {
			return one.at, one
		}
	}
	return -1, arrival{}
}

func (a *arrivals) all(way called) (n float64) {
	for _, one := range a.list {
		n += one.calls[way]
	}
	return n
}

// node is an agent with two proxies that it scrapes every 15 seconds, three and eight seconds after the quarter of a minute.
type node struct {
	t       *testing.T
	tel     *componenttest.Telemetry
	p       *meshMetrics
	out     *arrivals
	proxies [2]*proxy
	began   time.Time
	// happens is what is done each second.
	happens func(at time.Duration, x *proxy)
}

func newNode(t *testing.T, change func(*Config)) *node {
	n := &node{t: t, began: time.Now(), out: &arrivals{began: time.Now()}}
	n.p, n.tel = startOne(t, n.out, change)
	for i, name := range []string{"web-0", "web-1"} {
		n.proxies[i] = &proxy{name, map[called]float64{}}
	}
	return n
}

func startOne(t *testing.T, next consumer.Metrics, change func(*Config)) (*meshMetrics, *componenttest.Telemetry) {
	tel := componenttest.NewTelemetry()
	config := createDefaultConfig().(*Config)
	if change != nil {
		change(config)
	}
	require.NoError(t, config.Validate())
	p, err := newMeshMetrics(metadatatest.NewSettings(tel), config, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		// A test that failed has to end, too.
		_ = p.Shutdown(context.WithoutCancel(t.Context()))
	})
	return p, tel
}

// run lets time pass.
func (n *node) run(long time.Duration) {
	for range int(long / time.Second) {
		time.Sleep(time.Second)
		n.second(time.Since(n.began))
		synctest.Wait()
	}
}

func (n *node) second(at time.Duration) {
	for i, x := range n.proxies {
		n.happens(at, x)
		if int(at.Seconds())%15 == 3+5*i {
			require.NoError(n.t, n.p.ConsumeMetrics(n.t.Context(), x.scrape()))
		}
	}
}

// counted returns what a counter says by reason.
func (n *node) counted(name string) map[string]int64 {
	found := map[string]int64{}
	m, err := n.tel.GetMetric(name)
	if err != nil {
		return found
	}
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		v, _ := p.Attributes.Value("reason")
		found[v.AsString()] = p.Value
	}
	return found
}

func (n *node) handovers() map[string]int64 {
	return n.counted("otelcol_processor_mesh_metrics_handovers")
}

// last is a scrape of all.
func (n *node) last() {
	for _, x := range n.proxies {
		require.NoError(n.t, n.p.ConsumeMetrics(n.t.Context(), x.scrape()))
	}
}

func (n *node) stop() {
	require.NoError(n.t, n.p.Shutdown(n.t.Context()))
	require.NoError(n.t, n.tel.Shutdown(context.WithoutCancel(n.t.Context())))
}

// TestAFailoverGoesOnEarly has the calls of a service fail for four seconds and then go to the other region, half a minute
// before the end of an interval.
func TestAFailoverGoesOnEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		const fails, shifts = 10*time.Minute + 5*time.Second, 10*time.Minute + 9*time.Second
		n.happens = func(at time.Duration, x *proxy) {
			x.call(1, ratingsHere)
			switch {
			case at > shifts:
				x.call(1, reviewsAway)
			case at > fails:
				x.call(1, reviewsDown)
			default:
				x.call(1, reviewsHere)
			}
		}
		n.run(fails)
		require.Equal(t, map[string]int64{"interval": 10}, n.handovers(), "nothing is urgent as long as nothing happens")
		n.run(10 * time.Minute)
		at, one := n.out.first(reviewsAway)
		require.Greater(t, at, shifts)
		require.LessOrEqual(t, at, shifts+15*time.Second+n.p.config.Early.MinGap, "a scrape, and the gap after the failures were told")
		require.Len(t, one.calls, 4, "all that was added up, not only what is urgent")
		require.Positive(t, one.calls[ratingsHere])
		require.Positive(t, one.calls[reviewsHere])
		require.Positive(t, one.calls[reviewsDown])
		counted := n.handovers()
		require.EqualValues(t, 20, counted["interval"], "the intervals stay where they were")
		require.LessOrEqual(t, counted["shift"]+counted["failures"], int64(3))
		require.Empty(t, n.counted("otelcol_processor_mesh_metrics_withheld_handovers"))
		n.last()
		n.stop()
		for _, way := range []called{ratingsHere, reviewsHere, reviewsDown, reviewsAway} {
			var sum float64
			for _, x := range n.proxies {
				sum += x.calls[way]
			}
			if way == ratingsHere || way == reviewsHere {
				// What the first scrape had was counted before anybody watched.
				sum -= 3 + 8
			}
			require.InDelta(t, sum, n.out.all(way), 0, "%v: nothing twice, nothing lost", way)
		}
	})
}

// TestWithoutEarly is the same without it: the figures would be those of the interval.
func TestWithoutEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, func(c *Config) { c.Early.Burst = 0 })
		const shifts = 10*time.Minute + 9*time.Second
		n.happens = func(at time.Duration, x *proxy) {
			if at > shifts {
				x.call(1, reviewsAway)
			} else {
				x.call(1, reviewsHere)
			}
		}
		n.run(12 * time.Minute)
		at, _ := n.out.first(reviewsAway)
		require.Equal(t, 11*time.Minute, at)
		require.Equal(t, map[string]int64{"interval": 12}, n.handovers())
		n.stop()
	})
}

// TestTheStartIsNotUrgent has everything be new: calls elsewhere, failures, a service that begins to be called.
func TestTheStartIsNotUrgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		n.happens = func(at time.Duration, x *proxy) {
			x.call(1, reviewsHere, reviewsAway, reviewsDown)
			if at > 10*time.Minute {
				x.call(1, ratingsAway)
			}
			if at > 12*time.Minute {
				x.call(1, ratingsHere)
			}
		}
		n.run(20 * time.Minute)
		require.Equal(t, map[string]int64{"interval": 20}, n.handovers())
		n.stop()
	})
}

// TestWhatFlickersIsBounded has calls go elsewhere and fail for half a minute in each six minutes, for four hours.
func TestWhatFlickersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hours = 4
		points := map[bool]int{}
		for _, early := range []bool{false, true} {
			n := newNode(t, func(c *Config) {
				if !early {
					c.Early.Burst = 0
				}
			})
			n.happens = func(at time.Duration, x *proxy) {
				x.call(1, ratingsHere, reviewsHere)
				switch minute := at % (6 * time.Minute); {
				case minute < 15*time.Second:
					x.call(1, reviewsDown)
				case minute < 30*time.Second:
					x.call(2, reviewsAway)
				}
			}
			n.run(hours * time.Hour)
			for i, one := range n.out.list {
				points[early] += one.points
				if one.at%time.Minute != 0 && i > 0 {
					require.GreaterOrEqual(t, one.at-n.out.list[i-1].at, n.p.config.Early.MinGap, "not shorter than a scrape interval")
				}
			}
			counted := n.handovers()
			require.EqualValues(t, hours*60, counted["interval"])
			extra := counted["shift"] + counted["failures"]
			withheld := n.counted("otelcol_processor_mesh_metrics_withheld_handovers")
			if early {
				require.LessOrEqual(t, extra, int64(n.p.config.Early.Burst+hours*6), "one in ten minutes, after the burst")
				require.GreaterOrEqual(t, extra, int64(hours*5), "those that there may be")
				require.Positive(t, withheld["shift"])
				require.Positive(t, withheld["failures"])
			} else {
				require.Zero(t, extra)
				require.Empty(t, withheld)
			}
			n.stop()
		}
		// Bytes are by the point: a tenth more hand-overs and the burst, of which each has all series that there are.
		require.Less(t, float64(points[true]), 1.25*float64(points[false]))
	})
}

// TestTheLastHalfIsForCallsThatMoved has failures come and go until what they may have is used up. Then calls move.
func TestTheLastHalfIsForCallsThatMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		const shifts = 30*time.Minute + 20*time.Second
		n.happens = func(at time.Duration, x *proxy) {
			switch {
			case at > shifts:
				x.call(1, reviewsAway)
			case at > 5*time.Minute && at%(5*time.Minute) < 10*time.Second:
				x.call(1, reviewsDown)
			default:
				x.call(1, reviewsHere)
			}
		}
		n.run(32 * time.Minute)
		at, _ := n.out.first(reviewsAway)
		require.LessOrEqual(t, at, shifts+15*time.Second+n.p.config.Early.MinGap)
		require.Positive(t, n.handovers()["shift"])
		require.Positive(t, n.counted("otelcol_processor_mesh_metrics_withheld_handovers")["failures"])
		n.stop()
	})
}

// TestThroughTheTier has an agent report to the place in its cluster where all of them are added up, which is early, too.
func TestThroughTheTier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &arrivals{began: time.Now()}
		tier, tel := startOne(t, out, nil)
		// Its intervals are not those of the agent.
		time.Sleep(20 * time.Second)
		n := newNode(t, nil)
		n.p.next = tier
		const shifts = 10*time.Minute + 9*time.Second
		n.happens = func(at time.Duration, x *proxy) {
			x.call(1, ratingsHere)
			if at > shifts {
				x.call(1, reviewsAway)
			} else {
				x.call(1, reviewsHere)
			}
		}
		n.run(shifts)
		calm := len(out.list)
		n.run(2 * time.Minute)
		at, one := out.first(reviewsAway)
		at -= 20 * time.Second
		require.Greater(t, at, shifts)
		require.LessOrEqual(t, at, shifts+15*time.Second+2*n.p.config.Early.MinGap, "a scrape, and a gap at each of both")
		require.Positive(t, one.calls[ratingsHere])
		for _, one := range out.list[:calm] {
			require.Zero(t, one.at%time.Minute, "nothing early before that")
		}
		n.last()
		n.stop()
		require.NoError(t, tier.Shutdown(t.Context()))
		require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context())))
		require.InDelta(t, n.proxies[0].calls[reviewsAway]+n.proxies[1].calls[reviewsAway], out.all(reviewsAway), 0)
	})
}

// TestARefusedEarlyHandOver loses nothing and does not try again before the interval ends, unless more happens.
func TestARefusedEarlyHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		refused := 0
		n.happens = func(at time.Duration, x *proxy) {
			if at > 5*time.Minute {
				x.call(1, reviewsAway)
			} else {
				x.call(1, reviewsHere)
			}
		}
		n.run(5 * time.Minute)
		n.out.refuse = func() error { refused++; return context.DeadlineExceeded }
		n.run(59 * time.Second)
		require.Positive(t, refused)
		require.LessOrEqual(t, refused, 3)
		n.out.refuse = nil
		require.Zero(t, n.handovers()["shift"], "nobody took it")
		n.last()
		n.run(time.Minute)
		n.last()
		n.stop()
		require.InDelta(t, n.proxies[0].calls[reviewsAway]+n.proxies[1].calls[reviewsAway], n.out.all(reviewsAway), 0)
	})
}

// TestASteadyMeshIsNeverEarly is the mesh that bytes are compared on, of which a quarter of the services are called in another
// region, for some minutes: the figures are those of the interval alone.
func TestASteadyMeshIsNeverEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mesh{workloads: 2, pods: 2, callees: 5, codes: 2, zones: 1, busy: 10, both: true}
		n := newNode(t, nil)
		n.p.next = consumertest.NewNop()
		time.Sleep(5 * time.Second) // Between two ends of intervals.
		const minutes = 12
		for scrape := range minutes * 4 {
			for workload := range m.workloads {
				for pod := range m.pods {
					require.NoError(t, n.p.ConsumeMetrics(t.Context(), m.scrape(0, workload, pod, ranFor+scrape)))
				}
			}
			time.Sleep(every)
		}
		require.Positive(t, n.p.early.Len())
		require.Equal(t, map[string]int64{"interval": minutes}, n.handovers())
		n.stop()
	})
}
