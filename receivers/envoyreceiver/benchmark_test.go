// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"testing"

	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alssvc "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	metricsvc "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"google.golang.org/protobuf/proto"
)

// BenchmarkAccessLogs takes a message of 100 entries from its bytes to the pipeline.
func BenchmarkAccessLogs(b *testing.B) {
	for _, name := range []string{"http", "peers"} {
		b.Run(name, func(b *testing.B) {
			message := &alssvc.StreamAccessLogsMessage{}
			readMessage(b, "testdata/logs/"+name+"/input.json", message)
			data := repeat(b, message, 100)
			r, _ := newTestReceiver(b, nil, nil)
			r.nextLogs = consumertest.NewNop()
			h := newLogsHandler(r, newDelivery(r, signalLogs, b.Context()))
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := h.handle(data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/entry")
		})
	}
}

// repeat returns the bytes of the message with its entry n times.
func repeat(b *testing.B, message *alssvc.StreamAccessLogsMessage, n int) []byte {
	if http := message.GetHttpLogs(); http != nil {
		http.LogEntry = times(http.GetLogEntry()[0], n)
	}
	if tcp := message.GetTcpLogs(); tcp != nil {
		tcp.LogEntry = times(tcp.GetLogEntry()[0], n)
	}
	data, err := proto.Marshal(message)
	require.NoError(b, err)
	return data
}

func times[E *alsdata.HTTPAccessLogEntry | *alsdata.TCPAccessLogEntry](entry E, n int) []E {
	entries := make([]E, n)
	for i := range entries {
		entries[i] = entry
	}
	return entries
}

// BenchmarkMetrics takes a flush of 3,000 families from its bytes to the pipeline.
func BenchmarkMetrics(b *testing.B) {
	message := &metricsvc.StreamMetricsMessage{}
	readMessage(b, "testdata/metrics/counter/1.json", message)
	families := message.GetEnvoyMetrics()
	for range 1499 {
		message.EnvoyMetrics = append(message.GetEnvoyMetrics(), families...)
	}
	data, err := proto.Marshal(message)
	require.NoError(b, err)
	r, _ := newTestReceiver(b, nil, nil)
	r.nextMetrics = consumertest.NewNop()
	makeHandler, err := newMetricsHandlers(r)
	require.NoError(b, err)
	h := makeHandler(r, newDelivery(r, signalMetrics, b.Context()))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := h.handle(data); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(message.GetEnvoyMetrics())), "ns/point")
}

// BenchmarkWeigh is the part of it that guards memory.
func BenchmarkWeigh(b *testing.B) {
	message := &alssvc.StreamAccessLogsMessage{}
	readMessage(b, "testdata/logs/http/input.json", message)
	data := repeat(b, message, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := logsScale.Weigh(data, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
