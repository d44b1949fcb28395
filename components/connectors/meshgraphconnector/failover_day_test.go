// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// happening is what is done to the mesh at a time of the day, in minutes.
type happening struct {
	minute float64
	what   string
	do     func(w *dayWorld)
}

// rate is how many requests a caller sends to each service in a second.
func rate(perSecond float64) func(*dayWorld) { return func(w *dayWorld) { w.rate = perSecond } }

// split sends a share of a service's calls to its version v2, everywhere it runs.
func split(service string, v2 float64) func(*dayWorld) {
	return func(w *dayWorld) {
		for cluster := range w.at[service] {
			if v2 > 0 {
				w.deploy(cluster, service, "v2", 2)
			}
			if w.at[service][cluster].share["v2"] = v2; v2 == 1 {
				w.scale(cluster, service, "v1", 0)
			}
		}
	}
}

// day is two hours in which a lot is done and nothing fails. Inventories tell of it what Kubernetes would: pods of new ReplicaSets that
// are not ready yet, endpoints that are being deleted, and those that are gone.
var day = []happening{
	{12, "update of a StatefulSet in the west", func(w *dayWorld) { w.rollOutStateful(west, "carts") }},
	{15, "canary of 5 % in every cluster", split("reviews", 0.05)},
	{20, "canary of 50 %", split("reviews", 0.5)},
	{25, "canary done", split("reviews", 1)},
	{27, "deployment in the west", func(w *dayWorld) { w.rollOut(west, "ratings") }},
	{28, "the hub comes back in the middle of it", func(w *dayWorld) { w.mayRestart(20*time.Second, 12*time.Second) }},
	{30, "deployment done", func(w *dayWorld) { w.rolledOut(west, "ratings") }},
	{31, "deployment in the north, at the busiest time", func(w *dayWorld) { w.rollOut(north, "ratings") }},
	{34, "deployment done", func(w *dayWorld) { w.rolledOut(north, "ratings") }},
	{36, "blue/green: a new version that only a new cluster has", func(w *dayWorld) {
		w.join(east, "eastus", "details")
		w.deploy(east, "details", "v9", 2)
		w.route["details@northeurope"] = map[string]float64{east: 0.1, north: 0.9}
	}},
	{42, "half of it", func(w *dayWorld) { w.route["details@northeurope"] = map[string]float64{east: 0.5, north: 0.5} }},
	{48, "rolled back at once", func(w *dayWorld) {
		delete(w.route, "details@northeurope")
		w.scale(east, "details", "v9", 0)
	}},
	{50, "scaled down for the evening", func(w *dayWorld) { w.scale(west, "reviews", "v2", 1) }},
	{52, "scaled to zero in the west, not gracefully: the north answers", func(w *dayWorld) {
		w.scale(west, "reviews", "v2", 0)
		w.at["reviews"][west].refusing, w.at["reviews"][west].until = 0.4, w.now.Add(4*time.Second)
	}},
	{56, "deployment that replaces all at once: the west answers", func(w *dayWorld) { w.recreate(north, "ratings") }},
	{56.6, "the hub comes back when the old pods are gone", func(w *dayWorld) { w.mayRestart(30*time.Second, 20*time.Second) }},
	{60, "quiet hours begin", rate(0.02)},
	{72, "a second cluster joins the west, for ratings", func(w *dayWorld) {
		w.join(west2, "westeurope", "ratings")
		w.deploy(west2, "ratings", "v1", 4)
	}},
	{80, "the morning: reviews are back in the west", func(w *dayWorld) { w.scale(west, "reviews", "v2", 4) }},
	{82, "and so are people", rate(4)},
	{88, "the second cluster takes details, in the rush", func(w *dayWorld) { w.deploy(west2, "details", "v1", 4) }},
	{94, "scaled up", func(w *dayWorld) { w.scale(west2, "details", "v1", 8) }},
	{98, "a bad hour of the application: errors, and nothing moves", func(w *dayWorld) { w.at["reviews"][west].failing = 0.05 }},
	{102, "mended", func(w *dayWorld) { w.at["reviews"][west].failing = 0 }},
	{105, "deployment in the second cluster", func(w *dayWorld) { w.rollOut(west2, "details") }},
	{108, "deployment done", func(w *dayWorld) { w.rolledOut(west2, "details") }},
	{112, "the second cluster loses ratings again", func(w *dayWorld) { w.scale(west2, "ratings", "v1", 0) }},
	{114, "update of a StatefulSet in the north", func(w *dayWorld) { w.rollOutStateful(north, "carts") }},
	{115, "the hub comes back in the middle of it", func(w *dayWorld) { w.mayRestart(time.Minute, 40*time.Second) }},
	{116.8, "stray calls: callers that do not prefer their region", func(w *dayWorld) { w.stray = 0.01 }},
}

