// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scraping is how often agents scrape, in seconds. It is the least time from one report to an early one, too.
const scraping = 15

// urgent says that an agent, which has just scraped, has calls that left their region, or failed. It always reports them then,
// where mesh_metrics does so if there were none lately, and not often: here is more that is early than there can be.
func (a *dayAgent) urgent(passed int) bool {
	return passed%scraping == a.phase%scraping && passed-a.told >= scraping && slices.ContainsFunc(a.order, func(s shape) bool {
		return s.flags != "-" || s.region != s.fromRegion
	})
}

// TestADayOfEarlyReports is the same day with agents that report each minute, and early what is urgent.
func TestADayOfEarlyReports(t *testing.T) {
	days := 1
	if more, err := strconv.Atoi(os.Getenv("MESH_GRAPH_DAYS")); err == nil {
		days = more
	}
	for seed := range days {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			w := newDay(t, uint64(seed), 60)
			w.early = true
			last := "nothing"
			for _, h := range day {
				w.to(h.minute)
				w.quiet(last)
				last = h.what
				h.do(w)
			}
			w.to(120)
			w.quiet(last)
			assert.Equal(t, w.sent, w.counted(), "every request is in the graph, once")
		})
	}
}

// TestEarlyReportsHideNoFailover kills a service in the middle of things: it is told after a scrape, the gap, and an interval of
// the hub.
func TestEarlyReportsHideNoFailover(t *testing.T) {
	for _, minute := range []float64{22, 32.5, 55, 91} {
		t.Run(fmt.Sprint("minute ", minute), func(t *testing.T) {
			w := newDay(t, uint64(minute), 60)
			w.early = true
			for _, h := range day {
				if h.minute > minute {
					break
				}
				w.to(h.minute)
				h.do(w)
			}
			w.to(minute)
			w.quiet("the happenings until then")
			w.stray, w.shifted = 0, time.Time{}
			w.crash(north, "ratings")
			w.to(minute + 3)
			got := w.sink.alarms()
			require.NotEmpty(t, got)
			assert.Equal(t, "mesh.failover.started", got[0].EventName())
			took := got[0].Timestamp().AsTime().Sub(w.shifted)
			assert.LessOrEqual(t, took, 2*scraping*time.Second+dayInterval*time.Second)
			t.Log(took, got[0].Body().Str())
		})
	}
}
