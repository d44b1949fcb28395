// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/keep"
)

// knowledge is what the oracle knows at a moment.
type knowledge struct {
	pods   []pod
	expect map[string]value
}

func (w *world) knows() knowledge {
	k := knowledge{expect: maps.Clone(w.expect)}
	for _, p := range w.pods {
		copied := pod{known: map[string]*told{}, latest: p.latest, process: p.process, unseen: maps.Clone(p.unseen)}
		for key, t := range p.known {
			own := *t
			copied.known[key] = &own
		}
		k.pods = append(k.pods, copied)
	}
	return k
}

// unsent is a batch that its sender still has, and since when it is taken without the sender knowing.
type unsent struct {
	md    pmetric.Metrics
	taken time.Time
}

// killed is what a step of the disk panics with.
type killed struct{}

// flush flushes, and may be killed before or after any step of the disk and of the hand-over.
func (w *world) flush() {
	w.now = w.now.Add(time.Second)
	w.images[w.now.UnixNano()] = w.knows()
	steps := w.rand.IntN(40)
	w.p.keeper.Step = func() {
		if steps--; steps == 0 {
			panic(killed{})
		}
	}
	defer func() {
		if why := recover(); why != nil {
			require.Equal(w.t, killed{}, why)
			w.kill()
			return
		}
		w.p.keeper.Step = nil
	}()
	w.pass()
}

// kill ends the process as it is, and begins another one.
func (w *world) kill() {
	w.kills++
	require.NoError(w.t, w.p.keeper.Close())
	w.began, w.saved = w.now, time.Time{}
	known := knowledge{expect: map[string]value{}}
	if raw, err := os.ReadFile(filepath.Join(w.config.Directory, "mesh_metrics")); err == nil {
		state, _, err := keep.Decode(raw)
		require.NoError(w.t, err)
		var ok bool
		known, ok = w.images[state.Saved]
		require.True(w.t, ok)
		w.saved, w.began = time.Unix(0, state.Saved), w.first
	}
	w.expect = maps.Clone(known.expect)
	for i, p := range w.pods {
		p.known, p.latest, p.process, p.unseen = map[string]*told{}, time.Time{}, time.Time{}, nil
		if len(known.pods) == 0 || len(known.pods[i].known) == 0 {
			continue
		}
		p.latest, p.process, p.unseen = known.pods[i].latest, known.pods[i].process, map[string]bool{}
		for key, t := range known.pods[i].known {
			own := *t
			p.known[key], p.unseen[key] = &own, true
		}
	}
	if w.saved.IsZero() {
		w.first = w.now
	}
	w.start()
}

// pushDelta has a sender of deltas send one, or one again that was not acknowledged, or whose acknowledgment was lost.
func (w *world) pushDelta() {
	if len(w.unsent) == 0 || w.rand.IntN(2) == 0 {
		w.now = w.now.Add(time.Second)
		md := pmetric.NewMetrics()
		n := uint64(1 + w.rand.IntN(9))
		delta := pushed("sender", "500", w.now.Add(-time.Second), w.now, int64(n))
		m := delta.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
		m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		m.Sum().DataPoints().At(0).Attributes().PutStr("mesh.source.workload", "sender")
		delta.MoveTo(md)
		w.unsent = append(w.unsent, unsent{md: md})
		for _, key := range []string{"istio_requests_total", "istio_requests_total sender", "istio_requests_total sender 500"} {
			v := w.deltas[key]
			v.add(value{count: n})
			w.deltas[key] = v
		}
	}
	first := &w.unsent[0]
	if !first.taken.IsZero() && w.now.Sub(first.taken) > repeatedWithin-10*time.Second {
		// The sender gives up.
		w.unsent = w.unsent[1:]
		return
	}
	steps := w.rand.IntN(12)
	w.p.keeper.Step = func() {
		if steps--; steps == 0 {
			panic(killed{})
		}
	}
	defer func() {
		if why := recover(); why != nil {
			require.Equal(w.t, killed{}, why)
			w.kill()
			w.send(first.md)
			w.unsent = w.unsent[1:]
			return
		}
		w.p.keeper.Step = nil
	}()
	w.send(first.md)
	if w.rand.IntN(4) != 0 {
		w.unsent = w.unsent[1:]
	} else if first.taken.IsZero() {
		first.taken = w.now
	}
}

func (w *world) send(md pmetric.Metrics) {
	sent := pmetric.NewMetrics()
	md.CopyTo(sent)
	require.NoError(w.t, w.p.ConsumeMetrics(w.t.Context(), sent))
}

// stop ends the process in order, while the next component takes what it takes.
func (w *world) stop() {
	w.now = w.now.Add(time.Second)
	w.images[w.now.UnixNano()] = w.knows()
	ctx, cancel := context.WithCancel(w.t.Context())
	cancel()
	require.NoError(w.t, w.p.lastFlush(ctx))
	w.kill()
}

// fromZero says whether a series that is not known counts in full.
func (w *world) fromZero(p *pod, s *scrape, latest, process time.Time) bool {
	absent := !latest.IsZero() && latest.Before(s.at)
	// An uptime of whole seconds is less than one too small: who says that it began a second after us did begin after us.
	began := process.Sub(w.began) >= time.Second && !s.at.Before(process)
	switch at := process.Add(-time.Second); {
	case p.unseen != nil:
		// It may be one of those that were there under another name, unless its process is another one.
		return (began && at.After(latest)) || ((began || absent) && len(p.unseen) == 0 && latest.Before(s.at))
	case began && latest.IsZero() && !w.saved.IsZero():
		return !at.Before(w.saved.Add(-2 * time.Minute))
	}
	return absent || began
}

// TestConservationOverRestarts holds the same as TestConservation where the process is killed at any moment, before and
// after each step of the disk too, or stopped in order. What was handed over twice has to be the very same points.
func TestConservationOverRestarts(t *testing.T) {
	kills, again := 0, 0
	for seed := range uint64(testRuns(t, 20)) {
		config := createDefaultConfig().(*Config)
		config.Directory, config.MaxPointsPerRequest = t.TempDir(), 3
		w := newWorld(t, seed, config)
		w.first, w.images, w.sink.taken, w.deltas = w.began, map[int64]knowledge{}, map[string]value{}, map[string]value{}
		for range 250 {
			switch w.rand.IntN(30) {
			case 0:
				w.kill()
			case 1:
				w.stop()
			case 2, 3:
				w.flush()
			case 4, 5:
				w.pushDelta()
			default:
				w.step()
			}
		}
		w.sink.refuse = nil
		for len(w.unsent) > 0 {
			w.pushDelta()
		}
		for {
			w.now = w.now.Add(time.Minute)
			if w.p.flush(t.Context(), atInterval) == 0 {
				break
			}
		}
		for key, v := range w.deltas {
			v.add(w.expect[key])
			w.expect[key] = v
		}
		checkTotals(t, seed, w)
		kills, again = kills+w.kills, again+w.sink.again
		require.NoError(t, w.p.keeper.Close())
	}
	require.Positive(t, again)
	t.Logf("%d kills and stops, %d points came twice", kills, again)
}
