// SPDX-License-Identifier: Apache-2.0

package otlpwalk

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// request is what pdata and the walk are compared over.
type request interface {
	MarshalProto() ([]byte, error)
	MarshalJSON() ([]byte, error)
	UnmarshalProto([]byte) error
	UnmarshalJSON([]byte) error
}

// unlimited is high enough for any request and low enough to add to.
func unlimited() *Counts {
	const most = math.MaxInt64 / 4
	return &Counts{
		Resources: most, Scopes: most, Metrics: most, Records: most, Events: most, Links: most, Attributes: most,
		Values: most, Exemplars: most, Buckets: most, ObjectAttributes: most, Depth: 64, KeyBytes: most, ValueBytes: most,
		DecodedBytes: most,
	}
}

func empty(signal Signal) request {
	switch signal {
	case Traces:
		return ptraceotlp.NewExportRequest()
	case Logs:
		return plogotlp.NewExportRequest()
	default:
		return pmetricotlp.NewExportRequest()
	}
}

func recounted(r request) Counts {
	var c recount
	switch r := r.(type) {
	case ptraceotlp.ExportRequest:
		return c.traces(r.Traces())
	case plogotlp.ExportRequest:
		return c.logs(r.Logs())
	case pmetricotlp.ExportRequest:
		return c.metrics(r.Metrics())
	}
	panic("no such request")
}

func (r random) request(signal Signal) request {
	switch signal {
	case Traces:
		return ptraceotlp.NewExportRequestFromTraces(r.traces())
	case Logs:
		return plogotlp.NewExportRequestFromLogs(r.logs())
	default:
		return pmetricotlp.NewExportRequestFromMetrics(r.metrics())
	}
}

// TestCountsAreThoseOfPdata walks random requests and lets pdata's own objects be counted.
func TestCountsAreThoseOfPdata(t *testing.T) {
	var w Walker
	var seen Counts
	for seed := range uint64(1500) {
		signal := Signal(seed%3 + 1)
		r := newRandom(seed).request(signal)
		want := recounted(r)

		body, err := r.MarshalProto()
		require.NoError(t, err)
		got, v := w.Proto(signal, body, unlimited())
		require.Nil(t, v, "seed %d", seed)
		got.DecodedBytes = 0
		require.Equal(t, want, got, "seed %d", seed)

		body, err = r.MarshalJSON()
		require.NoError(t, err)
		got, v = w.JSON(signal, body, unlimited())
		require.Nil(t, v, "seed %d: %s", seed, body)
		// Escapes and base64 are longer in JSON than what they stand for.
		require.GreaterOrEqual(t, got.ValueBytes, want.ValueBytes, "seed %d", seed)
		got.DecodedBytes, got.ValueBytes = 0, want.ValueBytes
		require.Equal(t, want, got, "seed %d: %s", seed, body)
		seen.Records += want.Records
		seen.Exemplars += want.Exemplars
		seen.Buckets += want.Buckets
		seen.Links += want.Links
		seen.Depth = max(seen.Depth, want.Depth)
	}
	require.Greater(t, seen.Records, int64(8000))
	require.Greater(t, min(seen.Exemplars, seen.Buckets, seen.Links), int64(1000))
	require.Greater(t, seen.Depth, int64(3))
}

