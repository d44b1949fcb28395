// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"math"
	"slices"
	"time"
)

// Ceilings of what one istiod may say, so that one that says too much costs no more than this.
const (
	maxKeys      = 512
	maxKeyBytes  = 253
	maxBounds    = 64
	maxCounters  = 96
	remembered   = 16
	familySettle = 2 * time.Second
)

// outcome is what became of a point.
type outcome uint8

const (
	taken outcome = iota
	late
	duplicate
	full
)

// family holds the series of a gauge as they were at the newest scrape. All points of a scrape have one time, so a series
// that ended is one that the newer scrape does not have. A scrape may come in several parts: it counts when it has been
// there for familySettle, or when the next one begins.
type family struct {
	at, nextAt, arrived time.Time
	values, next        map[string]float64
}

// set takes the value of a series at the time of its scrape.
func (f *family) set(at, now time.Time, key string, value float64) outcome {
	switch {
	case at.Before(f.at) || at.Before(f.nextAt):
		if at.Equal(f.at) {
			return put(f.values, key, value)
		}
		return late
	case at.Equal(f.at) && f.values != nil:
		return put(f.values, key, value)
	case at.After(f.nextAt):
		f.promote()
		f.next, f.nextAt, f.arrived = map[string]float64{}, at, now
	}
	return put(f.next, key, value)
}

func put(values map[string]float64, key string, value float64) outcome {
	if _, known := values[key]; !known && len(values) >= maxKeys {
		return full
	}
	values[clip(key)] = value
	return taken
}

func (f *family) promote() {
	if f.next != nil {
		f.values, f.at, f.next = f.next, f.nextAt, nil
	}
}

// settle makes the newest scrape count that is whole.
func (f *family) settle(now time.Time) {
	if f.next != nil && (f.values == nil || !now.Before(f.arrived.Add(familySettle))) {
		f.promote()
	}
}

// only returns the value of a gauge that has one series.
func (f *family) only() (float64, bool) {
	value, ok := f.values[""]
	return value, ok
}

func clip(text string) string {
	if len(text) > maxKeyBytes {
		return text[:maxKeyBytes]
	}
	return text
}

// times remembers the last points of a series of deltas: a batch whose answer was lost comes a second time.
type times struct {
	seen [remembered]int64
	next int
}

// fresh says whether the time is new, and remembers it.
func (t *times) fresh(at time.Time) bool {
	nanos := at.UnixNano()
	if slices.Contains(t.seen[:], nanos) {
		return false
	}
	t.seen[t.next] = nanos
	t.next = (t.next + 1) % remembered
	return true
}

// window adds up by minutes.
type window struct {
	minutes []int64
	sums    []float64
}

func newWindow(length time.Duration) window {
	n := int(length/time.Minute) + 1
	return window{minutes: make([]int64, n), sums: make([]float64, n)}
}

func minuteOf(at time.Time) int64 { return at.Unix() / 60 }

// add counts what happened up to a time; late if a newer minute has its place.
func (w *window) add(at time.Time, value float64) outcome {
	minute := minuteOf(at)
	i := int(minute % int64(len(w.minutes)))
	switch {
	case i < 0 || minute < w.minutes[i]:
		return late
	case minute > w.minutes[i]:
		w.minutes[i], w.sums[i] = minute, 0
	}
	w.sums[i] += value
	return taken
}

// sum is what was counted in the minutes before now, the one that runs among them.
func (w *window) sum(now time.Time) (total float64) {
	first := minuteOf(now) - int64(len(w.minutes)) + 1
	for i, minute := range w.minutes {
		if minute > first && minute <= minuteOf(now)+1 {
			total += w.sums[i]
		}
	}
	return total
}

// counter is one series of a counter, as deltas or as totals.
type counter struct {
	window window
	deltas times
	// Of totals: the value before.
	start, last time.Time
	total       float64
	based       bool
}

// delta takes what was added between two reports.
func (c *counter) delta(at time.Time, value float64) outcome {
	if !c.deltas.fresh(at) {
		return duplicate
	}
	return c.window.add(at, value)
}

// cumulative takes a total. The first one only tells where to count from, as nobody knows when it grew, unless the istiod
// was known before and did not have the series: then all of it is new. So is a smaller one, or one with a later start: that
// istiod began anew.
func (c *counter) cumulative(start, at time.Time, value float64, known bool) outcome {
	if c.based && !at.After(c.last) {
		if at.Equal(c.last) {
			return duplicate
		}
		return late
	}
	grown := value - c.total
	if !c.based && !known {
		grown = 0
	} else if c.based && (value < c.total || start.After(c.start) && !c.start.IsZero()) {
		grown = value
	}
	c.based, c.start, c.last, c.total = true, start, at, value
	return c.window.add(at, grown)
}

// histogram is one series of a histogram with explicit bounds: a window of counts for each bucket, and one of the sum.
type histogram struct {
	bounds  []float64
	buckets []window
	sum     window
	deltas  times

	start, last time.Time
	totals      []uint64
	total       float64
	based       bool
}

// reset begins with other bounds: an istiod of another version. What was counted with the old ones is gone.
func (h *histogram) reset(bounds []float64, length time.Duration) {
	*h = histogram{bounds: slices.Clone(bounds), sum: newWindow(length), buckets: make([]window, len(bounds)+1)}
	for i := range h.buckets {
		h.buckets[i] = newWindow(length)
	}
}

func (h *histogram) delta(at time.Time, counts []uint64, sum float64) outcome {
	if !h.deltas.fresh(at) {
		return duplicate
	}
	return h.add(at, counts, sum)
}

func (h *histogram) add(at time.Time, counts []uint64, sum float64) outcome {
	if got := h.sum.add(at, sum); got != taken {
		return got
	}
	for i, n := range counts {
		h.buckets[i].add(at, float64(n))
	}
	return taken
}

func (h *histogram) cumulative(start, at time.Time, counts []uint64, sum float64, known bool) outcome {
	if h.based && !at.After(h.last) {
		if at.Equal(h.last) {
			return duplicate
		}
		return late
	}
	grown, more := make([]uint64, len(counts)), sum-h.total
	anew := h.based && start.After(h.start) && !h.start.IsZero()
	for i, n := range counts {
		anew = anew || h.based && n < h.totals[i]
	}
	for i, n := range counts {
		switch {
		case !h.based && !known:
			more = 0
		case anew || !h.based:
			grown[i], more = n, sum
		default:
			grown[i] = n - h.totals[i]
		}
	}
	h.based, h.start, h.last, h.total, h.totals = true, start, at, sum, slices.Clone(counts)
	return h.add(at, grown, max(more, 0))
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
