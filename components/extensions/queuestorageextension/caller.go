// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"runtime"
	"strings"
	"sync"
)

// step is the place in exporterhelper's persistent queue from which the storage is called. The storage interface does not
// tell "delete it, it was sent" from "delete it, I cannot read it", or a new request from one that is put back at the
// start; the call stack does. Tests with the real queue hold the functions' names: they fail if exporterhelper renames one.
type step uint8

const (
	// stepRead takes the next item: if it deletes, the item was not readable.
	stepRead step = 1 << iota
	// stepStart puts back, at the start, what was being sent.
	stepStart
)

// steps caches what a program counter means.
var steps sync.Map

// callerStep finds the step of the queue that called the client, looking up a few frames.
func callerStep() (found step) {
	var pcs [12]uintptr
	for _, pc := range pcs[:runtime.Callers(3, pcs[:])] {
		cached, ok := steps.Load(pc)
		if !ok {
			cached = stepAt(pc)
			steps.Store(pc, cached)
		}
		found |= cached.(step)
	}
	return found
}

func stepAt(pc uintptr) (found step) {
	frames := runtime.CallersFrames([]uintptr{pc})
	for {
		frame, more := frames.Next()
		if strings.Contains(frame.Function, "persistentQueue[") {
			switch {
			case strings.HasSuffix(frame.Function, ".getNextItem"):
				found |= stepRead
			case strings.HasSuffix(frame.Function, ".enqueueNotDispatchedReqs"):
				found |= stepStart
			}
		}
		if !more {
			return found
		}
	}
}
