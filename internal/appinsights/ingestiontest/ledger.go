// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"bytes"
	"math/bits"
	"strconv"
	"sync"
)

// Marker tells the number of an item from its JSON, so that the endpoint can
// say which of millions of items arrived, and how often, without keeping them.
type Marker struct {
	// Name names the series of numbers.
	Name string
	// Prefix is the text before the number, such as `"id":"5eed`. The number
	// follows it at once; only the first occurrence in an item counts.
	Prefix string
	// Hex reads the number as hexadecimal digits instead of decimal ones.
	Hex bool
}

// MaxNumber is the first number that is too large to be told apart; an item that
// carries such a number counts in [LedgerCount.TooLarge].
const MaxNumber = 1 << 28

// number is one that was found, in the series of a marker.
type number struct {
	series int
	value  uint64
}

// LedgerCount tells what arrived of one series of numbers.
type LedgerCount struct {
	// Accepted is the number of accepted items, Unique of them with a number
	// that had not come before, and Duplicates the others.
	Accepted, Unique, Duplicates uint64
	// TooLarge counts those from [MaxNumber] on, which are in Accepted alone.
	TooLarge uint64
}

// ledgerBook has a bit for each number that came: 64 million items take 8 MiB.
type ledgerBook struct {
	markers []Marker
	mu      sync.Mutex
	counts  []LedgerCount
	seen    []Numbers
}

func newLedgerBook(markers []Marker) *ledgerBook {
	return &ledgerBook{markers: markers, counts: make([]LedgerCount, len(markers)), seen: make([]Numbers, len(markers))}
}

// find appends the numbers of one item.
func (b *ledgerBook) find(into []number, item []byte) []number {
	for i, m := range b.markers {
		at := bytes.Index(item, []byte(m.Prefix))
		if at < 0 {
			continue
		}
		base, digits := 10, item[at+len(m.Prefix):]
		if m.Hex {
			base = 16
		}
		end := 0
		for end < len(digits) && end < 19 && isDigit(digits[end], m.Hex) {
			end++
		}
		value, err := strconv.ParseUint(string(digits[:end]), base, 64)
		if err != nil {
			continue // no number: another item that looks alike
		}
		into = append(into, number{series: i, value: value})
	}
	return into
}

func isDigit(c byte, hex bool) bool {
	return '0' <= c && c <= '9' || hex && 'a' <= c && c <= 'f'
}

func (b *ledgerBook) add(numbers []number) {
	if len(numbers) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range numbers {
		count := &b.counts[n.series]
		count.Accepted++
		switch {
		case n.value >= MaxNumber:
			count.TooLarge++
		case b.seen[n.series].Add(n.value):
			count.Unique++
		default:
			count.Duplicates++
		}
	}
}

// Ledger tells what arrived of the numbers that the named marker of
// [Config.Ledger] finds; zero counts when there is no such marker. It is exact
// over any number of items, since the start: [Endpoint.Reset] does not touch it.
func (e *Endpoint) Ledger(name string) LedgerCount {
	e.book.mu.Lock()
	defer e.book.mu.Unlock()
	for i, m := range e.book.markers {
		if m.Name == name {
			return e.book.counts[i]
		}
	}
	return LedgerCount{}
}

// Missing returns how many of the wanted numbers have not arrived, and the first
// ones of them, limit at most.
func (e *Endpoint) Missing(name string, wanted *Numbers, limit int) (missing uint64, first []uint64) {
	e.book.mu.Lock()
	defer e.book.mu.Unlock()
	seen := &Numbers{}
	for i, m := range e.book.markers {
		if m.Name == name {
			seen = &e.book.seen[i]
		}
	}
	return wanted.without(seen, limit)
}

// pageBits is the number of bits of a page of [Numbers], as a power of two.
const pageBits = 16

// Numbers is a set of numbers below [MaxNumber], at a bit each. Its zero value is
// empty and ready. It is not safe for concurrent use.
type Numbers struct {
	pages []*[1 << (pageBits - 6)]uint64
	count uint64
}

// Add puts n into the set; it returns false when it was there, or is too large.
func (s *Numbers) Add(n uint64) bool {
	if n >= MaxNumber {
		return false
	}
	page := int(n >> pageBits)
	for len(s.pages) <= page {
		s.pages = append(s.pages, nil)
	}
	if s.pages[page] == nil {
		s.pages[page] = new([1 << (pageBits - 6)]uint64)
	}
	word, bit := n%(1<<pageBits)/64, uint64(1)<<(n%64)
	if s.pages[page][word]&bit != 0 {
		return false
	}
	s.pages[page][word] |= bit
	s.count++
	return true
}

// Has tells whether n is in the set.
func (s *Numbers) Has(n uint64) bool {
	page := n >> pageBits
	return page < uint64(len(s.pages)) && s.pages[page] != nil && s.pages[page][n%(1<<pageBits)/64]&(1<<(n%64)) != 0
}

// Len returns how many numbers are in the set.
func (s *Numbers) Len() uint64 { return s.count }

// without counts what other has not, and lists the first ones.
func (s *Numbers) without(other *Numbers, limit int) (count uint64, first []uint64) {
	for p, page := range s.pages {
		if page == nil {
			continue
		}
		for w, word := range page {
			if p < len(other.pages) && other.pages[p] != nil {
				word &^= other.pages[p][w]
			}
			count += uint64(bits.OnesCount64(word))
			for ; word != 0 && len(first) < limit; word &= word - 1 {
				first = append(first, uint64(p)<<pageBits+uint64(w)*64+uint64(bits.TrailingZeros64(word)))
			}
		}
	}
	return count, first
}

// NumberOf returns the number that the first of the markers to find one finds in
// the JSON of an item, wherever that was found, and false if there is none.
func NumberOf(markers []Marker, item []byte) (uint64, bool) {
	found := newLedgerBook(markers).find(nil, item)
	if len(found) == 0 {
		return 0, false
	}
	return found[0].value, true
}
