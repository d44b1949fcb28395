// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// FuzzTraces maps whatever can be read as OTLP, with all attributes: each span is one item, and the service takes every
// item that is not set aside for its size.
func FuzzTraces(f *testing.F) {
	for _, pattern := range []string{
		filepath.Join("testdata", "spans", "*", "input.yaml"),
		filepath.Join(root, "processors", "meshtopologyprocessor", "testdata", "span_*", "expected.yaml"),
	} {
		files, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, file := range files {
			td, err := golden.ReadTraces(file)
			require.NoError(f, err)
			text, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
			require.NoError(f, err)
			f.Add(text)
		}
	}
	s := DefaultSettings()
	s.Attributes, s.Measurements, s.AddressTargets = []string{"*"}, []string{"*"}, true
	f.Fuzz(func(t *testing.T, text []byte) {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(text)
		if err != nil {
			return
		}
		m, _ := newTestMapper(t, s)
		batch := &items.Batch{}
		m.Traces(td, batch)
		require.Equal(t, td.SpanCount(), batch.Sources())
		for i := range batch.Len() {
			item := batch.Item(i)
			require.True(t, utf8.Valid(item.JSON))
			var env ai.Envelope
			require.NoError(t, json.Unmarshal(item.JSON, &env), "%s", item.JSON)
			require.Contains(t, []items.Reject{items.RejectNone, items.RejectTooLarge}, item.Reject)
		}
		acceptAll(t, batch)
	})
}
