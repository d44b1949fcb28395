// SPDX-License-Identifier: Apache-2.0

package early

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPace(t *testing.T) {
	p := Pace{Gap: 15 * time.Second, Burst: 4, Refill: 10 * time.Minute}
	now := begin
	p.Begin(now)
	check := func(strength Strength, want time.Duration, wantHeld bool, what string) {
		t.Helper()
		wait, held := p.Wait(now, strength)
		require.Equal(t, want, wait, what)
		require.Equal(t, wantHeld, held, what)
	}
	check(Weak, 15*time.Second, false, "after any hand-over")
	now = now.Add(20 * time.Second)
	check(Weak, 0, false, "in the middle of an interval")
	p.HandedOver(now, true)
	check(Strong, 15*time.Second, false, "after an early one")
	now = now.Add(15 * time.Second)
	check(Weak, 0, false, "the second of four")
	p.HandedOver(now, true)
	now = now.Add(25 * time.Second)
	p.HandedOver(now, false)
	now = now.Add(5 * time.Second)
	check(Strong, 10*time.Second, false, "the rest of the gap after an interval")
	// The first token was taken 45 seconds ago.
	check(Weak, 10*time.Minute-45*time.Second, true, "half is kept")
	now = now.Add(10 * time.Second)
	p.HandedOver(now, true)
	now = now.Add(15 * time.Second)
	p.HandedOver(now, true)
	now = now.Add(20 * time.Second)
	check(Strong, 10*time.Minute-90*time.Second, true, "all are gone")
	check(Weak, 30*time.Minute-90*time.Second, true, "and half comes first")
	now = now.Add(9 * time.Minute)
	check(Strong, 0, false, "one came")
	now = now.Add(24 * time.Hour)
	for range 4 {
		check(Strong, 0, false, "full again")
		p.HandedOver(now, true)
		now = now.Add(time.Minute)
	}
	wait, held := p.Wait(now, Strong)
	require.True(t, held)
	require.Equal(t, 6*time.Minute, wait, "never more than the burst")
}
