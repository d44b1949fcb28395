// SPDX-License-Identifier: Apache-2.0

package early

import "time"

// Pace says when an early hand-over may be. It is a bucket of tokens with a gap between them. It is not for use by several
// goroutines at once.
type Pace struct {
	// Gap is the least time from any hand-over to an early one.
	Gap time.Duration
	// Burst is how many early ones there may be one after the other, 0 for none at all; Refill how long it takes until
	// there may be one more.
	Burst  int
	Refill time.Duration

	left int
	// filled is when the last token came, last when something was handed over last.
	filled, last time.Time
}

// Begin begins with all tokens, as if there was a hand-over now.
func (p *Pace) Begin(now time.Time) {
	p.left, p.filled, p.last = p.Burst, now, now
}

// HandedOver says that all that was added up was handed over now; early that a token was taken for it.
func (p *Pace) HandedOver(now time.Time, early bool) {
	p.fill(now)
	p.last = now
	if early {
		p.left--
	}
}

// Wait returns how long what is so urgent has to wait, counted from now. held says that it would have been sooner but for the
// tokens: they are used up, or the last half of them is kept for what is strong.
func (p *Pace) Wait(now time.Time, strength Strength) (wait time.Duration, held bool) {
	p.fill(now)
	wait = max(0, p.Gap-now.Sub(p.last))
	keep := 0
	if strength < Strong {
		keep = p.Burst / 2
	}
	if missing := keep + 1 - p.left; missing > 0 {
		filled := p.filled.Add(time.Duration(missing) * p.Refill).Sub(now)
		return max(wait, filled), filled > wait
	}
	return wait, false
}

func (p *Pace) fill(now time.Time) {
	if p.left >= p.Burst {
		p.filled = now
		return
	}
	for p.left < p.Burst && now.Sub(p.filled) >= p.Refill {
		p.left++
		p.filled = p.filled.Add(p.Refill)
	}
}
