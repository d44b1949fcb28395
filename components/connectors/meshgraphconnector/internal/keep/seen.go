// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/wire"
)

// generations is how many parts of the window are forgotten one by one; one more is being filled.
const generations = 2

// ErrSeen means bytes that are no remembered points.
var ErrSeen = errors.New("no remembered points, or damaged ones")

// Seen remembers points for a time, and a number of them. It is not for use by several goroutines at once.
type Seen struct {
	window time.Duration
	most   int
	// parts are the points by when they came, the newest first.
	parts [generations + 1]map[ID]struct{}
	begun [generations + 1]time.Time
	// forgotten counts those that had to go before their time.
	forgotten uint64
}

// NewSeen returns an empty memory. A point stays for the window at least and for one and a half times at most, unless there
// are more than most.
func NewSeen(window time.Duration, most int, now time.Time) *Seen {
	s := &Seen{window: window, most: most}
	for i := range s.parts {
		s.parts[i] = map[ID]struct{}{}
		s.begun[i] = now
	}
	return s
}

// Add remembers a point; false if it is known.
func (s *Seen) Add(id *ID) bool {
	for _, part := range s.parts {
		if _, known := part[*id]; known {
			return false
		}
	}
	s.parts[0][*id] = struct{}{}
	return true
}

// Len is how many points are remembered, forgotten how many had to go before their time.
func (s *Seen) Len() (n int, forgotten uint64) {
	for _, part := range s.parts {
		n += len(part)
	}
	return n, s.forgotten
}

// Age forgets what is old enough at now, and what is too much. Call it often: only here is anything forgotten.
func (s *Seen) Age(now time.Time) {
	if now.Before(s.begun[0]) {
		s.begun[0] = now // A clock that was set back.
	}
	if now.Sub(s.begun[0]) < s.window/generations && len(s.parts[0]) <= s.most/(generations+1) {
		return
	}
	last := generations
	if now.Sub(s.begun[last-1]) < s.window {
		s.forgotten += uint64(len(s.parts[last]))
	}
	old := s.parts[last]
	clear(old)
	copy(s.parts[1:], s.parts[:last])
	copy(s.begun[1:], s.begun[:last])
	s.parts[0], s.begun[0] = old, now
}

// Encode returns what is remembered.
func (s *Seen) Encode() []byte {
	n, _ := s.Len()
	out := make([]byte, 0, n*len(ID{})+64)
	for i, part := range s.parts {
		out = binary.AppendVarint(out, int64(s.begun[0].Sub(s.begun[i])))
		out = binary.AppendUvarint(out, uint64(len(part)))
		for id := range part {
			out = append(out, id[:]...)
		}
	}
	return out
}

// Restore takes what [Seen.Encode] returned. The time since then does not count: a sender that could not send could not
// send again either. After an error nothing was changed.
func (s *Seen) Restore(b []byte, now time.Time) error {
	r := wire.Reader{B: b}
	next := NewSeen(s.window, s.most, now)
	next.forgotten = s.forgotten
	for i := range next.parts {
		next.begun[i] = now.Add(-min(max(time.Duration(r.Varint()), 0), 24*time.Hour))
		raw := r.Take(r.UpTo(uint64(len(r.B)/len(ID{}))) * uint64(len(ID{})))
		for ; len(raw) > 0; raw = raw[len(ID{}):] {
			next.parts[i][ID(raw)] = struct{}{}
		}
	}
	if r.Bad || len(r.B) != 0 {
		return ErrSeen
	}
	*s = *next
	return nil
}
