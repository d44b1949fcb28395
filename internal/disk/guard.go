// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrHangs says that the disk did not answer in time: nobody knows yet what came of it.
var ErrHangs = errors.New("the disk does not answer")

// ErrStillHangs is the [ErrHangs] of who did not wait, because the one before waits yet.
var ErrStillHangs = fmt.Errorf("%w yet", ErrHangs)

// Guard bounds how long its user waits for a disk, which may hang for minutes: an attached volume that lost its server, for
// example. [Guard.Do] must not overlap itself; [Guard.Busy] may be called from anywhere.
type Guard struct {
	// Patience is how long Do waits; 0 for as long as it takes.
	Patience time.Duration

	busy atomic.Bool
}

// Do does a work and returns what came of it, or [ErrHangs] if that took longer than Patience. Then the work goes on, alone: until
// it ended, each further call returns [ErrStillHangs] at once and does nothing. What a work uses is its own until it ended.
func (g *Guard) Do(work func() error) error {
	if !g.busy.CompareAndSwap(false, true) {
		return ErrStillHangs
	}
	if g.Patience == 0 {
		defer g.busy.Store(false)
		return work()
	}
	done := make(chan error, 1)
	go func() {
		err := work()
		g.busy.Store(false)
		done <- err
	}()
	timer := time.NewTimer(g.Patience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return ErrHangs
	}
}

// Busy says whether a work is under way.
func (g *Guard) Busy() bool { return g.busy.Load() }
