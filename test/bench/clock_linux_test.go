// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// The clocks of clock_gettime(2) that count CPU time. They are exact, while getrusage(2) lags by up to a tick of the
// scheduler, which is as long as a request takes.
const (
	processClock = 2
	threadClock  = 3
)

// threadTime returns what CPU time this thread has used: waiting for a CPU that others use does not count. The caller
// holds the thread.
func threadTime(b *testing.B) time.Duration { return cpuTime(b, threadClock) }

// processTime returns what CPU time the process has used, its garbage collector included.
func processTime(b *testing.B) time.Duration { return cpuTime(b, processClock) }

func cpuTime(b *testing.B, clock uintptr) time.Duration {
	var at syscall.Timespec
	if _, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&at)), 0); err != 0 {
		b.Fatal(err)
	}
	return time.Duration(at.Nano())
}
