// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"math"
	"path/filepath"
	"testing"
	"unicode/utf8"

	alssvc "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	metricsvc "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/proto"
)

// FuzzAccessLog sends any bytes as the first message of an access log stream: what is accepted keeps all limits.
func FuzzAccessLog(f *testing.F) {
	for _, file := range files(f, "testdata/logs/*/input.json") {
		f.Add(readMessage(f, file, &alssvc.StreamAccessLogsMessage{}))
	}
	r, _ := newTestReceiver(f, nil, func(cfg *Config) {
		cfg.MaxAttributeLength = 64
		cfg.MaxMapEntries = 4
		cfg.MaxEntriesPerMessage = 8
		cfg.Logs.MetadataNamespaces = []string{"istio"}
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		sink := resetLogs(r)
		h := newLogsHandler(r, newDelivery(r, signalLogs, t.Context()))
		defer h.close()
		if h.handle(data) != nil {
			return
		}
		if !h.identified() {
			t.Fatal("a message without an identifier was accepted")
		}
		for _, logs := range sink.AllLogs() {
			if n := logs.LogRecordCount(); n == 0 || n > 8 {
				t.Fatalf("%d records", n)
			}
			for _, resource := range logs.ResourceLogs().All() {
				checkAttributes(t, resource.Resource().Attributes())
				for _, record := range resource.ScopeLogs().At(0).LogRecords().All() {
					checkAttributes(t, record.Attributes())
					if len(record.Body().Str()) > 64 || record.EventName() == "" || record.SeverityNumber() == 0 {
						t.Fatalf("bad record: %v", record.Body().AsString())
					}
				}
			}
		}
	})
}

// FuzzMetrics sends any bytes as the first message of a metrics stream: what is accepted is valid.
func FuzzMetrics(f *testing.F) {
	for _, file := range files(f, "testdata/metrics/*/1.json") {
		f.Add(readMessage(f, file, &metricsvc.StreamMetricsMessage{}))
	}
	r, _ := newTestReceiver(f, nil, func(cfg *Config) {
		cfg.MaxAttributeLength = 64
		cfg.MaxMapEntries = 4
		cfg.Metrics.MaxNodes = 2
		cfg.Metrics.MaxSeries = 16
	})
	makeHandler, err := newMetricsHandlers(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sink := resetMetrics(r)
		h := makeHandler(r, newDelivery(r, signalMetrics, t.Context()))
		defer h.close()
		if h.handle(data) != nil {
			return
		}
		// What was accepted once is accepted again by the same stream.
		var message metricsvc.StreamMetricsMessage
		if err := proto.Unmarshal(data, &message); err != nil {
			t.Fatal(err)
		}
		for _, metrics := range sink.AllMetrics() {
			for _, metric := range metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
				checkMetric(t, metric)
			}
		}
	})
}

func checkMetric(t *testing.T, metric pmetric.Metric) {
	if metric.Name() == "" || len(metric.Name()) > 64 {
		t.Fatalf("bad name %q", metric.Name())
	}
	switch metric.Type() {
	case pmetric.MetricTypeSum:
		for _, p := range metric.Sum().DataPoints().All() {
			checkTimes(t, p.StartTimestamp(), p.Timestamp())
			checkAttributes(t, p.Attributes())
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range metric.Histogram().DataPoints().All() {
			checkTimes(t, p.StartTimestamp(), p.Timestamp())
			checkBuckets(t, p)
		}
	case pmetric.MetricTypeSummary:
		for _, p := range metric.Summary().DataPoints().All() {
			for _, q := range p.QuantileValues().All() {
				if math.IsNaN(q.Value()) {
					t.Fatal("a quantile is not a number")
				}
			}
		}
	case pmetric.MetricTypeGauge:
	default:
		t.Fatalf("unexpected %v", metric.Type())
	}
}

func checkBuckets(t *testing.T, p pmetric.HistogramDataPoint) {
	if p.BucketCounts().Len() != p.ExplicitBounds().Len()+1 {
		t.Fatalf("%d counts for %d bounds", p.BucketCounts().Len(), p.ExplicitBounds().Len())
	}
	sum := uint64(0)
	for _, n := range p.BucketCounts().All() {
		sum += n
	}
	if sum != p.Count() {
		t.Fatalf("buckets hold %d of %d", sum, p.Count())
	}
}

func checkTimes(t *testing.T, start, end pcommon.Timestamp) {
	if start > end || end == 0 {
		t.Fatalf("from %d to %d", start, end)
	}
}

func checkAttributes(t *testing.T, attributes pcommon.Map) {
	for key, value := range attributes.All() {
		if key == "" || len(key) > 64 && key != "http.request.header.x-forwarded-for" || !utf8.ValidString(key) {
			t.Fatalf("bad key %q", key)
		}
		if value.Type() == pcommon.ValueTypeStr && (value.Str() == "" || len(value.Str()) > 64) {
			t.Fatalf("bad value %q of %s", value.Str(), key)
		}
	}
}

func files(f *testing.F, pattern string) []string {
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		f.Fatalf("no seeds in %s: %v", pattern, err)
	}
	return names
}
