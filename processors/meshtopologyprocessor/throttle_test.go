// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestThrottle(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	th := newThrottle[string](time.Minute, 2)
	assert.True(t, th.allow("a", now))
	assert.False(t, th.allow("a", now.Add(59*time.Second)))
	assert.True(t, th.allow("a", now.Add(time.Minute)))
	assert.True(t, th.allow("b", now.Add(90*time.Second)))
	assert.False(t, th.allow("c", now.Add(91*time.Second)), "it is full")
	assert.Len(t, th.told, 2)
	assert.True(t, th.allow("c", now.Add(2*time.Minute)), "a is forgotten")
	assert.True(t, th.allow("b", now.Add(150*time.Second)))
	assert.Len(t, th.told, 2)
}

// TestThrottleUnderAFlood: whoever makes up keys costs no walk over all of them each time.
func TestThrottleUnderAFlood(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	th := newThrottle[int](time.Minute, 100)
	for i := range 10_000 {
		th.allow(i, now.Add(time.Duration(i)*time.Millisecond))
	}
	assert.Len(t, th.told, 100)
	assert.Equal(t, now.Add(7600*time.Millisecond), th.swept, "when it was full, and then after an eighth of the period")
}
