// SPDX-License-Identifier: Apache-2.0

package inventorybroadcastexporter

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

// forgetAfter is how long a silent cluster is kept: as long as a hub remembers it by default.
const forgetAfter = 24 * time.Hour

// staleAfter is how long a leader has to be silent before one of a smaller epoch counts: its predecessor's clock was ahead.
const staleAfter = 90 * time.Second

// key names a message: a sender that was not answered sends it again.
type key struct {
	cluster  string
	epoch    int64
	sequence uint64
}

// entry is one message in the book. It never changes.
type entry struct {
	// number is its place in the book, from 1.
	number uint64
	header inventory.Header
	// logs holds the one record with its resource and scope.
	logs  plog.Logs
	bytes int
	// at is when it came.
	at time.Time
	// of is its cluster.
	of *kept
}

// snapshot is where a cluster's latest complete snapshot begins.
type snapshot struct {
	epoch int64
	first uint64
	// parts counts the chunks that are in the book.
	parts int
}

// kept is what the book knows of one cluster.
type kept struct {
	// messages and bytes are those of its entries.
	messages, bytes int
	// forgotten says that it has been silent for long.
	forgotten bool
	complete  snapshot
	// coming are the snapshots whose chunks are not all there.
	coming []snapshot
	// heard is when anything came, spoken when something of the complete snapshot's epoch did.
	heard, spoken time.Time
	// over is the number up to which messages of greater epochs do not count: their sender fell silent.
	over uint64
}

// maxComing is how many snapshots that are not complete are followed, of one cluster. There is one, but for losses.
const maxComing = 16

// book holds, in the order in which they came, the messages that a replica needs which knows nothing: of each cluster
// the latest complete snapshot and what followed. Its methods are safe to call at the same time.
type book struct {
	ceiling int
	now     func() time.Time
	// lose is called, under the lock, for what the ceiling pushes out.
	lose func(messages int)

	mu       sync.Mutex
	entries  []*entry
	numbers  map[key]uint64
	clusters map[string]*kept
	last     uint64
	bytes    int
	// outdated says that entries may be left over from before a complete snapshot.
	outdated bool
	// changed is closed when a message is added.
	changed chan struct{}
}

func newBook(ceiling int, now func() time.Time, lose func(int)) *book {
	return &book{
		ceiling: ceiling, now: now, lose: lose, numbers: map[key]uint64{}, clusters: map[string]*kept{}, changed: make(chan struct{}),
	}
}

// add takes a message, once, and returns its number.
func (b *book) add(h *inventory.Header, logs plog.Logs, bytes int) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := key{h.Cluster, h.Epoch, h.Sequence}
	if number, ok := b.numbers[name]; ok {
		return number
	}
	b.last++
	of := b.note(h)
	b.entries = append(b.entries, &entry{number: b.last, header: *h, logs: logs, bytes: bytes, at: b.now(), of: of})
	b.numbers[name] = b.last
	b.bytes += bytes
	of.messages, of.bytes = of.messages+1, of.bytes+bytes
	b.forget()
	b.push()
	close(b.changed)
	b.changed = make(chan struct{})
	return b.last
}

// note follows the snapshots of the message's cluster, which it returns.
func (b *book) note(h *inventory.Header) *kept {
	c := b.clusters[h.Cluster]
	if c == nil {
		c = &kept{}
		b.clusters[h.Cluster] = c
	}
	c.heard = b.now()
	if h.Epoch >= c.complete.epoch {
		c.spoken = c.heard
	}
	if h.Kind != inventory.KindSnapshot || h.Part < 1 || uint64(h.Part) > h.Sequence {
		return c
	}
	first := h.Sequence - uint64(h.Part) + 1
	i := slices.IndexFunc(c.coming, func(s snapshot) bool { return s.epoch == h.Epoch && s.first == first })
	if i < 0 {
		c.coming = append(c.coming[max(0, len(c.coming)-maxComing+1):], snapshot{epoch: h.Epoch, first: first})
		i = len(c.coming) - 1
	}
	c.coming[i].parts++
	if done := c.coming[i]; done.parts >= h.Parts &&
		(c.complete.before(done.epoch, done.first) || done.epoch < c.complete.epoch && c.heard.Sub(c.spoken) >= staleAfter) {
		if done.epoch < c.complete.epoch {
			c.over = b.last
		}
		c.complete, c.spoken = done, c.heard
		c.coming = slices.DeleteFunc(c.coming, func(s snapshot) bool { return !done.before(s.epoch, s.first) })
		b.outdated = true
	}
	return c
}

