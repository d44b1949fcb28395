// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/wire"
)

// maxPackedObjects bounds what one packed value may decode to. The weight of the whole message does not include packed
// values, as their type is known only here.
const maxPackedObjects = 4096

var (
	structScale = wire.NewScale((&structpb.Struct{}).ProtoReflect().Descriptor())
	listScale   = wire.NewScale((&structpb.ListValue{}).ProtoReflect().Descriptor())
)

// unpackStruct returns the Struct packed in a value, or false if it is another type, or too large.
func unpackStruct(packed *anypb.Any) (*structpb.Struct, bool) {
	s := &structpb.Struct{}
	if !packed.MessageIs(s) {
		return nil, false
	}
	if _, err := structScale.Weigh(packed.GetValue(), maxPackedObjects); err != nil {
		return nil, false
	}
	return s, proto.Unmarshal(packed.GetValue(), s) == nil
}

// unpackAny returns the value itself, or the one it packs: a filter state object that packs itself was packed once more
// by older Envoys.
func unpackAny(packed *anypb.Any) *anypb.Any {
	var inner anypb.Any
	if packed.MessageIs(&inner) && proto.Unmarshal(packed.GetValue(), &inner) == nil {
		return &inner
	}
	return packed
}

// putAny writes a packed value: a wrapper as what it wraps, a structure as JSON. It returns false for other types.
func putAny(key string, packed *anypb.Any, w attr.Writer) bool {
	packed = unpackAny(packed)
	if s, ok := unpackStruct(packed); ok {
		return putJSON(key, s, w)
	}
	var list structpb.ListValue
	if packed.MessageIs(&list) {
		if _, err := listScale.Weigh(packed.GetValue(), maxPackedObjects); err != nil {
			return false
		}
		return proto.Unmarshal(packed.GetValue(), &list) == nil && putJSON(key, &list, w)
	}
	return putWrapper(key, packed, w)
}

// putWrapper goes by the list of types that a filter state object becomes in Envoy's own filters.
func putWrapper(key string, packed *anypb.Any, w attr.Writer) bool {
	var value proto.Message
	for _, candidate := range []proto.Message{
		&wrapperspb.StringValue{}, &wrapperspb.BytesValue{}, &wrapperspb.BoolValue{},
		&wrapperspb.Int64Value{}, &wrapperspb.Int32Value{}, &wrapperspb.UInt64Value{}, &wrapperspb.UInt32Value{},
		&wrapperspb.DoubleValue{}, &wrapperspb.FloatValue{},
	} {
		if packed.MessageIs(candidate) {
			value = candidate
			break
		}
	}
	if value == nil || proto.Unmarshal(packed.GetValue(), value) != nil {
		return false
	}
	switch v := value.(type) {
	case *wrapperspb.StringValue:
		w.Str(key, v.GetValue())
	case *wrapperspb.BytesValue:
		if !isText(v.GetValue()) {
			return false
		}
		w.Str(key, string(v.GetValue()))
	case *wrapperspb.BoolValue:
		w.Map.PutBool(key, v.GetValue())
	case *wrapperspb.DoubleValue:
		w.Map.PutDouble(key, v.GetValue())
	case *wrapperspb.FloatValue:
		w.Map.PutDouble(key, float64(v.GetValue()))
	default:
		w.Map.PutInt(key, wrappedInt(v))
	}
	return true
}

func wrappedInt(value proto.Message) int64 {
	switch v := value.(type) {
	case *wrapperspb.Int64Value:
		return v.GetValue()
	case *wrapperspb.Int32Value:
		return int64(v.GetValue())
	case *wrapperspb.UInt64Value:
		return toInt(v.GetValue())
	default:
		return int64(value.(*wrapperspb.UInt32Value).GetValue())
	}
}

// putValue writes a value of a Struct: scalars as they are, structures and lists as JSON.
func putValue(key string, value *structpb.Value, w attr.Writer) {
	switch v := value.GetKind().(type) {
	case *structpb.Value_StringValue:
		w.Str(key, v.StringValue)
	case *structpb.Value_BoolValue:
		w.Map.PutBool(key, v.BoolValue)
	case *structpb.Value_NumberValue:
		w.Map.PutDouble(key, v.NumberValue)
	case *structpb.Value_StructValue:
		putJSON(key, v.StructValue, w)
	case *structpb.Value_ListValue:
		putJSON(key, v.ListValue, w)
	}
}

// putJSON writes a message as compact JSON. protojson varies its white space on purpose, so it is taken out again.
func putJSON(key string, message proto.Message, w attr.Writer) bool {
	text, err := protojson.Marshal(message)
	if err != nil {
		return false
	}
	var compact bytes.Buffer
	if json.Compact(&compact, text) != nil {
		return false
	}
	w.Str(key, compact.String())
	return true
}

// isText tells text from packed bytes.
func isText(b []byte) bool {
	return utf8.Valid(b) && bytes.IndexFunc(b, func(r rune) bool { return r < ' ' }) < 0
}
