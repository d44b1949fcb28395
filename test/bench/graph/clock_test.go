// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// threadTime returns what CPU time this thread has used, by clock_gettime(2): waiting for a CPU that others use does not
// count. The caller holds the thread.
func threadTime(b *testing.B) time.Duration {
	const threadClock = 3
	var at syscall.Timespec
	_, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&at)), 0)
	require.Zero(b, err)
	return time.Duration(at.Nano())
}

// contender is one way to do what is compared. prepare makes items that nobody has seen, and returns what is measured.
type contender struct {
	name    string
	prepare func() func()
}

// sideBySide runs the contenders by turns, so that what slows the machine down slows all of them, and reports for each one
// the CPU time and the allocations of an item, and how many times as much the last one takes, which is the upstream part.
func sideBySide(b *testing.B, items int, contenders ...contender) {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	spent := make([]time.Duration, len(contenders))
	allocated := make([]uint64, len(contenders))
	for range b.N {
		for i, c := range contenders {
			run := c.prepare()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := threadTime(b)
			run()
			spent[i] += threadTime(b) - start
			runtime.ReadMemStats(&after)
			allocated[i] += after.Mallocs - before.Mallocs
		}
	}
	last := len(contenders) - 1
	for i, c := range contenders {
		b.ReportMetric(float64(spent[i].Nanoseconds())/float64(b.N)/float64(items), c.name+"-ns/item")
		b.ReportMetric(float64(allocated[i])/float64(b.N)/float64(items), c.name+"-allocs/item")
		if i != last {
			b.ReportMetric(float64(spent[last])/float64(spent[i]), c.name+"-times-ahead")
		}
	}
	// The time of all contenders together, with the preparation, says nothing.
	b.ReportMetric(0, "ns/op")
}

// live is the heap that is in use after everything was collected.
func live() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
