// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// kill kills the hub and starts another one, which goes through the journal before it knows any inventory.
func (w *dayWorld) kill() { w.restartHub(0, 0) }

// restartHub kills the hub and starts another one after a while. It has a copy of the inventories as of the kill; what they tell comes
// a while after its start.
func (w *dayWorld) restartHub(down, mute time.Duration) {
	config := w.process.config
	w.process.kill()
	for _, cluster := range w.clusters {
		w.writer.MarkStale(cluster, w.now)
	}
	w.down, w.mute = true, w.now.Add(down+mute)
	w.to(w.minute() + down.Minutes())
	w.down = false
	w.process = start(w.t, config, w.sink, w.now)
	w.process.topology = w.writer.Publish
}

// remember gives the hub a directory.
func (w *dayWorld) remember(t *testing.T) {
	w.process = start(t, testConfig(t.TempDir()), w.sink, begin)
	w.process.topology = w.writer.Publish
	t.Cleanup(func() { w.process.kill() })
}

// mayRestart is [dayWorld.restartHub] for a hub that has a directory.
func (w *dayWorld) mayRestart(down, mute time.Duration) {
	if w.process.directory != nil {
		w.restartHub(down, mute)
	}
}

func (w *dayWorld) minute() float64 { return w.now.Sub(begin).Minutes() }

// TestAKilledHubRaisesNoFalseAlarm kills the hub in the middle of what explains itself by the inventories.
func TestAKilledHubRaisesNoFalseAlarm(t *testing.T) {
	for _, minute := range []float64{27.9, 52.3, 52.6, 52.95} {
		t.Run(fmt.Sprint("minute ", minute), func(t *testing.T) {
			w := newDay(t, uint64(minute), 15)
			config := testConfig(t.TempDir())
			w.process = start(t, config, w.sink, begin)
			w.process.topology = w.writer.Publish
			last := "nothing"
			for _, h := range day {
				if h.minute > minute {
					break
				}
				w.to(h.minute)
				w.quiet(last)
				last = h.what
				h.do(w)
			}
			w.to(minute)
			w.quiet(last)
			w.kill()
			require.Empty(t, w.process.waiting)
			w.to(minute + 3)
			w.quiet(last + ", and a kill")
			require.Empty(t, w.process.detector.Active())
			w.process.kill()
		})
	}
}

// TestAKilledHubEndsWhatItTold kills the hub a moment after it told of a failover.
func TestAKilledHubEndsWhatItTold(t *testing.T) {
	w := newDay(t, 1, 15)
	w.process = start(t, testConfig(t.TempDir()), w.sink, begin)
	w.process.topology = w.writer.Publish
	w.to(12)
	w.crash(north, "ratings")
	for len(w.sink.records()) == 0 {
		w.second()
		require.Less(t, w.now.Sub(begin), 14*time.Minute)
	}
	w.to(w.now.Add(5 * time.Second).Sub(begin).Minutes())
	w.kill()
	w.to(15)
	w.restart(north, "ratings")
	w.to(20)
	var names, ids []any
	for _, r := range w.sink.records() {
		id, _ := r.Attributes().Get("mesh.failover.id")
		names, ids = append(names, r.EventName()), append(ids, id.Str())
	}
	require.Equal(t, []any{"mesh.failover.started", "mesh.failover.ended"}, names)
	require.Equal(t, ids[0], ids[1])
	w.process.kill()
}
