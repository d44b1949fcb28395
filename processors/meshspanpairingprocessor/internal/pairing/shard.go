// SPDX-License-Identifier: Apache-2.0

package pairing

import (
	"iter"
	"sync"
)

// shard holds the spans of some traces; all spans of a trace are in one.
type shard struct {
	mu    sync.Mutex
	nodes map[Key]*node
	// The entries and the waiting spans, each from the oldest to the newest.
	oldest, newest *Entry
	first, last    *Held
	work           []*Entry
	// free are nodes to use again.
	free []*node
	_    [64]byte
}

// Held is a span that waits. Only this package uses a Held once it was given to [Store.Hold].
type Held struct {
	// Payload is what the owner of the span wants back.
	Payload any
	// Bytes is the size that counts against the ceiling; it must not change after [Store.Reserve].
	Bytes int64

	entry      *Entry
	deadline   int64
	prev, next *Held
	sameEntry  *Held
}

// clients are the entries that may be above e: one that shares its id, as Zipkin lets the two spans of a call, or else
// those whose id is e's parent.
func (e *Entry) clients() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		n, shared := e.above, e.side == Callee && e.sharesID()
		if shared {
			n = e.at
		}
		if n == nil {
			return
		}
		for p := n.self; p != nil; p = p.sameID {
			if p != e && (!shared || p.side == Caller) && !yield(p) {
				return
			}
		}
	}
}

// servers are the entries that may be below e.
func (e *Entry) servers() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		if e.at == nil {
			return
		}
		for c := e.at.children; c != nil; c = c.sibling {
			if c != e && !yield(c) {
				return
			}
		}
		for c := e.at.self; c != nil; c = c.sameID {
			if c != e && !yield(c) {
				return
			}
		}
	}
}

// sharesID says whether the caller's span of e's call has e's own id.
func (e *Entry) sharesID() bool {
	if e.at == nil || e.at.selfCount < 2 {
		return false
	}
	for p := e.at.self; p != nil; p = p.sameID {
		if p != e && p.side == Caller {
			return true
		}
	}
	return false
}

// onlyChild says whether nobody but e can have received the call of p.
func onlyChild(p, e *Entry) bool {
	for c := range p.servers() {
		if c == e {
			continue
		}
		if rel := relate(p, c); rel == called || rel == carried {
			return false
		}
	}
	return true
}

// maxSteps bounds how many spans one span may let be judged again; chains of one call are a handful.
const maxSteps = 128

// settle judges a span that is new or for which nobody waits any more, and everyone whom that concerns.
// If it waited and learned nothing, idle is why it is let go.
func (s *Store) settle(sh *shard, start *Entry, idle Reason, b *Batch) {
	work := append(sh.work[:0], start)
	work = neighbors(start, work)
	for i := 0; i < len(work) && i < maxSteps; i++ {
		e := work[i]
		v := judge(e)
		changed := v.state != e.now || v.wants != e.wants
		e.now, e.wants = v.state, v.wants
		b.addConflicts(v.conflicts &^ e.counted)
		e.counted |= v.conflicts
		if e.held != nil && !e.wants {
			reason := Settled
			if e == start {
				reason = idle
			}
			if e.now != e.own {
				reason = Paired
			}
			s.release(sh, e, reason, b)
		}
		if changed && i > 0 {
			work = neighbors(e, work)
		}
	}
	clear(work)
	sh.work = work[:0]
}

// neighbors appends the entries that what is known of e may concern.
func neighbors(e *Entry, work []*Entry) []*Entry {
	if len(work) > maxSteps {
		return work
	}
	for p := range e.clients() {
		work = append(work, p)
	}
	for c := range e.servers() {
		work = append(work, c)
	}
	return work
}

// find returns the entry of the same span, if it came before.
func (sh *shard) find(e *Entry) *Entry {
	n := sh.nodes[e.key]
	if n == nil {
		return nil
	}
	for known := n.self; known != nil; known = known.sameID {
		if known.side == e.side && known.proxy == e.proxy && known.parent == e.parent {
			return known
		}
	}
	return nil
}

// link puts an entry where its partners find it. It reports false if there are too many of its kind already.
func (sh *shard) link(e *Entry) bool {
	n := sh.nodeOf(e.key)
	if n.selfCount >= maxSame {
		return false
	}
	if e.parent != (SpanID{}) {
		up := sh.nodeOf(e.parentKey())
		if up.kidsCount >= maxChildren {
			up.crowded = true
			sh.drop(n)
			return false
		}
		e.above, e.sibling, up.children = up, up.children, e
		up.kidsCount++
	}
	e.at, e.sameID, n.self = n, n.self, e
	n.selfCount++
	return true
}

func (sh *shard) nodeOf(key Key) *node {
	n := sh.nodes[key]
	if n == nil {
		if last := len(sh.free) - 1; last >= 0 {
			n, sh.free = sh.free[last], sh.free[:last]
		} else {
			n = new(node)
		}
		n.key = key
		sh.nodes[key] = n
	}
	return n
}

func (sh *shard) unlink(e *Entry) {
	if up := e.above; up != nil {
		for at := &up.children; *at != nil; at = &(*at).sibling {
			if *at == e {
				*at = e.sibling
				up.kidsCount--
				break
			}
		}
		if up != e.at {
			sh.drop(up)
		}
	}
	n := e.at
	for at := &n.self; *at != nil; at = &(*at).sameID {
		if *at == e {
			*at = e.sameID
			n.selfCount--
			break
		}
	}
	sh.drop(n)
	e.at, e.above, e.sameID, e.sibling = nil, nil, nil, nil
}

// maxFree bounds how many nodes a shard keeps to use again.
const maxFree = 256

// drop forgets a node that nothing is left of.
func (sh *shard) drop(n *node) {
	if n.self != nil || n.children != nil {
		return
	}
	delete(sh.nodes, n.key)
	if len(sh.free) < maxFree {
		*n = node{}
		sh.free = append(sh.free, n)
	}
}

// The two queues.

func (sh *shard) pushEntry(e *Entry) {
	if e.older = sh.newest; e.older != nil {
		e.older.newer = e
	} else {
		sh.oldest = e
	}
	sh.newest = e
}

func (sh *shard) removeEntry(e *Entry) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		sh.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		sh.newest = e.older
	}
	e.older, e.newer = nil, nil
}

func (sh *shard) pushHeld(h *Held) {
	if h.prev = sh.last; h.prev != nil {
		h.prev.next = h
	} else {
		sh.first = h
	}
	sh.last = h
}

func (sh *shard) removeHeld(h *Held) {
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		sh.first = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	} else {
		sh.last = h.prev
	}
	h.prev, h.next = nil, nil
}
