// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// What was scraped in the first second of a process has an uptime of 0, and is not from before the process.
func TestNoProcessIsYoungerThanItsPoints(t *testing.T) {
	const at = int64(1_763_903_746_123_456_789)
	for i := range int64(2000) {
		require.Equal(t, at+i*333_333, uptimeBegan(at+i*333_333, 0))
		require.Equal(t, at+i*333_333-5_000_000_000, uptimeBegan(at+i*333_333, 5))
	}
	for _, uptime := range []float64{-1, math.NaN(), math.Inf(1), 1e300} {
		require.Zero(t, uptimeBegan(at, uptime))
	}
	require.Zero(t, uptimeBegan(5, 60))
}

// A process tells its age in whole seconds, less than one too few: so it began after us if it says that this was a second
// after us, or more. Then all counts; nothing may of one that began before us, whenever it is scraped.
func TestWhoSaysASecondAfterUsBeganAfterUs(t *testing.T) {
	f := newFixture(t, nil)
	var offsets []time.Duration
	for d := -1500 * time.Millisecond; d <= 1500*time.Millisecond; d += 100 * time.Millisecond {
		offsets = append(offsets, d-1, d, d+1)
	}
	const n = 3
	pods, total, sharp := 0, uint64(0), 0
	for _, began := range offsets {
		for age := time.Second; age <= 3*time.Second; age += 50 * time.Millisecond {
			pods++
			at := start.Add(began + age)
			md := pushed("pod-"+strconv.Itoa(pods), "200", time.Time{}, at, n)
			sm := md.ResourceMetrics().At(0).ScopeMetrics().At(0)
			sm.Scope().SetName(scrapeScope)
			up := sm.Metrics().AppendEmpty()
			up.SetName("envoy_server_uptime")
			point := up.SetEmptyGauge().DataPoints().AppendEmpty()
			point.SetTimestamp(pcommon.NewTimestampFromTime(at))
			point.SetDoubleValue(math.Floor(age.Seconds()))
			require.NoError(t, f.p.ConsumeMetrics(t.Context(), md))
			said := began + age - age.Truncate(time.Second)
			if said >= time.Second {
				require.Positive(t, began)
				total += n
			} else {
				require.Less(t, began, time.Second)
			}
			if said == time.Second {
				sharp++
			}
			// An interval that ends would forget some, and so begin to watch anew.
			f.now = f.now.Add(time.Millisecond)
			f.p.hurry(t.Context(), atShift)
			require.Equal(t, total, f.sink.totals["istio_requests_total"].count, "began %s after us, says %s", began, said)
		}
	}
	require.Positive(t, sharp)
}

// The oracle says the same.
func TestTheOracleKnowsWhoBeganAfterUs(t *testing.T) {
	for began := -2 * time.Second; began <= 3*time.Second; began += time.Second {
		w := newWorld(t, 1, createDefaultConfig().(*Config))
		p := w.pods[1]
		require.True(t, p.uptime)
		p.began = w.began.Add(began)
		w.now = w.now.Add(5 * time.Second)
		for len(p.series) < 3 {
			w.traffic(p)
		}
		w.deliver(p, w.scrapeOf(p, false))
		w.settle()
		checkTotals(t, 1, w)
		require.Equal(t, began >= time.Second, len(w.sink.totals) > 0)
	}
}
