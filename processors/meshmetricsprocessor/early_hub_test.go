// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

// hub judges what the agents hand over, every four seconds, as the real one does.
type hub struct {
	detector *failover.Detector
	events   []failover.Event

	mu    sync.Mutex
	flows []failover.Flow
}

func (*hub) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// ConsumeMetrics takes each point as a flow.
func (h *hub) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, rm := range md.ResourceMetrics().All() {
		for _, p := range rm.ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().All() {
			region := text(p.Attributes(), "mesh.destination.region")
			f := failover.Flow{
				From: "westeurope", Caller: "shop/web", Service: failover.Service{Namespace: "shop", Name: text(p.Attributes(), "destination_service_name")},
				To: failover.Place{Region: region}, Version: "v1", Requests: uint64(p.DoubleValue()),
			}
			if region != "" {
				f.To.Cluster = "aks-" + region
			}
			if flags := text(p.Attributes(), "response_flags"); hasFailure(flags) {
				f.Flagged, f.Errors, f.Flags = f.Requests, f.Requests, []string{flags}
			}
			h.flows = append(h.flows, f)
		}
	}
	return nil
}

func (h *hub) step() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, h.detector.Step(&failover.Observation{At: time.Now(), Flows: h.flows})...)
	h.flows = nil
}

// region is three agents whose intervals end at other times, and a hub.
type region struct {
	nodes []*node
	hub   *hub
}

func newRegion(t *testing.T, happens func(at time.Duration, node int, x *proxy)) *region {
	detector, err := failover.New(failover.DefaultConfig())
	require.NoError(t, err)
	r := &region{hub: &hub{detector: detector}}
	began := time.Now()
	for i := range 3 {
		n := newNode(t, nil)
		n.began, n.p.next = began, r.hub
		n.happens = func(at time.Duration, x *proxy) { happens(at, i, x) }
		r.nodes = append(r.nodes, n)
		time.Sleep(13 * time.Second)
	}
	return r
}

func (r *region) run(long time.Duration) {
	for range int(long / time.Second) {
		time.Sleep(time.Second)
		at := time.Since(r.nodes[0].began)
		for _, n := range r.nodes {
			n.second(at)
		}
		synctest.Wait()
		if int(at.Seconds())%4 == 0 {
			r.hub.step()
		}
	}
}

func (r *region) stop() (early int64) {
	for _, n := range r.nodes {
		counted := n.handovers()
		early += counted["shift"] + counted["failures"]
		n.stop()
	}
	return early
}

// TestTheHubIsToldInTime has one of three callers' calls fail and then go elsewhere: the others' agents have nothing urgent.
func TestTheHubIsToldInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fails, shifts = 20*time.Minute + 5*time.Second, 20*time.Minute + 9*time.Second
		r := newRegion(t, func(at time.Duration, node int, x *proxy) {
			switch {
			case node == 0 && at > shifts:
				x.call(3, reviewsAway)
			case node == 0 && at > fails:
				x.call(3, reviewsDown)
			default:
				x.call(3, reviewsHere)
			}
		})
		r.run(22 * time.Minute)
		require.Len(t, r.hub.events, 1, "%+v", r.hub.events)
		e := r.hub.events[0]
		require.Equal(t, failover.Failover, e.Kind)
		took := e.Start.Sub(r.nodes[0].began.Add(shifts))
		t.Logf("%s after the first call that went elsewhere", took)
		require.LessOrEqual(t, took, 15*time.Second+15*time.Second+5*time.Second, "a scrape, the gap, and the hub's interval")
		require.Positive(t, r.stop())
	})
}

// TestWhatIsEarlyIsNoFalseAlarm has bursts of one agent's calls go elsewhere, and others fail: a report that comes early has more
// of them than its part of a minute. In an hour nothing of it is an alarm, as it is none without early reports.
func TestWhatIsEarlyIsNoFalseAlarm(t *testing.T) {
	for name, burst := range map[string]struct {
		ways []called
		// calls are those of a burst of two seconds, between is about how long it takes until the next one.
		calls   int
		between time.Duration
	}{
		"a few strays":          {[]called{reviewsAway}, 2, time.Minute},
		"bursts of strays":      {[]called{reviewsAway}, 40, 75 * time.Second},
		"bursts now and then":   {[]called{reviewsAway}, 60, 4 * time.Minute},
		"bursts of two":         {[]called{reviewsAway, ratingsAway}, 40, 150 * time.Second},
		"failures":              {[]called{reviewsDown}, 12, 90 * time.Second},
		"failures now and then": {[]called{reviewsDown}, 30, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(1, 2))
				next := 20 * time.Minute
				r := newRegion(t, func(at time.Duration, node int, x *proxy) {
					x.call(3, reviewsHere, ratingsHere)
					if node != 0 || x.name != "web-0" || at < next {
						return
					}
					x.call(float64(burst.calls)/2, burst.ways...)
					if at > next {
						next = at + burst.between/2 + time.Duration(random.Int64N(int64(burst.between)))
					}
				})
				r.run(80 * time.Minute)
				require.Empty(t, r.hub.events)
				t.Logf("%d early hand-overs", r.stop())
			})
		})
	}
}
