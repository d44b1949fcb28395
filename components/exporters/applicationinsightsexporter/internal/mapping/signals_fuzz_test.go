// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// maxFuzzInput keeps a run short: what is larger is more of the same.
const maxFuzzInput = 1 << 16

// fuzzFiles are inputs of our own and what the processors' cases end in.
func fuzzFiles(f *testing.F, signal, prefix string) (files []string) {
	f.Helper()
	for _, pattern := range []string{
		filepath.Join("testdata", signal, "*", "input.yaml"),
		filepath.Join(root, "processors", "*", "testdata", prefix+"*", "expected.yaml"),
	} {
		found, err := filepath.Glob(pattern)
		require.NoError(f, err)
		require.NotEmpty(f, found)
		files = append(files, found...)
	}
	return files
}

// judge holds that every item is one line of JSON, and that the endpoint takes those that are not rejected.
func judge(t *testing.T, batch *items.Batch) {
	// Age is not what is tested.
	endpoint, err := ingestiontest.New(ingestiontest.Config{Lengths: ingestiontest.RejectLong, Now: func() time.Time { return time.Unix(0, math.MinInt64) }})
	require.NoError(t, err)
	var body bytes.Buffer
	for i := range batch.Len() {
		item := batch.Item(i)
		require.NotContains(t, string(item.JSON), "\n")
		require.True(t, json.Valid(item.JSON), "%q", item.JSON)
		require.LessOrEqual(t, len(item.JSON), ai.MaxItemBytes)
		if item.Reject == items.RejectNone {
			body.WriteString(`{"iKey":"k",`)
			body.Write(item.JSON[1:])
			body.WriteByte('\n')
		}
	}
	if body.Len() == 0 {
		return
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, ai.TrackPath, &body)
	request.Header.Set("Content-Type", ai.ContentTypeLines)
	answer := httptest.NewRecorder()
	endpoint.ServeHTTP(answer, request)
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
}

func FuzzLogs(f *testing.F) {
	for _, file := range fuzzFiles(f, "logs", "log") {
		ld, err := golden.ReadLogs(file)
		require.NoError(f, err)
		raw, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
		require.NoError(f, err)
		f.Add(raw)
	}
	s := DefaultSettings()
	s.Attributes, s.Measurements, s.Logs.CustomEvents = []string{"*"}, []string{"*"}, []string{"shop.*"}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > maxFuzzInput {
			return
		}
		ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(raw)
		if err != nil {
			return
		}
		m, _ := newTestMapper(t, s)
		batch := &items.Batch{}
		m.Logs(ld, batch)
		require.Equal(t, ld.LogRecordCount(), batch.Sources())
		judge(t, batch)
	})
}

func FuzzMetrics(f *testing.F) {
	for _, file := range fuzzFiles(f, "metrics", "metric") {
		md, err := golden.ReadMetrics(file)
		require.NoError(f, err)
		raw, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
		require.NoError(f, err)
		f.Add(raw)
	}
	s := DefaultSettings()
	s.Metrics.Namespace, s.Metrics.ExemplarTraceID = scopePlaceholder, true
	s.Metrics.Percentiles = []PercentileRule{{Metrics: []string{"*"}, Percentiles: []float64{1, 50, 99.9}}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > maxFuzzInput {
			return
		}
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(raw)
		if err != nil {
			return
		}
		m, seen := newTestMapper(t, s)
		batch := &items.Batch{}
		m.Metrics(md, batch)
		require.Equal(t, md.DataPointCount(), batch.Sources()+seen.pointsMerged+seen.pointsStale+seen.pointsEmpty)
		judge(t, batch)
	})
}