func (w *dayWorld) to(minute float64) {
	for end := begin.Add(time.Duration(minute * float64(time.Minute))); w.now.Before(end); {
		w.second()
	}
}

// TestADayWithoutFalseAlarms puts the day through all of the connector: points as agents send them, the shapes of which were recorded
// from the demo mesh, and the deltas of inventories go in; events come out. MESH_GRAPH_DAYS simulates more than one.
func TestADayWithoutFalseAlarms(t *testing.T) {
	days := 1
	if more, err := strconv.Atoi(os.Getenv("MESH_GRAPH_DAYS")); err == nil {
		days = more
	}
	for _, reporting := range []int{15, 60} {
		for seed := range days {
			t.Run(fmt.Sprintf("every %d s, %d", reporting, seed), func(t *testing.T) {
				w := newDay(t, uint64(seed), reporting)
				if seed%2 == 0 {
					w.remember(t)
				}
				last := "nothing"
				for _, h := range day {
					w.to(h.minute)
					w.quiet(last)
					last = h.what
					h.do(w)
				}
				w.to(120)
				w.quiet(last)
				assert.Equal(t, []string{
					"mesh.deployment_shift.started ratings northeurope <nil>", "mesh.deployment_shift.ended ratings northeurope recovered",
				}, w.sink.deployments(), "of all deployments the one that left nothing between")
				sent, told := w.sent, w.counted()
				assert.Equal(t, sent, told, "every request is in the graph, once")
			})
		}
	}
}

// TestADayHidesNoFailover kills a service in the middle of things: it is told within an interval of the agents and five seconds.
func TestADayHidesNoFailover(t *testing.T) {
	for _, tt := range []struct {
		minute           float64
		cluster, service string
	}{
		{13, west, "carts"},
		{15.5, west, "carts"},
		{22, north, "ratings"},
		{29, north, "ratings"},
		{32.5, north, "ratings"},
		{45, north, "ratings"},
		{55, north, "ratings"},
		{58.5, north, "ratings"},
		{91, north, "ratings"},
		{107, north, "ratings"},
		{115, north, "carts"},
	} {
		t.Run(fmt.Sprint("minute ", tt.minute), func(t *testing.T) {
			minute := tt.minute
			from, to := "northeurope", "westeurope"
			if tt.cluster == west {
				from, to = to, from
			}
			w := newDay(t, uint64(minute), 15)
			for _, h := range day {
				if h.minute > minute {
					break
				}
				w.to(h.minute)
				h.do(w)
			}
			w.to(minute)
			w.quiet("the happenings until then")
			w.stray = 0
			w.shifted = time.Time{}
			w.crash(tt.cluster, tt.service)
			w.to(minute + 5)
			got := w.sink.alarms()
			require.NotEmpty(t, got)
			r := got[0]
			assert.Equal(t, "mesh.failover.started", r.EventName())
			a := r.Attributes().AsRaw()
			assert.Equal(t, []any{tt.service, from, from, to, "partial"}, []any{
				a["mesh.destination.service"], a["mesh.source.region"], a["mesh.failover.from.region"], a["mesh.failover.to.region"], a["mesh.failover.scope"],
			})
			took := r.Timestamp().AsTime().Sub(w.shifted)
			assert.LessOrEqual(t, took, 20*time.Second)
			t.Log(took, r.Body().Str())
			w.restart(tt.cluster, tt.service)
			w.to(minute + 10)
			got = w.sink.alarms()
			require.Len(t, got, 2)
			assert.Equal(t, "mesh.failover.ended", got[1].EventName())
			assert.Equal(t, "recovered", got[1].Attributes().AsRaw()["mesh.failover.end.reason"])
		})
	}
}
