// SPDX-License-Identifier: Apache-2.0

package meshprivacyprocessor

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/privacytest"
)

// mixed are spans whose attributes have the same names at the same places, and values that are secrets now and then.
func mixed() ptrace.Traces {
	c := privacytest.New(7)
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range 400 {
		attrs := spans.AppendEmpty().Attributes()
		for j := range remembered + 4 {
			name := fmt.Sprintf("field.%d", j)
			if i%50 == 49 {
				name = "other." + name
			}
			switch (i*7 + j*3) % 11 {
			case 0:
				attrs.PutStr(name, c.Line())
			case 1:
				attrs.PutInt(name, int64(i))
			case 2:
				attrs.PutStr(name, c.URL())
			case 3:
				attrs.PutStr(name, "")
			case 4:
				c.Value(attrs.PutEmpty(name))
			default:
				attrs.PutStr(name, "reviews-v1")
			}
		}
		attrs.PutStr("password", "reviews-v1")
	}
	return td
}

// TestItemsAreJudgedAlone holds that what is remembered of one item changes nothing about the next.
func TestItemsAreJudgedAlone(t *testing.T) {
	p, err := newMeshPrivacy(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
	require.NoError(t, err)
	together, alone := mixed(), mixed()
	_, err = p.processTraces(context.Background(), together)
	require.NoError(t, err)
	got := together.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for i, span := range alone.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		one := ptrace.NewTraces()
		span.CopyTo(one.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
		_, err = p.processTraces(context.Background(), one)
		require.NoError(t, err)
		require.Equal(t, one.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw(), got.At(i).Attributes().AsRaw(), i)
	}
}
