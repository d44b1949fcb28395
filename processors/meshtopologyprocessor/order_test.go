// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor"
)

func translate(t *testing.T, td ptrace.Traces) ptrace.Traces {
	t.Helper()
	factory := envoysemconvprocessor.NewFactory()
	sink := &consumertest.TracesSink{}
	set := processor.Settings{
		ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings(),
		BuildInfo: processortest.NewNopSettings(factory.Type()).BuildInfo,
	}
	p, err := factory.CreateTraces(context.Background(), set, factory.CreateDefaultConfig(), sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
	in := ptrace.NewTraces()
	td.CopyTo(in)
	require.NoError(t, p.ConsumeTraces(context.Background(), in))
	require.NoError(t, p.Shutdown(context.Background()))
	return sink.AllTraces()[0]
}

// shortID is an id as the recordings shorten it, to stay readable.
var shortID = regexp.MustCompile(`"(traceId|spanId|parentSpanId)": "[0-9a-f]+"`)

func fullID(field []byte) []byte {
	length := 16
	if bytes.HasPrefix(field, []byte(`"traceId"`)) {
		length = 32
	}
	at := bytes.LastIndexByte(field[:len(field)-1], '"') + 1
	id := field[at : len(field)-1]
	return slices.Concat(field[:at], bytes.Repeat([]byte("0"), length-len(id)), id, []byte(`"`))
}

// ends returns what is said of both ends, by span.
func ends(td ptrace.Traces) map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				attrs := map[string]any{"pod": rs.Resource().Attributes().AsRaw()["k8s.pod.name"]}
				for key, value := range span.Attributes().All() {
					if strings.HasPrefix(key, "mesh.") {
						attrs[key] = value.AsRaw()
					}
				}
				out[span.SpanID().String()+span.Name()] = attrs
			}
		}
	}
	return out
}

// The processor may stand before or after envoy_semconv.
func TestTheOrderOfTheProcessorsDoesNotMatter(t *testing.T) {
	recordings := filepath.Join("..", "..", "test", "recordings", "testdata", "spans")
	var inputs []ptrace.Traces
	cases, err := filepath.Glob(filepath.Join("testdata", "*", "input.yaml"))
	require.NoError(t, err)
	for _, file := range cases {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		if bytes.HasPrefix(data, []byte("resourceSpans")) {
			td, err := golden.ReadTraces(file)
			require.NoError(t, err)
			inputs = append(inputs, td)
		}
	}
	recorded, err := filepath.Glob(filepath.Join(recordings, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, recorded)
	for _, file := range recorded {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(shortID.ReplaceAllFunc(data, fullID))
		require.NoError(t, err)
		require.NotZero(t, td.SpanCount(), file)
		inputs = append(inputs, td)
	}
	for _, td := range inputs {
		before := ends(translate(t, passTraces(t, local(), td)))
		after := ends(passTraces(t, local(), translate(t, td)))
		assert.Equal(t, before, after)
	}
}
