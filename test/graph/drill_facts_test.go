// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/bookinfo"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

const (
	// fewest is how many intervals with calls the detector learns a pair from at least.
	fewest = 3
	// judged is in how many more of them it has to stay silent before anything fails.
	judged = 3
)

// services are those that calls of a region go to. Both regions call all of them.
var services = []string{"productpage", "reviews", "details", "ratings"}

// pair is a calling region and a service, as the detector watches them.
type pair struct{ region, service string }

// habit is what the graph showed of a pair.
type habit struct {
	first time.Time
	// requests are those that reached a place.
	requests uint64
	// intervals are those with calls, ready those of them that came when the detector already knew enough to judge.
	intervals, ready int
	known            bool
}

// habits are what the detector has had of each pair. What came between two polls is one interval, however many it was, because a
// machine with much to do polls seldom: the detector knows more than this, never less.
type habits struct {
	learn time.Duration
	pairs map[pair]*habit
}

func (h *habits) add(d *graph.Document) {
	requests := map[pair]uint64{}
	for i := range d.Edges {
		e := &d.Edges[i]
		if e.Caller.Region != "" && e.Callee.Region != "" {
			requests[pair{e.Caller.Region, e.Callee.Service}] += e.Total.Requests - e.Total.NeverReached
		}
	}
	for p, n := range requests {
		is := h.pairs[p]
		if is == nil {
			if n == 0 {
				continue
			}
			is = &habit{first: d.End}
			h.pairs[p] = is
		}
		if n > is.requests {
			is.intervals++
			if is.known {
				is.ready++
			}
		}
		is.requests = n
		is.known = is.intervals >= fewest && d.End.Sub(is.first) >= h.learn
	}
}

// missing says which pairs are not known well enough, nothing if all are.
func (h *habits) missing() string {
	var list []string
	for _, region := range []string{westeurope, northeurope} {
		for _, service := range services {
			is := h.pairs[pair{region, service}]
			if is == nil {
				is = &habit{}
			}
			if is.ready < judged {
				list = append(list, fmt.Sprintf("%s of %s: %d intervals with calls, %d of them after it was learned", service, region, is.intervals, is.ready))
			}
		}
	}
	return strings.Join(list, "\n")
}

// learned waits until the hub's detector knows where each region's calls of each service usually go.
func (d *drill) learned() {
	d.t.Helper()
	since := time.Now()
	served := newHub(d.t, d.s)
	known := habits{learn: d.learn, pairs: map[pair]*habit{}}
	eventuallyIn(d.t, d.within, "the hub did not learn where calls go", func() string {
		document, err := served.document(d.t)
		require.NoError(d.t, err)
		known.add(document)
		return known.missing()
	})
	d.t.Logf("all pairs are learned after %s", time.Since(since).Round(time.Second))
}

// quiet waits until the hub says of no service of a cluster that it fails over: Envoys that get no CPU for seconds take
// endpoints out of use, and their calls then do go elsewhere. An outage of a service that has failed over already tells nothing new.
func (d *drill) quiet(cluster string, of []string) {
	d.t.Helper()
	eventuallyIn(d.t, d.within, "it fails over before it was taken down", func() string {
		var report struct {
			Active []failover.Event `json:"active"`
		}
		body := d.read(d.t.Context(), "http://"+d.s.Host("hub")+":13135/api/v1/failovers")
		require.NoError(d.t, json.Unmarshal([]byte(body), &report))
		for i := range report.Active {
			if e := &report.Active[i]; e.Caller == regionOf(cluster) && slices.Contains(of, e.Service.Name) {
				return fmt.Sprintf("%s of %s, since %s", e.Service.Name, e.Caller, e.Start)
			}
		}
		return ""
	})
}

// shifted is one call that left its region, by the applications' own notes.
type shifted struct {
	pair
	to string
	at time.Time
}

