// SPDX-License-Identifier: Apache-2.0

package series

// Tick begins an epoch, at the time now, and forgets what is stale. It returns how many series that were.
func (s *Store) Tick(now int64) int64 {
	epoch := s.epoch.Add(1)
	if epoch <= s.limits.Staleness {
		return 0
	}
	before := epoch - s.limits.Staleness
	var expired int64
	for i := range s.shards {
		shard := &s.shards[i]
		shard.Lock()
		for key, in := range shard.m {
			expired += s.expireInstance(in, before, now)
			if len(in.series) == 0 {
				delete(shard.m, key)
				s.bytes.Add(-instanceBytes)
			}
		}
		shard.Unlock()
	}
	s.series.Add(-expired)
	s.Table.expire(before)
	return expired
}

// expireInstance forgets the series of a process that have had no point since the epoch before. The process itself is
// forgotten with the last of them.
func (s *Store) expireInstance(in *instance, before uint32, now int64) (expired int64) {
	for key, st := range in.series {
		if st.seen < before {
			if st.time >= in.scrape {
				// It was in that scrape.
				in.scrape = 0
			}
			// A sender whose clock is ahead must not keep others from beginning.
			if at := min(st.time, now); at > s.whole.Load() {
				s.whole.Store(at)
			}
			if st.out != nil {
				st.out.release()
			}
			if st.restored {
				in.unseen--
			}
			s.bytes.Add(-stateBytes - 8*int64(len(st.last.Buckets)))
			delete(in.series, key)
			expired++
		}
	}
	return expired
}

// Epoch returns the epoch.
func (s *Store) Epoch() uint32 { return s.epoch.Load() }
