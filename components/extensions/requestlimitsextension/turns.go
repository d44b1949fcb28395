// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"context"
	"sync"
	"time"
)

// turns bounds how many requests are read at once. A request may be as long as 'max_bytes' before anybody knows what it
// holds, and a sender may take its time: with a turn for each the memory of all unfinished requests is turns times length.
// Without one a gRPC request has sent no more than its window, and one over HTTP nothing.
//
// Who waits makes a sender give up its turn that has had it for 'min_read_time', one of the peer with the most of them: so
// slow senders delay others by about that. The next turn is the one of the peer that had its last the longest ago, so that
// many waiting requests of some peers do not keep the others out.
type turns struct {
	cfg *Config
	now func() time.Time

	mu      sync.Mutex
	holders []*turn // never more than 'max_reading'
	waiting []*turn // never more than 'max_streams'
	peers   map[string]*share
	granted int64
}

// share is what a peer has of the turns; it is kept while it has or awaits one.
type share struct {
	holding, waiting int
	// last is the number of the latest turn that it got.
	last int64
}

// turn is the right of one request to be read.
type turn struct {
	peer  string
	evict func()
	// granted is closed once it is this one's turn.
	granted chan struct{}
	since   time.Time
	evicted bool
	// whole says that nothing more is awaited of its sender.
	whole bool
	timer *time.Timer
}

func newTurns(cfg *Config) *turns {
	return &turns{cfg: cfg, now: time.Now, peers: make(map[string]*share)}
}

// free says whether a peer may have another turn. The lock is held.
func (t *turns) free(of *share) bool {
	return len(t.holders) < t.cfg.MaxReading && of.holding < t.cfg.MaxReadingPerPeer
}

// of returns what a peer has. The lock is held.
func (t *turns) of(peer string) *share {
	s := t.peers[peer]
	if s == nil {
		s = &share{}
		t.peers[peer] = s
	}
	return s
}

// forget drops a peer that neither has nor awaits a turn. The lock is held.
func (t *turns) forget(peer string, s *share) {
	if s.holding == 0 && s.waiting == 0 {
		delete(t.peers, peer)
	}
}

// grant gives a turn. The lock is held.
func (t *turns) grant(own *turn, to *share) {
	t.granted++
	to.last = t.granted
	to.holding++
	own.since = t.now()
	own.timer = time.AfterFunc(t.cfg.MaxReadTime, func() { t.expire(own) })
	t.holders = append(t.holders, own)
	close(own.granted)
}

// take waits for a turn, until ctx ends or 'max_read_time' is over. evict is called, once at most and from any goroutine,
// when the request must not be read further. The turn must be given back by done.
func (t *turns) take(ctx context.Context, peer string, evict func()) (own *turn, ok bool) {
	own = &turn{peer: peer, evict: evict, granted: make(chan struct{})}
	t.mu.Lock()
	mine := t.of(peer)
	if t.free(mine) {
		t.grant(own, mine)
		t.mu.Unlock()
		return own, true
	}
	mine.waiting++
	t.waiting = append(t.waiting, own)
	t.mu.Unlock()
	return own, t.wait(ctx, own)
}

func (t *turns) wait(ctx context.Context, own *turn) bool {
	over := time.NewTimer(t.cfg.MaxReadTime)
	defer over.Stop()
	look := time.NewTicker(max(t.cfg.MinReadTime/8, time.Millisecond))
	defer look.Stop()
	for {
		t.makeRoom(own)
		select {
		case <-own.granted:
			return true
		case <-look.C:
		case <-ctx.Done():
			return t.leave(own)
		case <-over.C:
			return t.leave(own)
		}
	}
}

// leave stops waiting; true says that the turn came meanwhile.
func (t *turns) leave(own *turn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, w := range t.waiting {
		if w == own {
			t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
			mine := t.of(own.peer)
			mine.waiting--
			t.forget(own.peer, mine)
			return false
		}
	}
	return true
}

// makeRoom ends the reading of the request that stands in the way of another, if it has had its time.
func (t *turns) makeRoom(own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ownPeerFull := t.of(own.peer).holding >= t.cfg.MaxReadingPerPeer
	var victim *turn
	for _, h := range t.holders {
		if h.evicted {
			// Its turn is about to be given back, and for one who waits one is enough.
			if !ownPeerFull || h.peer == own.peer {
				return
			}
			continue
		}
		if h.whole || ownPeerFull && h.peer != own.peer {
			continue
		}
		if t.now().Sub(h.since) < t.cfg.MinReadTime {
			continue
		}
		if victim == nil || t.of(h.peer).holding > t.of(victim.peer).holding ||
			t.of(h.peer).holding == t.of(victim.peer).holding && h.since.Before(victim.since) {
			victim = h
		}
	}
	if victim != nil {
		victim.evicted = true
		victim.evict()
	}
}

// expire ends the reading of a request that takes too long, whoever waits.
func (t *turns) expire(own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.holders {
		if h == own && !own.evicted && !own.whole {
			own.evicted = true
			own.evict()
		}
	}
}

// complete says that all of a request has come: how long it takes from here on is no fault of its sender, so that nobody makes
// it stop any more, least of all where processors are scarce and each further try would cost as much again. It returns
// false if it was made to stop already.
func (t *turns) complete(own *turn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	own.whole = !own.evicted
	return own.whole
}

// done gives a turn back and says whether the request was made to stop.
func (t *turns) done(own *turn) (evicted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own.timer.Stop()
	for i, h := range t.holders {
		if h == own {
			t.holders = append(t.holders[:i], t.holders[i+1:]...)
			break
		}
	}
	mine := t.of(own.peer)
	mine.holding--
	t.next()
	t.forget(own.peer, mine)
	return own.evicted
}

// next gives free turns to who waits. The lock is held.
func (t *turns) next() {
	for len(t.waiting) > 0 {
		best := -1
		var to *share
		for i, w := range t.waiting {
			if s := t.of(w.peer); t.free(s) && (to == nil || s.last < to.last) {
				best, to = i, s
			}
		}
		if to == nil {
			return
		}
		own := t.waiting[best]
		t.waiting = append(t.waiting[:best], t.waiting[best+1:]...)
		to.waiting--
		t.grant(own, to)
	}
}

// reading is how many requests are being read.
func (t *turns) reading() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(len(t.holders))
}