// elsewhere are all calls that left their region.
func elsewhere(calls []bookinfo.Call) []shifted {
	ends := map[string]mesh.PodTruth{}
	for _, p := range mesh.Truth() {
		ends[p.Pod] = p
	}
	var list []shifted
	for i := range calls {
		c := &calls[i]
		caller, ok := ends[c.Caller]
		callee, found := ends[c.Callee]
		if ok && found && caller.End.Region != callee.End.Region {
			list = append(list, shifted{pair{caller.End.Region, callee.End.Service}, callee.End.Region, c.At})
		}
	}
	return list
}

func (d *drill) elsewhere() []shifted {
	calls, dropped := d.s.Mesh().Ledger().Calls()
	require.Zero(d.t, dropped)
	return elsewhere(calls)
}

// toldEvent is an event and when it was at the endpoint.
type toldEvent struct {
	properties map[string]string
	at         time.Time
}

// toldEvents are all that arrived, by their first delivery: an endpoint that gets no CPU answers too late, and what it has taken is
// sent again. What the hub tells twice has two lines in its log, which [drill.logged] counts.
func (d *drill) toldEvents() []toldEvent {
	var list []toldEvent
	seen := map[string]bool{}
	for _, i := range d.s.Insights().Items(ingestiontest.Filter{Type: "Event"}) {
		// Texts of maps are sorted by key.
		if text := fmt.Sprint(i.Envelope.Time, i.Properties()); !seen[text] {
			seen[text] = true
			list = append(list, toldEvent{i.Properties(), i.Received})
		}
	}
	return list
}

// alarms sorts out the events that belong to nothing that was taken down. True are those of calls that went elsewhere all the
// same, by the applications' notes, at most so long before: a starved Envoy's. False are all others.
func alarms(list []toldEvent, outages []outage, calls []shifted, before time.Duration) (trueOnes, falseOnes []string) {
	begun := map[string]toldEvent{}
	for _, e := range list {
		if strings.HasSuffix(e.properties["event.name"], ".started") {
			begun[e.properties["mesh.failover.id"]] = e
		}
	}
	for _, e := range list {
		start, ok := begun[e.properties["mesh.failover.id"]]
		text := fmt.Sprintf("%s: %v", e.at.Format(time.TimeOnly), e.properties)
		switch {
		case !ok || e.properties["mesh.failover.kind"] == string(failover.Deployment):
			falseOnes = append(falseOnes, text)
		case slices.ContainsFunc(outages, func(o outage) bool { return o.explains(&start) }):
		case slices.ContainsFunc(calls, func(c shifted) bool { return c.explains(&start, before) }):
			trueOnes = append(trueOnes, text)
		default:
			falseOnes = append(falseOnes, text)
		}
	}
	return trueOnes, falseOnes
}

// explains says whether an event is of what was taken down.
func (o *outage) explains(e *toldEvent) bool {
	return e.at.After(o.at) && e.properties["mesh.failover.kind"] == string(failover.Failover) &&
		e.properties["mesh.failover.from.region"] == regionOf(o.cluster) && slices.Contains(o.services, e.properties["mesh.destination.service"])
}

// explains says whether the call is one of those that an event tells of.
func (c *shifted) explains(e *toldEvent, before time.Duration) bool {
	return c.region == e.properties["mesh.source.region"] && c.service == e.properties["mesh.destination.service"] &&
		c.to == e.properties["mesh.failover.to.region"] && c.at.Before(e.at) && e.at.Sub(c.at) <= before
}

// nothingElse says that every event belongs to something that was taken down, or to calls that did go elsewhere, and that each
// outage is told once.
func (d *drill) nothingElse() {
	d.t.Helper()
	trueOnes, falseOnes := alarms(d.toldEvents(), d.expected, d.elsewhere(), d.within)
	for _, e := range trueOnes {
		d.t.Logf("nobody took it down, and calls did go elsewhere: %s", e)
	}
	assert.Empty(d.t, falseOnes, "false alarms: no call went elsewhere")
	for _, o := range d.expected {
		same := slices.DeleteFunc(d.named("mesh.failover.started"), func(e map[string]string) bool {
			return e["mesh.failover.id"] != o.properties["mesh.failover.id"]
		})
		assert.Len(d.t, same, 1, "a failover is told once")
	}
}

