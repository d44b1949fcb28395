// SPDX-License-Identifier: Apache-2.0

package series

// fresh is a series that is not known, of a process that was known before a restart.
type fresh struct {
	state *state
	from  int64
}

// settleFresh decides on the unknown series of the first scrape, or push, after a restart. They were not there before if all that
// was there still is. Otherwise they may be the same series under other labels, as a new configuration of the scrape gives
// them, and nobody knows what they counted before.
func (v *Visit) settleFresh() (fromZero int64) {
	v.in.restored = false
	if v.in.unseen > 0 || v.dropped {
		return 0
	}
	for _, f := range v.fresh {
		f.state.out.add(&f.state.last, nil, f.from, v.store.epoch.Load())
	}
	return int64(len(v.fresh))
}

// beginsWhileWatched says that all that a series' first reading tells was counted since the store watches: it or its
// process began after that, or an earlier scrape of the process did not have it. It is not sure if the store may have
// known the series before a restart by another name, as another configuration of the scrape gives it.
func (v *Visit) beginsWhileWatched(r *Reading) (began, sure bool) {
	whole := v.store.whole.Load()
	at := int64(0)
	if r.Start >= whole && r.Start < r.Time {
		// A start that is the reading's own time says that nobody knows it.
		at = r.Start
	}
	if v.in.process-tolerance/2 >= whole && r.Time >= v.in.process {
		at = max(at, v.in.process-tolerance/2)
	}
	switch {
	case at != 0 && v.in.restored:
		return true, at > v.last
	case at != 0 && v.last == 0 && v.store.saved != 0:
		// Who began long before the restart was known then.
		return at >= v.store.saved-young, true
	case at != 0:
		return true, true
	}
	return v.scraped && v.scrape != 0 && v.scrape < r.Time, !v.in.restored
}

func (v *Visit) zeroAt(r *Reading) int64 {
	if r.Start != 0 && r.Start < r.Time {
		return r.Start
	}
	return max(v.in.process, v.last)
}
