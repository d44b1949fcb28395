// SPDX-License-Identifier: Apache-2.0

//go:build !purego

package attrs

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// made are attributes to share: texts, a boolean and a number.
func made() pcommon.Map {
	m := pcommon.NewMap()
	keys, values := some(4)
	Append(m, keys, values)
	m.PutBool("yes", true)
	m.PutInt("number", 7)
	return m
}

func share(t *testing.T, m pcommon.Map) Shared {
	t.Helper()
	s, ok := Share(m)
	require.True(t, ok)
	return s
}

func TestSharedAttributesAreAsPut(t *testing.T) {
	s := share(t, made())
	for _, before := range []int{0, 1, 26} {
		put, shared := pcommon.NewMap(), pcommon.NewMap()
		for range before {
			keys, _ := some(before)
			for _, key := range keys {
				put.PutStr("before."+key, key)
				shared.PutStr("before."+key, key)
			}
		}
		for key, value := range made().All() {
			value.CopyTo(put.PutEmpty(key))
		}
		s.AppendTo(shared)
		runtime.GC()
		assert.True(t, put.Equal(shared))
		assert.Equal(t, put.Len(), shared.Len())
	}
	none := pcommon.NewMap()
	Shared{}.AppendTo(none)
	share(t, pcommon.NewMap()).AppendTo(none)
	assert.Zero(t, none.Len())
}

// TestSharedValuesAreNeverChanged: whatever is done to the attributes of one item, by all that pdata can do to them, the
// other items keep theirs.
func TestSharedValuesAreNeverChanged(t *testing.T) {
	every := func(m pcommon.Map, do func(key string, value pcommon.Value)) {
		for key, value := range m.All() {
			do(key, value)
		}
	}
	for name, change := range map[string]func(m pcommon.Map){
		"put a text":    func(m pcommon.Map) { every(m, func(key string, _ pcommon.Value) { m.PutStr(key, "other") }) },
		"put a number":  func(m pcommon.Map) { every(m, func(key string, _ pcommon.Value) { m.PutInt(key, 1) }) },
		"put a double":  func(m pcommon.Map) { every(m, func(key string, _ pcommon.Value) { m.PutDouble(key, 1) }) },
		"put a boolean": func(m pcommon.Map) { every(m, func(key string, _ pcommon.Value) { m.PutBool(key, false) }) },
		"put nothing":   func(m pcommon.Map) { every(m, func(key string, _ pcommon.Value) { m.PutEmpty(key) }) },
		"put bytes":     func(m pcommon.Map) { every(m, func(key string, _ pcommon.Value) { m.PutEmptyBytes(key).Append(1) }) },
		"put a map": func(m pcommon.Map) {
			every(m, func(key string, _ pcommon.Value) { m.PutEmptyMap(key).PutStr("a", "b") })
		},
		"put a slice": func(m pcommon.Map) {
			every(m, func(key string, _ pcommon.Value) { m.PutEmptySlice(key).AppendEmpty() })
		},
		"set a text":    func(m pcommon.Map) { every(m, func(_ string, v pcommon.Value) { v.SetStr("other") }) },
		"set a number":  func(m pcommon.Map) { every(m, func(_ string, v pcommon.Value) { v.SetInt(1) }) },
		"set a boolean": func(m pcommon.Map) { every(m, func(_ string, v pcommon.Value) { v.SetBool(false) }) },
		"set raw": func(m pcommon.Map) {
			every(m, func(_ string, v pcommon.Value) { assert.NoError(t, v.FromRaw("other")) })
		},
		"copy over": func(m pcommon.Map) {
			every(m, func(_ string, v pcommon.Value) { pcommon.NewValueStr("other").CopyTo(v) })
		},
		"move over": func(m pcommon.Map) {
			every(m, func(_ string, v pcommon.Value) { pcommon.NewValueStr("other").MoveTo(v) })
		},
		"move away": func(m pcommon.Map) {
			every(m, func(_ string, v pcommon.Value) {
				moved := pcommon.NewValueEmpty()
				v.MoveTo(moved)
				moved.SetStr("other")
			})
		},
		"get or put": func(m pcommon.Map) {
			every(m, func(key string, _ pcommon.Value) { v, _ := m.GetOrPutEmpty(key); v.SetStr("other") })
		},
		"remove":        func(m pcommon.Map) { assert.True(t, m.Remove("key.0")) },
		"remove if":     func(m pcommon.Map) { m.RemoveIf(func(string, pcommon.Value) bool { return true }) },
		"clear":         func(m pcommon.Map) { m.Clear() },
		"take raw":      func(m pcommon.Map) { assert.NoError(t, m.FromRaw(map[string]any{"key.0": "other"})) },
		"copy less to":  func(m pcommon.Map) { pcommon.NewMap().CopyTo(m) },
		"copy other to": func(m pcommon.Map) { o := pcommon.NewMap(); keys, _ := some(9); Append(o, keys, keys); o.CopyTo(m) },
		"move other to": func(m pcommon.Map) { o := pcommon.NewMap(); o.PutStr("key.0", "other"); o.MoveTo(m) },
		"move to other": func(m pcommon.Map) { o := pcommon.NewMap(); m.MoveTo(o); o.PutStr("key.0", "other") },
		"append":        func(m pcommon.Map) { m.PutStr("more", "other"); m.PutStr("more", "another") },
	} {
		t.Run(name, func(t *testing.T) {
			s := share(t, made())
			first, changed, last := pcommon.NewMap(), pcommon.NewMap(), pcommon.NewMap()
			s.AppendTo(first)
			s.AppendTo(changed)
			change(changed)
			s.AppendTo(last)
			runtime.GC()
			assert.Equal(t, made().AsRaw(), first.AsRaw())
			assert.Equal(t, made().AsRaw(), last.AsRaw())
		})
	}
}

// TestSharedAttributesAreReadAtOnce: items with the same values are encoded and changed by several goroutines, as batches
// are in a pipeline. The race detector judges.
func TestSharedAttributesAreReadAtOnce(t *testing.T) {
	s := share(t, made())
	done := make(chan error)
	const items = 8
	for range items {
		td := ptrace.NewTraces()
		span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.AppendTo(span.Attributes())
		go func() {
			_, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
			span.Attributes().PutStr("key.0", "other")
			span.Attributes().PutBool("yes", false)
			done <- err
		}()
	}
	for range items {
		assert.NoError(t, <-done)
	}
	last := pcommon.NewMap()
	s.AppendTo(last)
	assert.Equal(t, made().AsRaw(), last.AsRaw())
}

func TestSharedAttributesOfAMapThatMayNotBeChanged(t *testing.T) {
	s := share(t, made())
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	td.MarkReadOnly()
	assert.Panics(t, func() { s.AppendTo(span.Attributes()) })
}

// TestNothingIsSharedThatIsUsedAgain: with this gate pdata clears the values that are replaced, and gives them to others.
func TestNothingIsSharedThatIsUsedAgain(t *testing.T) {
	const gate = "pdata.useProtoPooling"
	require.NoError(t, featuregate.GlobalRegistry().Set(gate, true))
	_, ok := Share(made())
	require.NoError(t, featuregate.GlobalRegistry().Set(gate, false))
	assert.False(t, ok)
	share(t, made())
}
