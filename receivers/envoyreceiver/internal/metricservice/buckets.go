// SPDX-License-Identifier: Apache-2.0

package metricservice

import (
	"math"

	dto "github.com/prometheus/client_model/go"
)

// buckets are a histogram's buckets as OpenTelemetry has them: counts[i] is the number of samples above bounds[i-1] and
// up to bounds[i]; there is one more count than bounds.
type buckets struct {
	bounds []float64
	counts []uint64
}

// splitBuckets turns Prometheus's buckets, each of which counts all samples up to its bound, into counts per bucket. The
// last bucket, up to infinity, may be missing: Envoy leaves it out. It returns false for buckets that contradict each
// other or the number of samples.
func splitBuckets(h *dto.Histogram) (buckets, bool) {
	b := buckets{
		bounds: make([]float64, 0, len(h.GetBucket())),
		counts: make([]uint64, 0, len(h.GetBucket())+1),
	}
	below, lowest := uint64(0), math.Inf(-1)
	for _, bucket := range h.GetBucket() {
		bound, upTo := bucket.GetUpperBound(), bucket.GetCumulativeCount()
		if math.IsInf(bound, 1) {
			if upTo != h.GetSampleCount() {
				return buckets{}, false
			}
			break
		}
		if math.IsNaN(bound) || bound <= lowest || upTo < below || bucket.CumulativeCountFloat != nil {
			return buckets{}, false
		}
		b.bounds = append(b.bounds, bound)
		b.counts = append(b.counts, upTo-below)
		below, lowest = upTo, bound
	}
	if h.GetSampleCount() < below {
		return buckets{}, false
	}
	b.counts = append(b.counts, h.GetSampleCount()-below)
	return b, true
}
