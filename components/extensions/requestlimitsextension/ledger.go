// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import "sync"

// ledger knows who holds what now. A peer is in it while it holds something, so it is as small as the limits are.
type ledger struct {
	cfg *Config

	mu                          sync.Mutex
	peers                       map[string]*holding
	bytes, streams, connections int64
	// overConnections are open beyond the limit; no request is taken on them.
	overConnections int64
}

// holding is what one peer holds.
type holding struct{ bytes, streams, connections int64 }

func newLedger(cfg *Config) *ledger { return &ledger{cfg: cfg, peers: make(map[string]*holding)} }

// change runs f over what a peer holds, and forgets a peer that holds nothing.
func (l *ledger) change(peer string, f func(h *holding) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.peers[peer]
	if h == nil {
		h = &holding{}
		l.peers[peer] = h
	}
	ok := f(h)
	if *h == (holding{}) {
		delete(l.peers, peer)
	}
	return ok
}

// hold takes n bytes, or none if that is over a limit.
func (l *ledger) hold(peer string, n int64) bool {
	return l.change(peer, func(h *holding) bool {
		if l.bytes+n > l.cfg.MaxConcurrentBytes || h.bytes+n > l.cfg.MaxConcurrentBytesPerPeer {
			return false
		}
		l.bytes += n
		h.bytes += n
		return true
	})
}

func (l *ledger) release(peer string, n int64) {
	l.change(peer, func(h *holding) bool {
		l.bytes -= n
		h.bytes -= n
		return true
	})
}

// open takes a stream.
func (l *ledger) open(peer string) bool {
	return l.change(peer, func(h *holding) bool {
		if l.streams >= int64(l.cfg.MaxStreams) || h.streams >= int64(l.cfg.MaxStreamsPerPeer) {
			return false
		}
		l.streams++
		h.streams++
		return true
	})
}

func (l *ledger) close(peer string) {
	l.change(peer, func(h *holding) bool {
		l.streams--
		h.streams--
		return true
	})
}

// connect takes a connection.
func (l *ledger) connect(peer string) bool {
	return l.change(peer, func(h *holding) bool {
		if l.connections >= int64(l.cfg.MaxConnections) || h.connections >= int64(l.cfg.MaxConnectionsPerPeer) {
			return false
		}
		l.connections++
		h.connections++
		return true
	})
}

func (l *ledger) disconnect(peer string) {
	l.change(peer, func(h *holding) bool {
		l.connections--
		h.connections--
		return true
	})
}

func (l *ledger) over(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.overConnections += n
}

func (l *ledger) held() (bytes, streams, connections int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes, l.streams, l.connections + l.overConnections
}
