// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"sync"
	"time"
)

const (
	// maxInRow is how many requests in a row may fail in the search for an item that makes them fail. It takes 16 to find
	// one among 64 000; after more it is the destination.
	maxInRow = 20
	// refusedAge is how old an item is at least when it is given up because it fails each time.
	refusedAge = 2 * time.Minute
)

// evidence is what speaks for an item, and not the destination, being why requests fail.
type evidence struct {
	// suspected says that the batch is searched for such items.
	suspected bool
	// inRow counts the requests that failed since one passed.
	inRow int
}

// health is how many of the latest requests of a sender brought something, from 0 to 1, without those that carried nothing
// but items that failed alone before. It tells an endpoint that fails mostly from one that stumbles over some items.
type health struct {
	mu    sync.Mutex
	value float64
}

// healthSpan is how many requests the average is over, roughly.
const healthSpan = 8

func (h *health) add(outcome float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.value += (outcome - h.value) / healthSpan
}

func (h *health) good() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.value >= 0.5
}

// trouble judges a failure that says nothing about its cause: an error of the server, a connection that broke off, an
// answer that nobody can read. The first time it is taken for one of the destination, which then has a pause. If other
// requests passed by the time the same batch fails again, it is the batch: it holds up nobody else any more, and is
// searched for what the endpoint stumbles over.
func (v *verdict) trouble(failure *Failure) bool {
	passes, before := v.s.passes.Load(), v.batch.Failed()
	v.batch.SetFailed(passes + 1)
	good := v.s.health.good()
	struck := v.batch.Item(int(v.order[v.part.from])).Strikes > 0
	if !v.suspected && !struck {
		v.s.health.add(0)
	}
	known := good && (struck || before != 0 && passes >= before)
	if v.asked() > 0 || !v.suspected && !known {
		if good && v.sent() == 1 {
			// If it comes back after others passed, it is known.
			v.struck = append(v.struck, int(v.order[v.part.from]))
		}
		return v.block(failure, 0)
	}
	v.suspected = true
	if v.inRow++; v.inRow > maxInRow {
		return v.block(failure, 0)
	}
	v.pass.release()
	v.why = failure
	if v.sent() == 1 {
		v.strike(int(v.order[v.part.from]), failure)
	} else {
		v.halve()
	}
	if v.searches++; v.searches > maxSearches {
		return v.stop(failure)
	}
	return true
}

// strike judges an item that failed alone, while others pass. It is tried again for some time, with the batches that
// follow; then it is set aside, because it would be tried, and maybe stored, without end.
func (v *verdict) strike(index int, failure *Failure) {
	item := v.batch.Item(index)
	if item.Strikes >= maxStrikes && v.settings().Now().Sub(item.Time) >= refusedAge {
		v.bury(index, ReasonRefused, v.status, failure.Message)
		return
	}
	v.leave(index, failure.Cause)
	v.struck = append(v.struck, index)
}

// brought says that a request brought something.
func (v *verdict) brought() {
	v.inRow = 0
	v.s.passes.Add(1)
	v.s.health.add(1)
	v.d.sizes.passed()
}

// halve puts the two halves of a request on the stack.
func (v *verdict) halve() {
	middle := v.part.from + v.sent()/2
	v.stack = append(v.stack, span{middle, v.part.to}, span{v.part.from, middle})
}