// TestDrillTellsFalseAlarms holds the judge of the drill itself to what it must not let pass.
func TestDrillTellsFalseAlarms(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	event := func(id, name, kind, service string, after time.Duration) toldEvent {
		return toldEvent{map[string]string{
			"event.name": name, "mesh.failover.id": id, "mesh.failover.kind": kind, "mesh.source.region": westeurope,
			"mesh.failover.from.region": westeurope, "mesh.failover.to.region": northeurope, "mesh.destination.service": service,
		}, at.Add(after)}
	}
	const started, ended = "mesh.failover.started", "mesh.failover.ended"
	outages := []outage{{cluster: west, services: []string{"reviews"}, at: at}}
	calls := []shifted{{pair{westeurope, "details"}, northeurope, at.Add(time.Second)}}
	for name, c := range map[string]struct {
		events      []toldEvent
		right, none int
	}{
		"taken down":             {[]toldEvent{event("1", started, "failover", "reviews", 5*time.Second), event("1", ended, "failover", "reviews", time.Minute)}, 0, 0},
		"before it was":          {[]toldEvent{event("1", started, "failover", "reviews", -time.Second)}, 0, 1},
		"calls went elsewhere":   {[]toldEvent{event("1", started, "failover", "details", 5*time.Second), event("1", ended, "failover", "details", time.Hour)}, 2, 0},
		"before they did":        {[]toldEvent{event("1", started, "failover", "details", 0)}, 0, 1},
		"long after they did":    {[]toldEvent{event("1", started, "failover", "details", time.Hour)}, 0, 1},
		"nothing went elsewhere": {[]toldEvent{event("1", started, "failover", "ratings", 5*time.Second)}, 0, 1},
		"of no deployment":       {[]toldEvent{event("1", "mesh.deployment_shift.started", "deployment_shift", "details", 5*time.Second)}, 0, 1},
		"an end alone":           {[]toldEvent{event("1", ended, "failover", "reviews", 5*time.Second)}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			right, wrong := alarms(c.events, outages, calls, time.Minute)
			assert.Len(t, right, c.right)
			assert.Len(t, wrong, c.none)
		})
	}
}

// TestDrillWaitsForWhatIsLearned holds the wait to what the detector needs: intervals with calls, of each pair, over its time.
func TestDrillWaitsForWhatIsLearned(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := habits{learn: 8 * time.Second, pairs: map[pair]*habit{}}
	totals := map[string]uint64{}
	poll := func(after time.Duration, called ...string) {
		for _, service := range called {
			totals[service]++
		}
		d := graph.Document{End: at.Add(after)}
		for _, region := range []string{westeurope, northeurope} {
			for _, service := range services {
				e := graph.DocumentEdge{Caller: graph.DocumentEnd{Region: region}, Callee: graph.DocumentEnd{Region: region, Service: service}}
				e.Total.Requests, e.Total.NeverReached = 7+totals[service], 7
				d.Edges = append(d.Edges, e)
			}
		}
		h.add(&d)
	}
	of := func(intervals, ready int, list ...string) string {
		var lines []string
		for _, region := range []string{westeurope, northeurope} {
			for _, service := range list {
				lines = append(lines, fmt.Sprintf("%s of %s: %d intervals with calls, %d of them after it was learned", service, region, intervals, ready))
			}
		}
		return strings.Join(lines, "\n")
	}
	assert.Equal(t, of(0, 0, services...), h.missing())
	for i := range 5 {
		poll(time.Duration(i)*time.Second, services...)
		poll(time.Duration(i) * time.Second) // Nothing new.
	}
	assert.Equal(t, of(5, 0, services...), h.missing(), "many intervals, and not long enough")
	poll(time.Minute)
	for range judged {
		poll(time.Minute, "productpage", "reviews", "details")
	}
	assert.Equal(t, of(5, 0, "ratings"), h.missing(), "long enough, and no calls since")
	for range judged {
		poll(time.Minute, "ratings")
	}
	assert.Empty(t, h.missing())
}