// before says whether a message is of a later epoch than the snapshot, or of the same one and behind its beginning.
func (s snapshot) before(epoch int64, sequence uint64) bool {
	return epoch > s.epoch || epoch == s.epoch && sequence > s.first
}

// needed says whether a replica that knows nothing needs the message.
func (b *book) needed(e *entry) bool {
	c := e.of
	switch {
	case c.forgotten:
		return false
	case c.complete.parts == 0:
		return true
	case e.number <= c.over && e.header.Epoch > c.complete.epoch:
		return false
	}
	return c.complete.before(e.header.Epoch, e.header.Sequence+1)
}

// forget drops clusters of which nothing has been heard for long.
func (b *book) forget() {
	oldest := b.now().Add(-forgetAfter)
	for name, c := range b.clusters {
		if c.heard.Before(oldest) {
			c.forgotten = true
			delete(b.clusters, name)
			b.outdated = true
		}
	}
}

// push drops messages until the rest fits: what no newcomer needs, then the oldest of the cluster that holds most, so that
// one cluster does not push out the others.
func (b *book) push() {
	n := 0
	if b.bytes > b.ceiling {
		n += b.dropIf(func(e *entry) bool { return !b.needed(e) })
	}
	for dropped := 1; b.bytes > b.ceiling && dropped > 0; n += dropped {
		largest := b.largest()
		dropped = b.dropIf(func(e *entry) bool { return e.of == largest && b.bytes > b.ceiling })
	}
	if n > 0 {
		b.lose(n)
	}
}

// largest returns the cluster that holds most, of two equals the one that has been silent for longer. One that holds the newest
// message of all and no other has nothing to give.
func (b *book) largest() (most *kept) {
	newest := b.entries[len(b.entries)-1].of
	for _, c := range b.clusters {
		if c == newest && c.messages == 1 {
			continue
		}
		if most == nil || c.bytes > most.bytes || c.bytes == most.bytes && c.heard.Before(most.heard) {
			most = c
		}
	}
	return most
}

// dropIf drops messages, from the oldest on, but not the newest of all, and returns how many.
func (b *book) dropIf(drop func(*entry) bool) (n int) {
	b.entries = slices.DeleteFunc(b.entries, func(e *entry) bool {
		if e.number == b.last || !drop(e) {
			return false
		}
		b.drop(e)
		n++
		return true
	})
	return n
}

func (b *book) drop(e *entry) {
	b.bytes -= e.bytes
	e.of.messages, e.of.bytes = e.of.messages-1, e.of.bytes-e.bytes
	delete(b.numbers, key{e.header.Cluster, e.header.Epoch, e.header.Sequence})
	if name := e.header.Cluster; e.of.messages == 0 && b.clusters[name] == e.of {
		delete(b.clusters, name)
	}
}

// tidy drops what no replica needs anymore: what all have that are waited for (numbers up to passed), and a complete
// snapshot has made superfluous for newcomers.
func (b *book) tidy(passed uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.outdated {
		return
	}
	left := false
	b.entries = slices.DeleteFunc(b.entries, func(e *entry) bool {
		if b.needed(e) {
			return false
		}
		if e.number > passed {
			left = true
			return false
		}
		b.drop(e)
		return true
	})
	b.outdated = left
}

// newcomer returns what a replica that knows nothing needs: first the clusters of which there is a complete snapshot, then
// the others; and the number up to which that is.
func (b *book) newcomer() (first, later []*entry, number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		switch {
		case !b.needed(e):
		case e.of.complete.parts > 0:
			first = append(first, e)
		default:
			later = append(later, e)
		}
	}
	return first, later, b.last
}

// after returns messages behind the number, of about chunkBytes at most, and what is closed when there are more. What a slow
// replica still has to get stays here, where the ceiling is.
func (b *book) after(number uint64) ([]*entry, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from, bytes := b.behind(number), 0
	to := from
	for to < len(b.entries) && (to == from || bytes+b.entries[to].bytes <= chunkBytes) {
		bytes += b.entries[to].bytes
		to++
	}
	return slices.Clone(b.entries[from:to]), b.changed
}

// behind returns the index of the first entry behind the number. The lock is held.
func (b *book) behind(number uint64) int {
	i, _ := slices.BinarySearchFunc(b.entries, number+1, func(e *entry, n uint64) int { return cmp.Compare(e.number, n) })
	return i
}

// owed returns since when there is something behind the number; ok says whether there is.
func (b *book) owed(number uint64) (since time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.behind(number); i < len(b.entries) {
		return b.entries[i].at, true
	}
	return time.Time{}, false
}

// held returns the size of all messages in bytes.
func (b *book) held() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}
