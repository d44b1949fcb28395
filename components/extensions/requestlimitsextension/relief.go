// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"cmp"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"time"
)

// relief is the last resort for what nothing else bounds: of a message on a stream gRPC tells when it is whole and not
// before, and a stream waits for its next message most of the time, so that there is no telling an idle one from a slow one.
// Once the process takes more than its limit, which is when Go cannot keep it there any more, streams that have brought no
// message for a while are ended, half of them at a time, those of the peers with the most first.
type relief struct {
	limit uint64
	// used reads the process's memory and the number of collections; tests set it.
	used func() (bytes, collections uint64)

	mu      sync.Mutex
	streams map[*call]struct{}
	// since is the number of collections when streams were ended last: what they took is free after the next one.
	since uint64
	stop  chan struct{}
	done  sync.WaitGroup
}

const (
	reliefInterval = 20 * time.Millisecond
	// reliefIdle is how long a stream that is ended has brought no message, at least.
	reliefIdle = 100 * time.Millisecond
)

func newRelief(cfg *Config) *relief {
	limit := cfg.MaxProcessBytes
	if limit == 0 {
		if limit = debug.SetMemoryLimit(-1); limit == math.MaxInt64 {
			limit = 0
		}
	}
	return &relief{limit: uint64(max(limit, 0)), used: processMemory, streams: make(map[*call]struct{})} //nolint:gosec // positive
}

// processMemory is what GOMEMLIMIT is about: https://pkg.go.dev/runtime/debug#SetMemoryLimit.
func processMemory() (bytes, collections uint64) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64(), samples[2].Value.Uint64()
}

// start watches the memory, if there is a limit.
func (r *relief) start() {
	if r.limit == 0 || r.stop != nil {
		return
	}
	stop := make(chan struct{})
	r.stop = stop
	r.done.Go(func() {
		tick := time.NewTicker(reliefInterval)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				r.look(now)
			case <-stop:
				return
			}
		}
	})
}

func (r *relief) shutdown() {
	if r.stop != nil {
		close(r.stop)
		r.done.Wait()
		r.stop = nil
	}
}

func (r *relief) add(c *call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams[c] = struct{}{}
}

func (r *relief) remove(c *call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.streams, c)
}

// look ends streams if the process takes too much.
func (r *relief) look(now time.Time) {
	for _, c := range r.choose(now) {
		c.mu.Lock()
		c.unread = tooMuchMemory(0)
		c.mu.Unlock()
		c.cancel()
	}
}

// choose returns the streams to end.
func (r *relief) choose(now time.Time) []*call {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.streams) == 0 {
		return nil
	}
	bytes, collections := r.used()
	if bytes <= r.limit || collections == r.since {
		return nil
	}
	var idle []*call
	peers := make(map[string]int)
	for c := range r.streams {
		if now.UnixNano()-c.heard.Load() >= int64(reliefIdle) {
			idle = append(idle, c)
			peers[c.peer]++
		}
	}
	slices.SortFunc(idle, func(a, b *call) int {
		return cmp.Or(cmp.Compare(peers[b.peer], peers[a.peer]), cmp.Compare(a.peer, b.peer), cmp.Compare(a.heard.Load(), b.heard.Load()))
	})
	idle = idle[:(len(idle)+1)/2]
	for _, c := range idle {
		delete(r.streams, c)
	}
	if len(idle) > 0 {
		r.since = collections
	}
	return idle
}
