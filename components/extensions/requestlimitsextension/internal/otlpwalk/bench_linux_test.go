// SPDX-License-Identifier: Apache-2.0

package otlpwalk

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cpu is the time that this thread has run; on a machine that others use too it says more than the clock does.
func cpu(tb testing.TB) time.Duration {
	const thisThread = 1 // RUSAGE_THREAD of getrusage(2)
	var usage syscall.Rusage
	require.NoError(tb, syscall.Getrusage(thisThread, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkTraces compares the walk with the decoding that it comes before, over the same bytes.
func BenchmarkTraces(b *testing.B) {
	body := honest(b)[Traces]
	decoded := empty(Traces)
	require.NoError(b, decoded.UnmarshalProto(body))
	json, err := decoded.MarshalJSON()
	require.NoError(b, err)
	limits := unlimited()
	report := func(b *testing.B, size int, f func()) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		before := cpu(b)
		for b.Loop() {
			f()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchmarkItems, "ns/span")
		b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N)/benchmarkItems, "cpu-ns/span")
	}
	b.Run("walk", func(b *testing.B) {
		var w Walker
		report(b, len(body), func() { _, _ = w.Proto(Traces, body, limits) })
	})
	b.Run("decode", func(b *testing.B) {
		report(b, len(body), func() { _ = empty(Traces).UnmarshalProto(body) })
	})
	b.Run("walk_json", func(b *testing.B) {
		var w Walker
		report(b, len(json), func() { _, _ = w.JSON(Traces, json, limits) })
	})
	b.Run("decode_json", func(b *testing.B) {
		report(b, len(json), func() { _ = empty(Traces).UnmarshalJSON(json) })
	})
}
