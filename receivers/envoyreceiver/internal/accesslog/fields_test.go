// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"slices"
	"testing"

	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/otelcol-mesh/otelcol-mesh/internal/accesslog"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// notMapped are the fields without an attribute, with the reason.
var notMapped = map[protoreflect.FullName]string{
	"envoy.data.accesslog.v3.ResponseFlags.Unauthorized.reason": "its one value, EXTERNAL_SERVICE, is what the flag UAEX says",
}

// TestEveryFieldIsMapped sets each field of an entry by itself and expects to find it in the record. A new version of the
// protocol with a new field fails here.
func TestEveryFieldIsMapped(t *testing.T) {
	for _, prototype := range []proto.Message{&alsdata.HTTPAccessLogEntry{}, &alsdata.TCPAccessLogEntry{}} {
		n := walk(t, prototype, nil)
		require.Greater(t, n, 60, "the walk must reach the fields")
	}
}

// walk tries every field of the message that path leads to, and of the messages within.
func walk(t *testing.T, prototype proto.Message, path []protoreflect.FieldDescriptor) int {
	without := prototype.ProtoReflect().New()
	fields := descend(without, path).Descriptor().Fields()
	tried := 0
	for i := range fields.Len() {
		field := fields.Get(i)
		with := prototype.ProtoReflect().New()
		setField(descend(with, path), field, 3)
		tried++
		before, after := render(t, without.Interface()), render(t, with.Interface())
		if reason, ok := notMapped[field.FullName()]; ok {
			assert.Equal(t, before, after, "%s is mapped, though: %s", field.FullName(), reason)
			continue
		}
		assert.NotEqual(t, before, after, "%s is not in the record: map it or list it in notMapped", field.FullName())
		if !field.IsMap() && field.Message() != nil && field.Message().ParentFile().Package() == "envoy.data.accesslog.v3" {
			tried += walk(t, prototype, append(slices.Clip(path), field))
		}
	}
	return tried
}

func descend(m protoreflect.Message, path []protoreflect.FieldDescriptor) protoreflect.Message {
	for _, field := range path {
		if field.IsList() {
			list := m.Mutable(field).List()
			m = list.AppendMutable().Message()
			continue
		}
		m = m.Mutable(field).Message()
	}
	return m
}

// setField gives a field a value that is not its zero value, and the messages in it too, depth levels down.
func setField(m protoreflect.Message, field protoreflect.FieldDescriptor, depth int) {
	switch {
	case field.IsMap():
		value := m.Mutable(field).Map().NewValue()
		if field.MapValue().Message() != nil {
			fill(value.Message(), depth)
		} else {
			value = scalar(field.MapValue())
		}
		m.Mutable(field).Map().Set(protoreflect.ValueOfString("istio").MapKey(), value)
	case field.IsList() && field.Message() != nil:
		fill(m.Mutable(field).List().AppendMutable().Message(), depth)
	case field.Message() != nil:
		fill(m.Mutable(field).Message(), depth)
	default:
		m.Set(field, scalar(field))
	}
}

func fill(m protoreflect.Message, depth int) {
	if packed, ok := m.Interface().(*anypb.Any); ok {
		value, err := anypb.New(wrapperspb.String("x"))
		if err == nil {
			proto.Merge(packed, value)
		}
		return
	}
	if depth == 0 {
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if oneof := fields.Get(i).ContainingOneof(); oneof == nil || m.WhichOneof(oneof) == nil {
			setField(m, fields.Get(i), depth-1)
		}
	}
}

func scalar(field protoreflect.FieldDescriptor) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(7)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(7)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(7)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(7)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(0.5)
	default:
		return protoreflect.ValueOfString("x")
	}
}

func testConverter() *Converter {
	return &Converter{Settings: Settings{
		Limits:             attr.Limits{MaxValueLength: 256, MaxMapEntries: 8},
		MetadataNamespaces: map[string]struct{}{"istio": {}},
	}}
}

func render(t *testing.T, entry proto.Message) string {
	logs := plog.NewLogs()
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	switch e := entry.(type) {
	case *alsdata.HTTPAccessLogEntry:
		testConverter().HTTP(e, record)
	case *alsdata.TCPAccessLogEntry:
		testConverter().TCP(e, record)
	}
	text, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	return string(text)
}

// TestEveryFlagHasAShortForm holds the table against the protocol.
func TestEveryFlagHasAShortForm(t *testing.T) {
	fields := (&alsdata.ResponseFlags{}).ProtoReflect().Descriptor().Fields()
	require.Len(t, allFlags, fields.Len())
	seen := make(map[string]bool)
	for i := range fields.Len() {
		flags := &alsdata.ResponseFlags{}
		setField(flags.ProtoReflect(), fields.Get(i), 1)
		got := Flags(flags)
		require.Len(t, got, 1, fields.Get(i).Name())
		require.False(t, seen[got[0]], "%s stands for two fields", got[0])
		seen[got[0]] = true
	}
	failures := 0
	for short := range seen {
		if accesslog.IsFailureFlag(short) {
			failures++
		}
	}
	require.Equal(t, 19, failures, "internal/accesslog names a flag that the protocol does not have")
}
