// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/static"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
)

var updateGolden = flag.Bool("update", false, "write expected.ndjson anew; read every difference before committing it")

// root is the root of the module.
var root = filepath.Join("..", "..", "..", "..", "..")

// TestSpanCases maps the spans of every folder of testdata/spans with the folder's settings.
func TestSpanCases(t *testing.T) {
	inputs, err := filepath.Glob(filepath.Join("testdata", "spans", "*", "input.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		folder := filepath.Dir(input)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			td, err := golden.ReadTraces(input)
			require.NoError(t, err)
			m, seen := newTestMapper(t, loadSettings(t, folder))
			batch := &items.Batch{}
			m.Traces(td, batch)
			compareGolden(t, filepath.Join(folder, "expected.ndjson"), batch, seen)
			acceptAll(t, batch)
		})
	}
}

// TestRecordedSpans maps what the Envoys of the demo's mesh really sent, after mesh_topology and envoy_semconv.
func TestRecordedSpans(t *testing.T) {
	recorded, err := filepath.Glob(filepath.Join(root, "test", "recordings", "testdata", "spans", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, recorded)
	for _, file := range recorded {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			m, seen := newTestMapper(t, DefaultSettings())
			batch := &items.Batch{}
			m.Traces(throughTheHub(t, recording(t, file)), batch)
			compareGolden(t, filepath.Join("testdata", "recorded", name+".ndjson"), batch, seen)
			acceptAll(t, batch)
		})
	}
}

// TestSpansOfTheTopologyCases maps the spans that mesh_topology's own cases end in: all that it can say of two ends.
func TestSpansOfTheTopologyCases(t *testing.T) {
	cases, err := filepath.Glob(filepath.Join(root, "processors", "meshtopologyprocessor", "testdata", "span_*", "expected.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, file := range cases {
		name := filepath.Base(filepath.Dir(file))
		t.Run(name, func(t *testing.T) {
			td, err := golden.ReadTraces(file)
			require.NoError(t, err)
			m, seen := newTestMapper(t, DefaultSettings())
			batch := &items.Batch{}
			m.Traces(through(t, envoysemconvprocessor.NewFactory(), componenttest.NewNopHost(), td), batch)
			compareGolden(t, filepath.Join("testdata", "topology", name+".ndjson"), batch, seen)
			acceptAll(t, batch)
		})
	}
}

// seenCounts is an Observer that remembers.
type seenCounts struct{ counts }

func (s *seenCounts) TextsTrimmed(n int)      { s.textsTrimmed += n }
func (s *seenCounts) AttributesDropped(n int) { s.attributesDropped += n }
func (s *seenCounts) EventsDropped(n int)     { s.eventsDropped += n }
func (s *seenCounts) DimensionsDropped(n int) { s.dimensionsDropped += n }
func (s *seenCounts) PointsCumulative(n int)  { s.pointsCumulative += n }
func (s *seenCounts) PointsEmpty(n int)       { s.pointsEmpty += n }
func (s *seenCounts) PointsMerged(n int)      { s.pointsMerged += n }
func (s *seenCounts) PointsStale(n int)       { s.pointsStale += n }
func (s *seenCounts) PointsNotFinite(n int)   { s.pointsNotFinite += n }

// testNow is when nothing else says when.
var testNow = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

func newTestMapper(t testing.TB, s Settings) (*Mapper, *seenCounts) {
	t.Helper()
	seen := &seenCounts{}
	m, err := New(s, seen)
	require.NoError(t, err)
	m.now = func() time.Time { return testNow }
	return m, seen
}

func loadSettings(t testing.TB, folder string) Settings {
	t.Helper()
	s := DefaultSettings()
	file := filepath.Join(folder, "config.yaml")
	if _, err := os.Stat(file); err != nil {
		return s
	}
	conf, err := confmaptest.LoadConf(file)
	require.NoError(t, err)
	require.NoError(t, conf.Unmarshal(&s))
	return s
}

// compareGolden compares the items, a line each and indented so that a difference can be read, with a file.
func compareGolden(t *testing.T, file string, batch *items.Batch, seen *seenCounts) {
	t.Helper()
	var out bytes.Buffer
	for i := range batch.Len() {
		item := batch.Item(i)
		out.Write(item.JSON)
		out.WriteByte('\n')
		assert.Equal(t, items.RejectNone, item.Reject)
	}
	if seen.textsTrimmed > 0 || seen.eventsDropped > 0 {
		text, err := json.Marshal(map[string]int{"textsTrimmed": seen.textsTrimmed, "eventsDropped": seen.eventsDropped})
		require.NoError(t, err)
		out.Write(append(text, '\n'))
	}
	if *updateGolden {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, out.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(out.String(), "\n")
	require.Len(t, gotLines, len(wantLines))
	for i := range wantLines {
		if wantLines[i] != "" {
			assert.JSONEq(t, wantLines[i], gotLines[i])
		}
	}
}

// recording reads a span that a real Envoy sent. Recordings have no times of their own, and short ids.
func recording(t testing.TB, file string) ptrace.Traces {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for key, digits := range map[string]int{"traceId": 32, "spanId": 16, "parentSpanId": 16} {
		text = bytes.ReplaceAll(text, []byte(`"`+key+`": "01"`), []byte(`"`+key+`": "`+strings.Repeat("0", digits-1)+`1"`))
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(text)
	require.NoError(t, err)
	for i := range td.ResourceSpans().Len() {
		spans := td.ResourceSpans().At(i).ScopeSpans().At(0).Spans()
		for j := range spans.Len() {
			spans.At(j).SetStartTimestamp(pcommon.NewTimestampFromTime(testNow))
			spans.At(j).SetEndTimestamp(pcommon.NewTimestampFromTime(testNow.Add(12_345 * time.Microsecond)))
		}
	}
	return td
}

type fakeTopology struct {
	component.StartFunc
	component.ShutdownFunc
	topology.Store
}

type fakeHost struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h fakeHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

// throughTheHub passes spans through mesh_topology, which knows the clusters of its own cases, and envoy_semconv.
func throughTheHub(t testing.TB, td ptrace.Traces) ptrace.Traces {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "processors", "meshtopologyprocessor", "testdata", "topology.yaml"))
	require.NoError(t, err)
	snapshot, err := static.Parse(data, topology.Limits{}, time.Unix(0, 0))
	require.NoError(t, err)
	held := &fakeTopology{}
	held.Set(snapshot)
	host := fakeHost{componenttest.NewNopHost(), map[component.ID]component.Component{component.MustNewID("mesh_topology"): held}}
	td = through(t, meshtopologyprocessor.NewFactory(), host, td)
	return through(t, envoysemconvprocessor.NewFactory(), host, td)
}

func through(t testing.TB, f processor.Factory, host component.Host, td ptrace.Traces) ptrace.Traces {
	t.Helper()
	sink := &consumertest.TracesSink{}
	p, err := f.CreateTraces(context.Background(), processortest.NewNopSettings(f.Type()), f.CreateDefaultConfig(), sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), host))
	require.NoError(t, p.ConsumeTraces(context.Background(), td))
	require.NoError(t, p.Shutdown(context.Background()))
	require.Len(t, sink.AllTraces(), 1)
	return sink.AllTraces()[0]
}
