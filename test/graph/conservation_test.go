// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/stack"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// rate is the requests a second from outside; each makes about three more within the mesh.
const rate = 20

// trial is one run.
type trial struct {
	s      *stack.Stack
	hub    *hub
	envoys *envoys
	stop   func()
	driven mesh.LoadSummary
	// asked is what the ingress gateways had been asked before the load.
	asked  uint64
	events []string
}

// TestConservation drives the demo mesh through failures and restarts, and holds each edge of the hub's graph against the
// applications' ledger and the Envoys' own counters: no request too many, none too few.
//
// Envoys die in the moment between two requests, and take along what they had counted since their last report. The Envoy
// at the other end of each such edge lives, as nobody can know what no proxy told. A region's reviews go down when all was
// told, because then both ends of the edges behind them die. Hub and agents are restarted, or killed, under load.
func TestConservation(t *testing.T) {
	s := startMesh(t)
	r := &trial{s: s, hub: newHub(t, s), envoys: newEnvoys(t)}
	t.Cleanup(func() { r.pause() })
	r.asked = ingress(r.envoys.all(t))
	// Between two that lose something of one edge, all is told: the failover waits for it.
	rounds := []func(*testing.T){
		func(t *testing.T) { r.killEnvoy(t, west, "productpage-v1") },
		func(t *testing.T) { r.killHub(t) },
		func(t *testing.T) { r.killEnvoy(t, north, "ratings-v1") },
		func(t *testing.T) { r.failover(t) },
		func(t *testing.T) { r.restartAgent(t, "agent-"+west, syscall.SIGTERM) },
		func(t *testing.T) { r.killEnvoy(t, north, "productpage-v1") },
		func(t *testing.T) { r.restartAgent(t, "agent-"+north, syscall.SIGKILL) },
		func(t *testing.T) { r.killEnvoy(t, west, "ratings-v1") },
	}
	// Each round has its share of the load before it, and failover one of its own.
	share := max(duration(t)/time.Duration(len(rounds)+1), 2*time.Second)
	start := time.Now()
	for i := 0; i < len(rounds) || time.Since(start) < duration(t); i++ {
		r.load(t)
		pause(t, min(share, 15*time.Second))
		rounds[i%len(rounds)](t)
	}
	r.load(t)
	pause(t, min(share, 15*time.Second))
	r.pause()
	r.compare(t, time.Since(start))
}

// ingress is how many requests the ingress gateways got from outside: they live through all of it.
func ingress(c counters) (requests uint64) {
	for w, a := range c {
		if strings.HasPrefix(w.caller, "istio-ingressgateway@") {
			requests += a[graph.Source].requests + a[graph.Source].never
		}
	}
	return requests
}

// load lets requests come, until pause.
func (r *trial) load(t *testing.T) {
	t.Helper()
	if r.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		summary, err := r.s.Mesh().Load(ctx, rate, nil)
		assert.NoError(t, err)
		r.driven.Sent += summary.Sent
		r.driven.OK += summary.OK
	}()
	r.stop = func() { cancel(); <-done }
}

// pause ends the load and waits for the last answer.
func (r *trial) pause() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

func (r *trial) note(t *testing.T, format string, args ...any) {
	t.Helper()
	r.events = append(r.events, fmt.Sprintf(format, args...))
	t.Logf(format, args...)
}

// live waits until Envoys serve again.
func (r *trial) live(t *testing.T, pods ...mesh.PodTruth) {
	t.Helper()
	for _, pod := range pods {
		eventually(t, pod.Pod+" serves", func() string {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+pod.IP+":15000/ready", http.NoBody)
			require.NoError(t, err)
			response, err := r.envoys.client.Do(request)
			if err != nil {
				return err.Error()
			}
			defer func() { _ = response.Body.Close() }()
			if response.StatusCode != http.StatusOK {
				return response.Status
			}
			return ""
		})
	}
	r.envoys.back(pods...)
}

