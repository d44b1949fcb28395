// SPDX-License-Identifier: Apache-2.0

package topology

// history holds the tenancies that ended, the oldest end first: a heap. One that was replaced or dropped since is still
// in it, and is passed over.
type history struct {
	heap []*Pod
}

func (h *history) push(p *Pod) {
	h.heap = append(h.heap, p)
	for i := len(h.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if h.heap[parent].latest <= h.heap[i].latest {
			return
		}
		h.heap[parent], h.heap[i] = h.heap[i], h.heap[parent]
		i = parent
	}
}

func (h *history) pop() {
	last := len(h.heap) - 1
	h.heap[0], h.heap[last] = h.heap[last], nil
	h.heap = h.heap[:last]
	h.sink(0)
}

func (h *history) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.heap); child++ {
			if h.heap[child].latest < h.heap[least].latest {
				least = child
			}
		}
		if least == i {
			return
		}
		h.heap[i], h.heap[least] = h.heap[least], h.heap[i]
		i = least
	}
}

// listed says whether the tenancy is still one.
func (w *Writer) listed(p *Pod) bool {
	c := w.clusters[p.Workload.Cluster.Name]
	return c != nil && c.lists(w, p)
}

// prune drops what ended too long ago, and the oldest of what is too much.
func (w *Writer) prune() {
	h := &w.history
	if len(h.heap) > 2*w.stats.Ended+1024 {
		kept := h.heap[:0]
		for _, p := range h.heap {
			if w.listed(p) {
				kept = append(kept, p)
			}
		}
		clear(h.heap[len(kept):])
		h.heap = kept
		for i := len(kept)/2 - 1; i >= 0; i-- {
			h.sink(i)
		}
	}
	cutoff := w.cutoff()
	limit := w.settings.Limits.MaxHistory
	for len(h.heap) > 0 {
		oldest := h.heap[0]
		over := limit > 0 && w.stats.Ended > limit
		if oldest.latest > cutoff && !over {
			return
		}
		h.pop()
		if !w.listed(oldest) {
			continue
		}
		if oldest.latest > cutoff {
			w.counters.HistoryEvicted++
			w.limitReached("ended pods", limit, "max_history")
		}
		w.drop(w.clusters[oldest.Workload.Cluster.Name], oldest)
	}
}

// cutoff is the moment before which an end is too long ago.
func (w *Writer) cutoff() int64 { return nanos(w.settings.Now().Add(-w.settings.History)) }
