// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"maps"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/azuremonitorexporter"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
)

// deliveryBlock is how many requests are one turn.
const deliveryBlock = 50

// BenchmarkDelivery is from the bytes of a request to the endpoint's answer, at the same load by turns: spans as the hub's
// exporter gets them, which real Envoys sent and our processors translated. "nothing" decodes the request and no more, and
// what the others need beyond that is theirs: CPU time with the garbage collector's, bytes allocated, and the largest heap.
// The endpoint is another process, so its cost is not counted. The default of ours stores the attributes of its list;
// "all" stores all of them, as upstream does.
func BenchmarkDelivery(b *testing.B) {
	for name, pace := range map[string]time.Duration{
		"flat_out":         0,
		"10000_per_second": itemsPerRequest * time.Second / 10_000,
	} {
		b.Run(name, func(b *testing.B) { deliver(b, pace) })
	}
}

func deliver(b *testing.B, pace time.Duration) {
	request := translated(b)
	contenders := []*delivery{
		{name: "nothing"},
		newDelivery(b, "default", applicationinsightsexporter.NewFactory(), nil),
		newDelivery(b, "all", applicationinsightsexporter.NewFactory(), map[string]any{"mapping": map[string]any{"attributes": []any{"*"}}}),
		newDelivery(b, "upstream", azuremonitorexporter.NewFactory(), nil),
	}
	for b.Loop() {
		for _, c := range contenders {
			c.turn(b, request, pace)
		}
	}
	items := float64(b.N * deliveryBlock * itemsPerRequest)
	nothing, upstream := contenders[0], contenders[len(contenders)-1]
	for _, c := range contenders[1:] {
		cpu := (c.cpu - nothing.cpu).Seconds()
		allocated := float64(c.allocated - nothing.allocated)
		peak := float64(c.peak) - float64(nothing.peak)
		b.ReportMetric(cpu*1e9/items, c.name+"-ns/item")
		b.ReportMetric(items/cpu, c.name+"-items/s/core")
		b.ReportMetric(allocated/items, c.name+"-B/item")
		b.ReportMetric(peak/(1<<20), c.name+"-peak-MiB")
		b.ReportMetric(float64(c.wire)/items, c.name+"-wire-B/item")
		if c != upstream {
			b.ReportMetric((upstream.cpu-nothing.cpu).Seconds()/cpu, c.name+"-times-ahead")
			b.ReportMetric(peak/(float64(upstream.peak)-float64(nothing.peak)), c.name+"-of-upstream-peak")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// delivery is one contender with an endpoint of its own, and what it has used so far.
type delivery struct {
	name      string
	consume   func(ptrace.Traces) error
	endpoint  *endpointProcess
	sent      int
	cpu       time.Duration
	allocated uint64
	peak      uint64
	wire      int64
}

func newDelivery(b *testing.B, name string, factory exporter.Factory, more map[string]any) *delivery {
	b.Helper()
	d := &delivery{name: name, endpoint: startEndpoint(b)}
	settings := map[string]any{
		"connection_string": "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=http://" + d.endpoint.address,
		// The queue is the default one, in memory; who is faster than the exporter waits.
		"sending_queue": map[string]any{"block_on_overflow": true},
	}
	maps.Copy(settings, more)
	e, err := factory.CreateTraces(b.Context(), exportertest.NewNopSettings(factory.Type()), config(b, factory.CreateDefaultConfig(), settings))
	require.NoError(b, err)
	startStop(b, e, componenttest.NewNopHost())
	d.consume = func(td ptrace.Traces) error { return e.ConsumeTraces(context.Background(), td) }
	return d
}

// turn hands over a block of requests and waits until the endpoint has all of it.
func (d *delivery) turn(b *testing.B, request []byte, pace time.Duration) {
	b.Helper()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	peak := watchHeap()
	cpu := processTime(b)
	start := time.Now()
	for n := range deliveryBlock {
		if wait := time.Until(start.Add(time.Duration(n) * pace)); d.consume != nil && wait > 0 {
			<-time.After(wait)
		}
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(request)
		if err == nil && d.consume != nil {
			err = d.consume(td)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if d.endpoint != nil {
		d.sent += deliveryBlock * itemsPerRequest
		came, wire := d.endpoint.wait(b, d.sent)
		if came != d.sent {
			b.Fatalf("%s: %d items came of %d", d.name, came, d.sent)
		}
		d.wire = wire
	}
	d.cpu += processTime(b) - cpu
	d.peak = max(d.peak, peak())
	runtime.ReadMemStats(&after)
	d.allocated += after.TotalAlloc - before.TotalAlloc
}

// watchHeap samples the heap until the returned function is called, which returns the largest one.
func watchHeap() func() uint64 {
	var peak atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			metrics.Read(sample)
			peak.Store(max(peak.Load(), sample[0].Value.Uint64()))
			select {
			case <-ticker.C:
			case <-stop:
				return
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		return peak.Load()
	}
}

// translated is a request as the hub's exporter gets it.
func translated(b *testing.B) (wire []byte) {
	b.Helper()
	host := topologyHost(b)
	encode, err := consumer.NewTraces(func(_ context.Context, td ptrace.Traces) (err error) {
		// Recorded spans are as old as the recording, and the service takes none that are older than two days.
		shift(td)
		wire, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		return err
	}, mutates)
	require.NoError(b, err)
	semconv := tracesProcessor(b, envoysemconvprocessor.NewFactory(), nil, host, encode)
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(spans(b))
	require.NoError(b, err)
	require.NoError(b, ptraceThrough(b, meshtopologyprocessor.NewFactory(), agent(nil), host, semconv)(td))
	require.NotEmpty(b, wire)
	return wire
}

// shift moves all spans to now and gives each an id of its own.
func shift(td ptrace.Traces) {
	now, n := time.Now(), byte(0)
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				took := span.EndTimestamp() - span.StartTimestamp()
				span.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
				span.SetEndTimestamp(pcommon.NewTimestampFromTime(now) + took)
				id := span.SpanID()
				id[7] = n
				span.SetSpanID(id)
				n++
			}
		}
	}
}
