// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSeenForgetsByTime(t *testing.T) {
	now := begin
	s := NewSeen(10*time.Minute, 1000, now)
	born := map[ID]time.Time{}
	for i := range 400 {
		now = now.Add(10 * time.Second)
		s.Age(now)
		id := ID{byte(i), byte(i >> 8)}
		require.True(t, s.Add(&id))
		require.False(t, s.Add(&id))
		born[id] = now
		for id, at := range born {
			if known := s.knows(&id); now.Sub(at) <= 10*time.Minute {
				require.True(t, known, now.Sub(at))
			} else if now.Sub(at) > 15*time.Minute+10*time.Second {
				require.False(t, known, now.Sub(at))
			}
		}
	}
	_, forgotten := s.Len()
	assert.Zero(t, forgotten, "all had their time")
}

func (s *Seen) knows(id *ID) bool {
	for _, part := range s.parts {
		if _, known := part[*id]; known {
			return true
		}
	}
	return false
}

func TestSeenForgetsTheOldestOfTooMany(t *testing.T) {
	s := NewSeen(10*time.Minute, 3000, begin)
	for i := range 20_000 {
		id := ID{byte(i), byte(i >> 8)}
		s.Add(&id)
		if i%100 == 0 {
			s.Age(begin.Add(time.Duration(i)))
		}
	}
	n, forgotten := s.Len()
	assert.LessOrEqual(t, n, 3300)
	assert.Equal(t, 20_000, n+int(forgotten))
	last := ID{byte(19_999 & 255), byte(19_999 >> 8)}
	assert.True(t, s.knows(&last))
}

// TestTimeWithoutAProcessDoesNotCount prevents that a hub which was down for an hour counts again what its agents repeat.
func TestTimeWithoutAProcessDoesNotCount(t *testing.T) {
	s := NewSeen(10*time.Minute, 3000, begin)
	id, later := ID{1}, ID{2}
	s.Add(&id)
	s.Age(begin.Add(6 * time.Minute))
	s.Add(&later)
	state := s.Encode()

	next := NewSeen(10*time.Minute, 3000, begin)
	up := begin.Add(24 * time.Hour)
	require.NoError(t, next.Restore(state, up))
	next.Age(up.Add(4 * time.Second))
	assert.False(t, next.Add(&id))
	assert.False(t, next.Add(&later))
	for i := range 30 {
		next.Age(up.Add(time.Duration(i) * time.Minute))
	}
	assert.True(t, next.Add(&id))
	for n := range state {
		assert.Error(t, NewSeen(time.Minute, 10, begin).Restore(state[:n], begin), n)
	}
}
