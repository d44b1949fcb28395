// SPDX-License-Identifier: Apache-2.0

package otlpwalk

import (
	"reflect"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// structs finds the sizes of pdata's internal structs by the names of their types.
func structs(t reflect.Type, into map[string]uintptr) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if _, seen := into[t.Name()]; seen || t.Kind() != reflect.Struct {
		return
	}
	into[t.Name()] = t.Size()
	for field := range t.Fields() {
		structs(field.Type, into)
	}
}

// TestSizes holds what the walk adds up equal to what this version of pdata allocates.
func TestSizes(t *testing.T) {
	sizes := make(map[string]uintptr)
	for _, r := range []any{ptraceotlp.ExportRequest{}, plogotlp.ExportRequest{}, pmetricotlp.ExportRequest{}} {
		field, _ := reflect.TypeOf(r).FieldByName("orig")
		structs(field.Type, sizes)
	}
	for name, cost := range map[string]uintptr{
		"ResourceSpans": resourceCost - pointerCost, "ResourceLogs": resourceCost - pointerCost,
		"ResourceMetrics": resourceCost - pointerCost, "ScopeSpans": scopeCost - pointerCost,
		"ScopeLogs": scopeCost - pointerCost, "ScopeMetrics": scopeCost - pointerCost,
		"EntityRef": entityCost - pointerCost, "Span": spanCost - pointerCost, "SpanEvent": eventCost - pointerCost,
		"SpanLink": linkCost - pointerCost, "LogRecord": logRecordCost - pointerCost, "Metric": metricCost - pointerCost,
		"KeyValue": attributeCost, "AnyValue": arrayValueCost / 2,
	} {
		require.Contains(t, sizes, name)
		require.LessOrEqual(t, sizes[name], cost, name)
		require.Greater(t, sizes[name]+sizes[name]/8+16, cost, name)
	}
}

// wrap puts n copies of a message into the fields around it, from the inside out. Each is repeated or single.
func wrap(inner []byte, n int, path ...byte) []byte {
	body := make([]byte, 0, n*(len(inner)+2))
	for range n {
		body = append(append(body, path[0]<<3|wireLen, byte(len(inner))), inner...)
	}
	for _, number := range path[1:] {
		head := []byte{number<<3 | wireLen}
		for size := len(body); ; size >>= 7 {
			if size < 0x80 {
				head = append(head, byte(size))
				break
			}
			head = append(head, byte(size)|0x80)
		}
		body = append(head, body...)
	}
	return body
}

// hollow are requests with many small parts of one kind.
func hollow(n int) map[string]struct {
	signal Signal
	body   []byte
} {
	type r = struct {
		signal Signal
		body   []byte
	}
	packed := make([]byte, 100)
	return map[string]r{
		"resources":         {Traces, wrap(nil, n, 1)},
		"scopes":            {Logs, wrap(nil, n, 2, 1)},
		"spans":             {Traces, wrap(nil, n, 2, 2, 1)},
		"events":            {Traces, wrap(nil, n, 11, 2, 2, 1)},
		"links":             {Traces, wrap(nil, n, 13, 2, 2, 1)},
		"attributes":        {Traces, wrap(nil, n, 9, 2, 2, 1)},
		"records":           {Logs, wrap(nil, n, 2, 2, 1)},
		"array":             {Logs, wrap(nil, n, 1, 5, 5, 2, 2, 1)},
		"array of lists":    {Logs, wrap([]byte{6<<3 | wireLen, 0}, n, 1, 5, 5, 2, 2, 1)},
		"array of numbers":  {Logs, wrap([]byte{3 << 3, 1}, n, 1, 5, 5, 2, 2, 1)},
		"array of texts":    {Logs, wrap([]byte{1<<3 | wireLen, 1, 'x'}, n, 1, 5, 5, 2, 2, 1)},
		"array of bytes":    {Logs, wrap([]byte{7<<3 | wireLen, 1, 'x'}, n, 1, 5, 5, 2, 2, 1)},
		"list":              {Logs, wrap(nil, n, 1, 6, 5, 2, 2, 1)},
		"metrics":           {Metrics, wrap(nil, n, 2, 2, 1)},
		"gauges":            {Metrics, wrap([]byte{5<<3 | wireLen, 0}, n, 2, 2, 1)},
		"points":            {Metrics, wrap(nil, n, 1, 5, 2, 2, 1)},
		"histograms":        {Metrics, wrap(nil, n, 1, 9, 2, 2, 1)},
		"exponential":       {Metrics, wrap(nil, n, 1, 10, 2, 2, 1)},
		"summaries":         {Metrics, wrap(nil, n, 1, 11, 2, 2, 1)},
		"quantiles":         {Metrics, wrap(nil, n, 6, 1, 11, 2, 2, 1)},
		"tiny attributes":   {Traces, wrap([]byte{9<<3 | wireLen, 8, 10, 1, 'a', 18, 3, 10, 1, 'b'}, n, 2, 2, 1)},
		"parts":             {Traces, inParts(n, 1)},
		"two attributes":    {Traces, wrap([]byte{9<<3 | wireLen, 0, 9<<3 | wireLen, 0, 9<<3 | wireLen, 0}, n, 2, 2, 1)},
		"exemplars":         {Metrics, wrap(nil, n, 5, 1, 5, 2, 2, 1)},
		"buckets":           {Metrics, wrap(packed, n/64, 2, 8, 1, 10, 2, 2, 1)},
		"entities":          {Traces, wrap(nil, n, 3, 1, 1)},
		"keys of entities":  {Traces, wrap(nil, n, 3, 3, 1, 1)},
		"points of numbers": {Metrics, wrap([]byte{6<<3 | wireFixed64, 1, 0, 0, 0, 0, 0, 0, 0}, n, 1, 5, 2, 2, 1)},
	}
}

// TestEstimateIsNoLessThanTheHeap decodes what is mostly structure and looks at what stays on the heap.
func TestEstimateIsNoLessThanTheHeap(t *testing.T) {
	var w Walker
	for name, r := range hollow(150_000) {
		t.Run(name, func(t *testing.T) {
			counts, v := w.Proto(r.signal, r.body, unlimited())
			require.Nil(t, v)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			decoded := empty(r.signal)
			require.NoError(t, decoded.UnmarshalProto(r.body))
			runtime.GC()
			runtime.ReadMemStats(&after)
			runtime.KeepAlive(decoded)
			heap := int64(after.HeapAlloc) - int64(before.HeapAlloc) //nolint:gosec // small
			t.Logf("%d bytes, %d on the heap (%.1f times), estimated %d (%.2f of the heap)", len(r.body), heap,
				float64(heap)/float64(len(r.body)), counts.DecodedBytes, float64(counts.DecodedBytes)/float64(heap))
			const noise = 64 << 10
			require.GreaterOrEqual(t, counts.DecodedBytes, heap-noise)
			require.LessOrEqual(t, counts.DecodedBytes, 3*heap+noise, "too far off to be of use")
		})
	}
}

// TestHonestRequestsExpandLittle bounds the ratio that the default of 'max_expansion' leaves room for.
func TestHonestRequestsExpandLittle(t *testing.T) {
	var w Walker
	for signal, body := range honest(t) {
		counts, v := w.Proto(signal, body, unlimited())
		require.Nil(t, v)
		ratio := float64(counts.DecodedBytes) / float64(len(body))
		t.Logf("signal %d: %d bytes decode to at most %d, %.1f times", signal, len(body), counts.DecodedBytes, ratio)
		require.Less(t, ratio, 7.0)
	}
}
