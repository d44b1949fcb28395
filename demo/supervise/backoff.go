// SPDX-License-Identifier: Apache-2.0

package supervise

import "time"

// kubelet is how a kubelet starts containers again, but faster: a demo does not wait five minutes.
var kubelet = backoff{first: 250 * time.Millisecond, last: 5 * time.Second, steady: 10 * time.Second}

// backoff doubles the pause before each restart, from first to last.
type backoff struct {
	first, last time.Duration
	// steady is how long a child must have run for its death to count as the first one.
	steady time.Duration

	pause time.Duration // the latest; 0 when there was none
}

// next returns the pause after a child that ran for so long.
func (b *backoff) next(ran time.Duration) time.Duration {
	if b.pause == 0 || ran > b.steady {
		b.pause = b.first
	} else {
		b.pause = min(2*b.pause, b.last)
	}
	return b.pause
}

// reset makes the next death the first one.
func (b *backoff) reset() { b.pause = 0 }