// counted waits until the callees' Envoys have counted what the applications answered: they do so when a stream ends.
func (r *trial) counted(t *testing.T) {
	t.Helper()
	eventually(t, "the Envoys' counters are those of the ledger", func() string {
		counted := map[way]amount{}
		for w, a := range r.envoys.all(t) {
			counted[w] = a[graph.Destination]
		}
		return difference(counted, ledger(t, r.s))
	})
}

// agreed waits until the graph says what the ledger says.
func (r *trial) agreed(t *testing.T) {
	t.Helper()
	start := time.Now()
	eventually(t, "the graph is what happened", func() string {
		d, err := r.hub.document(t)
		if err != nil {
			return err.Error()
		}
		wrong := difference(told(d), ledger(t, r.s))
		if wrong != "" && time.Since(start) > within/2 {
			// It will fail: what the Envoys say tells on whose side it is.
			wrong += "\n" + r.sides(t)
		}
		return wrong
	})
}

// sides are the Envoys' counters of all edges.
func (r *trial) sides(t *testing.T) string {
	t.Helper()
	var lines []string
	for w, a := range r.envoys.all(t) {
		s, d := a[graph.Source], a[graph.Destination]
		lines = append(lines, fmt.Sprintf("%s: the caller's Envoy has %d requests, %d errors and %d that reached nobody, the callee's %d and %d",
			w, s.requests, s.errors, s.never, d.requests, d.errors))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// killEnvoy kills an Envoy between two requests. What it counted since its last report is gone.
func (r *trial) killEnvoy(t *testing.T, cluster, workload string) {
	pod := podOf(t, cluster, workload)
	said := r.reported(t, pod)
	r.pause()
	r.counted(t)
	r.envoys.bury(t, pod, said)
	require.NoError(t, r.s.Mesh().KillEnvoy(pod.Pod))
	r.load(t)
	r.live(t, pod)
	r.note(t, "SIGKILL for the Envoy of %s", nameOf(pod))
}

// reported returns what an Envoy has counted, once its agent has handed that over: of two hand-overs of scrapes at least one has a
// scrape that came after. Those of what is pushed are counted with them, and come as often.
func (r *trial) reported(t *testing.T, pod mesh.PodTruth) counters {
	t.Helper()
	said, before := counters{}, r.handovers(t, pod)
	r.envoys.page(t, pod, said)
	eventually(t, "the agent hands over", func() string {
		if now := r.handovers(t, pod); now < before+5 {
			return fmt.Sprintf("%v times, and %v before", now, before)
		}
		return ""
	})
	return said
}

// handovers is how often the agent of a pod handed over what it added up.
func (r *trial) handovers(t *testing.T, pod mesh.PodTruth) float64 {
	t.Helper()
	n, _, err := collectortest.Metric(t.Context(), r.s.Host("agent-"+pod.End.Cluster), "otelcol_processor_mesh_metrics_handovers")
	require.NoError(t, err)
	return n
}

// killHub kills the hub under load.
func (r *trial) killHub(t *testing.T) {
	require.NoError(t, r.s.Kill("hub"))
	r.ready(t, "hub")
	r.note(t, "SIGKILL for the hub")
}

// restartAgent restarts an agent under load.
func (r *trial) restartAgent(t *testing.T, role string, signal syscall.Signal) {
	pid := r.s.PID(role)
	require.NotZero(t, pid)
	require.NoError(t, syscall.Kill(pid, signal))
	eventually(t, role+" is started again", func() string {
		if p := r.s.PID(role); p == 0 || p == pid {
			return "it is not"
		}
		return ""
	})
	r.ready(t, role)
	r.note(t, "%s for %s", signal, role)
}

func (r *trial) ready(t *testing.T, role string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	require.NoError(t, r.s.RoleReady(ctx, role))
}

// failover takes the reviews of a region down and brings them back.
func (r *trial) failover(t *testing.T) {
	r.pause()
	r.counted(t)
	r.agreed(t)
	pods := podsOf(west, "reviews")
	for _, pod := range pods {
		r.envoys.bury(t, pod, nil)
	}
	require.NoError(t, r.s.Mesh().Fail(west, "reviews"))
	r.load(t)
	pause(t, min(max(duration(t)/10, 3*time.Second), 15*time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	require.NoError(t, r.s.Mesh().Heal(ctx, west, "reviews"))
	r.envoys.back(pods...)
	r.note(t, "failover of reviews in %s and back", west)
}

// compare is the end: counts are exact, bytes within what the two sides measured.
func (r *trial) compare(t *testing.T, lasted time.Duration) {
	r.counted(t)
	r.agreed(t)
	// Nothing that is still under way may make it more.
	last, err := r.hub.document(t)
	require.NoError(t, err)
	eventually(t, "what is told stays", func() string {
		d, err := r.hub.document(t)
		require.NoError(t, err)
		if passed := d.End.Sub(last.End); passed < 2*settle {
			return passed.String()
		}
		last = d
		return ""
	})
	got, want, envoys := told(last), ledger(t, r.s), r.envoys.all(t)
	assert.Empty(t, difference(got, want))
	assert.Equal(t, uint64(r.driven.Sent), ingress(envoys)-r.asked, "what was sent from outside, by the load driver and the ingress gateways")
	slack := 2 + lasted.Seconds()/5
	var lines []string
	var requests, errors, never uint64
	for w := range want {
		g := got[w]
		requests += g.requests
		errors += g.errors
		lines = append(lines, fmt.Sprintf("%s: %d requests, %d errors; %s", w, g.requests, g.errors, r.bytes(t, w, g, envoys[w], r.envoys.unsaid[w], slack)))
	}
	for _, g := range got {
		never += g.never
	}
	var answered uint64
	for _, a := range envoys {
		answered += a[graph.Source].never
	}
	assert.Equal(t, answered, never, "requests that callers' Envoys answered by themselves")
	slices.Sort(lines)
	t.Logf("%v: %d requests from outside, %d on %d edges, %d errors, %d never reached anybody; %d events: %s\n%s", lasted.Round(time.Second),
		r.driven.Sent, requests, len(want), errors, never, len(r.events), strings.Join(r.events, ", "), strings.Join(lines, "\n"))
	assert.GreaterOrEqual(t, len(want), 10)
}

// bytes checks those of an edge: they are between what the two sides measured, of which one may have died with some. What the
// callee's Envoy may have died with before it was scraped counts for nothing if the caller's report is lost, too: gateways push
// the bytes of an interval once, and an agent that is killed loses those that are on the way. A callee's Envoy sees the headers that the caller's added, and mutual TLS is around both. The sums of Envoy's histograms
// are no whole numbers, and each report is rounded to one: half a byte of each side's every five seconds.
func (r *trial) bytes(t *testing.T, w way, got amount, sides, unsaid *[2]amount, slack float64) string {
	t.Helper()
	if sides == nil {
		return "no Envoy's"
	}
	var lost amount
	if unsaid != nil {
		lost = unsaid[graph.Destination]
	}
	source, destination := sides[graph.Source], sides[graph.Destination]
	say := func(what string, got, source, destination, lost float64) string {
		low, high := math.Min(source, destination-lost), math.Max(source, destination)
		if source == 0 {
			low = destination - lost // The caller's Envoy did not know whom it called.
		}
		assert.LessOrEqual(t, got, high+slack, "%s: %s", w, what)
		assert.GreaterOrEqual(t, got, low-slack, "%s: %s", w, what)
		return fmt.Sprintf("%s %.0f (caller's Envoy %.0f, callee's %.0f, killed with at most %.0f of them)", what, got, source, destination, lost)
	}
	return say("request bytes", got.requestBytes, source.requestBytes, destination.requestBytes, lost.requestBytes) + ", " +
		say("response bytes", got.responseBytes, source.responseBytes, destination.responseBytes, lost.responseBytes)
}
