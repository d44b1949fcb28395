// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// restarted is a mesh the hub of which knows what is usual, and is killed at minute 12.
func restarted(t *testing.T, seed uint64) *dayWorld {
	w := newDay(t, seed, 15)
	w.remember(t)
	w.to(12)
	w.quiet("nothing")
	return w
}

// TestAHubThatComesBackDuringADeployment lets something be done on purpose while there is no hub. Its copy of the inventories does not know
// it, and what the agents report comes before the inventories do.
func TestAHubThatComesBackDuringADeployment(t *testing.T) {
	for name, tt := range map[string]struct {
		do          func(*dayWorld)
		deployments bool
	}{
		"a deployment":                  {func(w *dayWorld) { w.rollOut(west, "ratings") }, false},
		"an update of a StatefulSet":    {func(w *dayWorld) { w.rollOutStateful(west, "carts") }, false},
		"one that replaces all at once": {func(w *dayWorld) { w.recreate(north, "ratings") }, true},
		"scaled up, and calls spill": {func(w *dayWorld) {
			w.ready = 2 * time.Minute
			w.deploy(west, "details", "v1", 4)
			w.ready = 20 * time.Second
		}, false},
		"scaled to zero, not gracefully": {func(w *dayWorld) {
			w.scale(west, "reviews", "v1", 0)
			w.at["reviews"][west].refusing, w.at["reviews"][west].until = 0.4, w.now.Add(4*time.Second)
		}, false},
	} {
		for _, seconds := range [][2]int{{8, 0}, {28, 10}, {100, 10}, {28, 40}} {
			down, mute := time.Duration(seconds[0])*time.Second, time.Duration(seconds[1])*time.Second
			t.Run(name+", "+down.String()+" down, inventories "+mute.String()+" later", func(t *testing.T) {
				w := restarted(t, uint64(mute+down))
				w.in(2*time.Second, func() { tt.do(w) })
				w.restartHub(down, mute)
				w.to(w.minute() + 8)
				w.quiet(name)
				for _, e := range w.process.detector.Active() {
					t.Error("still active", e.Kind)
				}
				if !tt.deployments {
					assert.Empty(t, w.sink.deployments())
				}
			})
		}
	}
}

// TestAHubThatComesBackDuringAFailover lets a service die while there is no hub: it is told as soon as the inventories are there, and
// after a minute without them.
func TestAHubThatComesBackDuringAFailover(t *testing.T) {
	for name, tt := range map[string]struct {
		mute, within time.Duration
		// back is when it is mended, after the hub's start.
		back time.Duration
	}{
		"inventories at once":              {0, 20 * time.Second, 5 * time.Minute},
		"inventories after a while":        {30 * time.Second, 50 * time.Second, 5 * time.Minute},
		"none":                             {time.Hour, 80 * time.Second, 5 * time.Minute},
		"over before the inventories come": {40 * time.Second, 60 * time.Second, 16 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := restarted(t, 5)
			w.in(2*time.Second, func() { w.crash(north, "ratings") })
			w.restartHub(8*time.Second, tt.mute)
			up := w.now
			w.in(tt.back, func() { w.restart(north, "ratings") })
			w.to(w.minute() + tt.within.Minutes())
			got := w.sink.records()
			require.NotEmpty(t, got)
			assert.Equal(t, "mesh.failover.started", got[0].EventName())
			t.Log(got[0].Timestamp().AsTime().Sub(up), got[0].Body().Str())
			if tt.mute > 0 && tt.mute < time.Minute {
				assert.GreaterOrEqual(t, got[0].Timestamp().AsTime().Sub(up), tt.mute, "it waits")
			}
			w.to(w.minute() + 10)
			got = w.sink.records()
			require.Len(t, got, 2)
			assert.Equal(t, "mesh.failover.ended", got[1].EventName())
		})
	}
}
