// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestGolden runs each folder of testdata in three ways: whole, as behind tail sampling; each resource on its own, as from
// several clusters; and the same the other way around. What comes out must not depend on it.
func TestGolden(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/input.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, input := range folders {
		folder := filepath.Dir(input)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			expected, err := golden.ReadTraces(filepath.Join(folder, "expected.yaml"))
			require.NoError(t, err)
			for name, split := range map[string]func(ptrace.Traces) []ptrace.Traces{"whole": whole, "apart": apart, "backwards": backwards} {
				td, err := golden.ReadTraces(input)
				require.NoError(t, err)
				sink := new(consumertest.TracesSink)
				p := launch(t, componenttest.NewTelemetry(), config(), sink, componenttest.NewNopHost())
				for _, part := range split(td) {
					require.NoError(t, p.ConsumeTraces(t.Context(), part))
				}
				require.NoError(t, p.Shutdown(t.Context()))
				actual := ptrace.NewTraces()
				for _, part := range sink.AllTraces() {
					part.ResourceSpans().MoveAndAppendTo(actual.ResourceSpans())
				}
				assert.NoError(t, ptracetest.CompareTraces(bySpan(expected), bySpan(actual)), name)
			}
		})
	}
}

func whole(td ptrace.Traces) []ptrace.Traces { return []ptrace.Traces{td} }

func apart(td ptrace.Traces) []ptrace.Traces {
	var parts []ptrace.Traces
	for _, rs := range td.ResourceSpans().All() {
		part := ptrace.NewTraces()
		rs.CopyTo(part.ResourceSpans().AppendEmpty())
		parts = append(parts, part)
	}
	return parts
}

func backwards(td ptrace.Traces) []ptrace.Traces {
	var parts []ptrace.Traces
	for _, part := range apart(td) {
		parts = append([]ptrace.Traces{part}, parts...)
	}
	return parts
}

// bySpan gives each span a resource of its own, in the order of their ids.
func bySpan(td ptrace.Traces) ptrace.Traces {
	flat := ptrace.NewTraces()
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				span.CopyTo(newGroup(flat, rs, ss).scope.Spans().AppendEmpty())
			}
		}
	}
	id := func(rs ptrace.ResourceSpans) pcommon.SpanID { return rs.ScopeSpans().At(0).Spans().At(0).SpanID() }
	flat.ResourceSpans().Sort(func(a, b ptrace.ResourceSpans) bool {
		x, y := id(a), id(b)
		return bytes.Compare(x[:], y[:]) < 0
	})
	return flat
}
