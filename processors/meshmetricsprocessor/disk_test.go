// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// kept is a processor with a directory, as it is after a start.
func kept(t *testing.T, directory string, now time.Time) *fixture {
	f := newFixture(t, func(c *Config) { c.Directory = directory })
	f.now = now
	f.p.open()
	require.NoError(t, f.p.restore(t.Context()))
	t.Cleanup(func() { _ = f.p.keeper.Close() })
	return f
}

// delta pushes a delta of n requests.
func (f *fixture) delta(n int64) error {
	f.now = f.now.Add(time.Second)
	md := pushed("sender", "500", f.now.Add(-time.Second), f.now, n)
	md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	return f.p.ConsumeMetrics(f.t.Context(), md)
}

// TestDeltasAreTakenAgainOnceTheDiskIs: a journal that could not be begun is begun later.
func TestDeltasAreTakenAgainOnceTheDiskIs(t *testing.T) {
	directory := t.TempDir()
	f := kept(t, directory, start)
	require.NoError(t, f.delta(1))
	number, _ := f.p.keeper.Journal()
	inTheWay := filepath.Join(directory, fmt.Sprintf("mesh_metrics.%d.journal", number+1))
	require.NoError(t, os.Mkdir(inTheWay, 0o700))
	require.EqualValues(t, 1, f.total())
	require.Error(t, f.delta(2), "there is no journal")
	require.NoError(t, os.Remove(inTheWay))
	require.EqualValues(t, 1, f.total())
	require.NoError(t, f.delta(4))
	require.EqualValues(t, 5, f.total())
}

// TestAKillBehindAStateThatCouldNotBeWritten: whatever step of taking the state away is the last, nothing counts twice.
func TestAKillBehindAStateThatCouldNotBeWritten(t *testing.T) {
	killedOnce := false
	for last := 1; ; last++ {
		directory := t.TempDir()
		f := kept(t, directory, start)
		require.NoError(t, f.delta(1))
		require.EqualValues(t, 1, f.total())
		require.NoError(t, f.delta(2))
		// A folder is in the way of the new state.
		require.NoError(t, os.Mkdir(filepath.Join(directory, "mesh_metrics.next"), 0o700))
		steps := last
		f.p.keeper.Step = func() {
			if steps--; steps == 0 {
				panic(killed{})
			}
		}
		dead := func() (dead bool) {
			defer func() { dead = recover() != nil }()
			f.total()
			return false
		}()
		killedOnce = killedOnce || dead
		require.NoError(t, f.p.keeper.Close())
		require.NoError(t, os.Remove(filepath.Join(directory, "mesh_metrics.next")))
		again := kept(t, directory, f.now)
		again.p.flush(t.Context(), atInterval)
		count := f.sink.totals["istio_requests_total"].count + again.total()
		require.EqualValues(t, 3, count, "killed at step %d", last)
		if !dead {
			break
		}
	}
	require.True(t, killedOnce)
}
