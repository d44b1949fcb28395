// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// contender is one way to do what is compared. prepare decodes a request anew, as a receiver hands it over (what was
// processed once is not what a processor meets), and returns what is measured.
type contender struct {
	name    string
	prepare func() func()
}

// processed is a contender that processes decoded requests.
func processed[T any](b *testing.B, name string, request []byte, decode func([]byte) (T, error), consume func(T) error) contender {
	return contender{name, func() func() {
		decoded, err := decode(request)
		require.NoError(b, err)
		return func() {
			if err := consume(decoded); err != nil {
				b.Fatal(err)
			}
		}
	}}
}

// sideBySide runs the contenders by turns, so that what slows the machine down slows all of them, and reports for each
// one the CPU time and the allocations of one item, and how many times more the last one takes, which is the upstream
// part. A benchmark's own timer would stop the world to be stopped for the decoding.
func sideBySide(b *testing.B, items int, contenders ...contender) {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	spent := make([]time.Duration, len(contenders))
	for b.Loop() {
		for i, c := range contenders {
			run := c.prepare()
			start := threadTime(b)
			run()
			spent[i] += threadTime(b) - start
		}
	}
	last := len(contenders) - 1
	for i, c := range contenders {
		b.ReportMetric(float64(spent[i].Nanoseconds())/float64(b.N)/float64(items), c.name+"-ns/item")
		b.ReportMetric(allocations(c)/float64(items), c.name+"-allocs/item")
		if i != last {
			b.ReportMetric(float64(spent[last])/float64(spent[i]), c.name+"-times-ahead")
		}
	}
	// The time of all contenders together, with the decoding, says nothing.
	b.ReportMetric(0, "ns/op")
}

// allocations counts those of one run, exactly.
func allocations(c contender) float64 {
	run := c.prepare()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}

// endToEnd runs the contenders by turns, in blocks that are long enough for the garbage collector to come to all of its
// work, and reports the CPU time of an item and what each contender adds to that of the first one.
func endToEnd(b *testing.B, items int, contenders ...contender) {
	b.Helper()
	const block = 20
	spent := make([]time.Duration, len(contenders))
	for b.Loop() {
		for i, c := range contenders {
			runtime.GC()
			start := processTime(b)
			for range block {
				c.prepare()()
			}
			spent[i] += processTime(b) - start
		}
	}
	per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(b.N) / block / float64(items) }
	added := spent[len(spent)-1] - spent[0]
	for i, c := range contenders {
		b.ReportMetric(per(spent[i]), c.name+"-ns/item")
		if i == 0 {
			continue
		}
		b.ReportMetric(per(spent[i]-spent[0]), c.name+"-added-ns/item")
		b.ReportMetric(float64(added)/float64(spent[i]-spent[0]), c.name+"-times-ahead")
	}
	b.ReportMetric(0, "ns/op")
}
