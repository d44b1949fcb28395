// SPDX-License-Identifier: Apache-2.0

package attrs

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func some(n int) (keys, values []string) {
	for i := range n {
		keys, values = append(keys, fmt.Sprintf("key.%d", i)), append(values, fmt.Sprintf("value %d", i))
	}
	return keys, values
}

// TestAppendIsPut: what was appended is as if it had been put, whatever is done with it afterwards.
func TestAppendIsPut(t *testing.T) {
	for _, before := range []int{0, 1, 25} {
		for _, n := range []int{0, 1, 8, 23} {
			put, appended := pcommon.NewMap(), pcommon.NewMap()
			for i := range before {
				put.PutInt(fmt.Sprintf("before.%d", i), int64(i))
				appended.PutInt(fmt.Sprintf("before.%d", i), int64(i))
			}
			keys, values := some(n)
			for i, key := range keys {
				put.PutStr(key, values[i])
			}
			Append(appended, keys, values)
			runtime.GC()
			assert.Equal(t, put.AsRaw(), appended.AsRaw())
			assert.Equal(t, put.Len(), appended.Len())
			assert.True(t, put.Equal(appended))
		}
	}
}

// TestAppendedValuesAreTheirOwn: an attribute is overwritten, moved, copied and removed alone.
func TestAppendedValuesAreTheirOwn(t *testing.T) {
	m := pcommon.NewMap()
	keys, values := some(4)
	Append(m, keys, values)
	m.PutStr("key.0", "other")
	first, _ := m.Get("key.1")
	first.SetInt(7)
	m.PutEmpty("moved")
	second, _ := m.Get("key.2")
	moved, _ := m.Get("moved")
	second.MoveTo(moved)
	assert.True(t, m.Remove("key.3"))
	values[0], values[1] = "changed", "changed"
	runtime.GC()
	assert.Equal(t, map[string]any{"key.0": "other", "key.1": int64(7), "key.2": nil, "moved": "value 2"}, m.AsRaw())
	copied := pcommon.NewMap()
	m.CopyTo(copied)
	m.PutStr("key.0", "once more")
	assert.Equal(t, "other", copied.AsRaw()["key.0"])
}

// TestAppendedAttributesGoOverTheWire holds that pdata's encoders know them.
func TestAppendedAttributesGoOverTheWire(t *testing.T) {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	keys, values := some(23)
	Append(span.Attributes(), keys, values)
	want := span.Attributes().AsRaw()
	wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	back, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
	require.NoError(t, err)
	assert.Equal(t, want, back.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw())
	text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	back, err = (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(text)
	require.NoError(t, err)
	assert.Equal(t, want, back.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw())
}

func TestAMapThatMayNotBeChangedIsNot(t *testing.T) {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	td.MarkReadOnly()
	assert.Panics(t, func() { Append(span.Attributes(), []string{"key"}, []string{"value"}) })
	assert.Panics(t, func() { Append(pcommon.NewMap(), []string{"a", "b"}, []string{"value"}) })
}
