// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"slices"
	"time"
)

// bucket is a part of a distribution: so many between two values. The last has no upper end.
type bucket struct {
	low, high, count float64
	open             bool
}

// buckets are what the histogram counted in its window.
func (h *histogram) counted(now time.Time) []bucket {
	out := make([]bucket, 0, len(h.buckets))
	low := 0.0
	for i := range h.buckets {
		n := h.buckets[i].sum(now)
		b := bucket{low: low, high: low, count: n, open: i == len(h.bounds)}
		if !b.open {
			b.high = h.bounds[i]
			low = b.high
		}
		if n > 0 {
			out = append(out, b)
		}
	}
	return out
}

// Percentile is a value of a distribution of which only buckets are known.
type Percentile struct {
	// Seconds is interpolated within its bucket.
	Seconds float64 `json:"seconds"`
	// AtLeast says that it is in the last bucket, which has no end: it is Seconds or more.
	AtLeast bool `json:"at_least,omitempty"`
}

// percentile returns where the share p (0 to 1) of all is at most. The buckets may have different bounds, as istiods of
// different versions may.
func percentile(all []bucket, p float64) Percentile {
	var total float64
	edges := make([]float64, 0, 2*len(all))
	for _, b := range all {
		total += b.count
		edges = append(edges, b.low, b.high)
	}
	if total == 0 {
		return Percentile{}
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	below := func(x float64) (n float64) {
		for _, b := range all {
			switch {
			case b.open:
			case x >= b.high:
				n += b.count
			case x > b.low:
				n += b.count * (x - b.low) / (b.high - b.low)
			}
		}
		return n
	}
	want, from, before := p*total, edges[0], 0.0
	for _, x := range edges {
		n := below(x)
		if n >= want {
			if n > before {
				from += (x - from) * (want - before) / (n - before)
			}
			return Percentile{Seconds: from}
		}
		from, before = x, n
	}
	return Percentile{Seconds: from, AtLeast: true}
}
