// SPDX-License-Identifier: Apache-2.0

package window

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAClockThatWasAhead: what came from the future does not stay in the minute that has begun until the future comes.
func TestAClockThatWasAhead(t *testing.T) {
	before := newStore(t, 100)
	before.Add(interval(noon.AddDate(1, 0, 0), edge(reviews("v1", "west"), 5, 0, 0)))
	restored := newStore(t, 100)
	require.NoError(t, restored.Restore(before.Encode()))
	for _, s := range []*Store{before, restored} {
		for i := range 600 {
			s.Add(interval(noon.Add(time.Duration(i)*time.Minute), edge(reviews("v1", "west"), 1, 0, 0)))
		}
		a := s.Query(ask("v1", 5*time.Minute))
		assert.EqualValues(t, 6, a.Matched.Requests)
		assert.True(t, a.From.Before(a.To))
		assert.Equal(t, 1, s.Stats().Series)
	}
	// A little is nothing to forget anything for.
	s := newStore(t, 100)
	s.Add(interval(noon, edge(reviews("v1", "west"), 5, 0, 0)))
	s.Add(interval(noon.Add(-mostBack*time.Second), edge(reviews("v1", "west"), 2, 0, 0)))
	assert.EqualValues(t, 7, s.Query(ask("v1", 5*time.Minute)).Matched.Requests)
}