// TestEachLimit lowers one limit at a time to just under what a request holds.
func TestEachLimit(t *testing.T) {
	fields := map[Reason]func(*Counts) *int64{
		Resources: func(c *Counts) *int64 { return &c.Resources }, Scopes: func(c *Counts) *int64 { return &c.Scopes },
		Records: func(c *Counts) *int64 { return &c.Records }, MetricNames: func(c *Counts) *int64 { return &c.Metrics },
		Events: func(c *Counts) *int64 { return &c.Events }, Links: func(c *Counts) *int64 { return &c.Links },
		Attributes: func(c *Counts) *int64 { return &c.Attributes }, Values: func(c *Counts) *int64 { return &c.Values },
		Exemplars: func(c *Counts) *int64 { return &c.Exemplars }, Buckets: func(c *Counts) *int64 { return &c.Buckets },
		ObjectAttributes: func(c *Counts) *int64 { return &c.ObjectAttributes },
		Depth:            func(c *Counts) *int64 { return &c.Depth }, KeyBytes: func(c *Counts) *int64 { return &c.KeyBytes },
		ValueBytes: func(c *Counts) *int64 { return &c.ValueBytes }, DecodedBytes: func(c *Counts) *int64 { return &c.DecodedBytes },
	}
	tried := make(map[Reason]int)
	var w Walker
	for seed := range uint64(60) {
		signal := Signal(seed%3 + 1)
		r := newRandom(seed).request(signal)
		protobuf, err := r.MarshalProto()
		require.NoError(t, err)
		json, err := r.MarshalJSON()
		require.NoError(t, err)
		for _, walk := range []func(*Counts) (Counts, *Violation){
			func(l *Counts) (Counts, *Violation) { return w.Proto(signal, protobuf, l) },
			func(l *Counts) (Counts, *Violation) { return w.JSON(signal, json, l) },
		} {
			full, v := walk(unlimited())
			require.Nil(t, v)
			for reason, field := range fields {
				most := *field(&full)
				if most == 0 {
					continue
				}
				limits := unlimited()
				*field(limits) = most
				_, v = walk(limits)
				require.Nil(t, v, "at the limit of %s", reason)
				*field(limits) = most - 1
				_, v = walk(limits)
				require.Equal(t, &Violation{Reason: reason, Limit: most - 1}, v)
				tried[reason]++
			}
		}
	}
	require.Len(t, tried, len(fields))
}

func TestWalksAllocateNothing(t *testing.T) {
	var w Walker
	for _, signal := range []Signal{Traces, Logs, Metrics} {
		r := newRandom(7).request(signal)
		protobuf, err := r.MarshalProto()
		require.NoError(t, err)
		json, err := r.MarshalJSON()
		require.NoError(t, err)
		limits := unlimited()
		require.Zero(t, testing.AllocsPerRun(20, func() {
			_, _ = w.Proto(signal, protobuf, limits)
			_, _ = w.JSON(signal, json, limits)
		}))
	}
}

// TestRefused holds what the walk refuses although it may look harmless.
func TestRefused(t *testing.T) {
	var w Walker
	for name, body := range map[string][]byte{
		"cut":                    {0x0a, 0x05, 0x0a},
		"field zero":             {0x02, 0x00},
		"wrong wire type":        {0x08, 0x01},
		"wrong type in a span":   {0x0a, 0x06, 0x12, 0x04, 0x12, 0x02, 0x28, 0x01},
		"trace id of four bytes": {0x0a, 0x0a, 0x12, 0x08, 0x12, 0x06, 0x0a, 0x04, 1, 2, 3, 4},
		"group without an end":   {0x7b},
		"end without a group":    {0x7c, 0x00},
		"reserved wire type":     {0x7e, 0x00},
		"endless number":         append(bytes.Repeat([]byte{0xff}, 10), 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, v := w.Proto(Traces, body, unlimited())
			require.Equal(t, &Violation{Reason: Malformed}, v)
			require.Error(t, empty(Traces).UnmarshalProto(body))
		})
	}
	for name, body := range map[string]string{
		"empty": "", "no object": "[]", "cut": `{"resourceSpans":[`, "two requests": `{}{}`, "empty name": `{"":1}`,
		"escaped name": `{"resource\u0053pans":[]}`, "no colon": `{"a" 1}`, "no comma": `{"a":1 "b":2}`, "comma at the end": `{"a":1,}`,
		"no value": `{"a":}`, "word": `{"a":nul}`, "no quote": `{"a":"b}`, "array cut": `{"a":[1 2]}`, "bare": `{a:1}`,
	} {
		t.Run("json "+name, func(t *testing.T) {
			_, v := w.JSON(Traces, []byte(body), unlimited())
			require.Equal(t, &Violation{Reason: Malformed}, v)
		})
	}
	deep := `{"a":` + string(bytes.Repeat([]byte("["), 100_000))
	_, v := w.JSON(Traces, []byte(deep), unlimited())
	require.Equal(t, Depth, v.Reason)
	_, v = w.Proto(0, nil, unlimited())
	require.Equal(t, Malformed, v.Reason)
	require.Contains(t, (&Violation{Reason: Records, Limit: 7}).Error(), "7 records")
	require.Contains(t, v.Error(), "not OTLP")
}
