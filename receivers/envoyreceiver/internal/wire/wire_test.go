// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"testing"

	alssvc "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var structScale = NewScale((&structpb.Struct{}).ProtoReflect().Descriptor())

func marshal(t *testing.T, m proto.Message) []byte {
	data, err := proto.Marshal(m)
	require.NoError(t, err)
	return data
}

func TestWeighCountsObjects(t *testing.T) {
	s, err := structpb.NewStruct(map[string]any{"a": 1, "b": []any{"x", "y"}})
	require.NoError(t, err)
	// a: entry, value; b: entry, value, list, two values.
	n, err := structScale.Weigh(marshal(t, s), 100)
	require.NoError(t, err)
	require.Equal(t, 7, n)
	_, err = structScale.Weigh(marshal(t, s), 7)
	require.NoError(t, err)
	_, err = structScale.Weigh(marshal(t, s), 6)
	require.ErrorIs(t, err, ErrTooManyObjects)
}

func TestWeighStopsEarly(t *testing.T) {
	// A megabyte of empty entries: two bytes each on the wire.
	var entries []byte
	for range 1 << 19 {
		entries = protowire.AppendTag(entries, 1, protowire.BytesType)
		entries = protowire.AppendBytes(entries, nil)
	}
	message := protowire.AppendTag(nil, 2, protowire.BytesType)
	message = protowire.AppendBytes(message, entries)
	scale := NewScale((&alssvc.StreamAccessLogsMessage{}).ProtoReflect().Descriptor())
	allocs := testing.AllocsPerRun(1, func() {
		_, err := scale.Weigh(message, 1000)
		require.ErrorIs(t, err, ErrTooManyObjects)
	})
	require.Less(t, allocs, 20.0)
}

func TestWeighStopsDeepNesting(t *testing.T) {
	value := structpb.NewNullValue()
	for range 2 * maxDepth {
		value = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{value}})
	}
	_, err := structScale.Weigh(marshal(t, &structpb.Struct{Fields: map[string]*structpb.Value{"a": value}}), 1e6)
	require.ErrorIs(t, err, ErrTooDeep)
}

func TestWeighRejectsGarbage(t *testing.T) {
	for _, data := range [][]byte{{0xff}, {0x0a, 0x05, 0x01}, {0x08}, {0x0b}} {
		_, err := structScale.Weigh(data, 10)
		require.ErrorIs(t, err, ErrMalformed, "%x", data)
	}
}

func TestCodec(t *testing.T) {
	codec := NewCodec()
	require.Equal(t, "proto", codec.Name())
	text := wrapperspb.String("hello")
	encoded := mem.BufferSlice{mem.SliceBuffer(marshal(t, text))}

	frame := &Frame{}
	require.Nil(t, frame.Bytes())
	require.NoError(t, codec.Unmarshal(encoded, frame))
	require.Equal(t, marshal(t, text), frame.Bytes())
	frame.Free()
	frame.Free()
	require.Nil(t, frame.Bytes())

	var decoded wrapperspb.StringValue
	require.NoError(t, codec.Unmarshal(encoded, &decoded))
	require.Equal(t, "hello", decoded.GetValue())
}

// FuzzWeigh checks that the weight bounds what protobuf accepts: no panic, and no message that decodes to more.
func FuzzWeigh(f *testing.F) {
	s, err := structpb.NewStruct(map[string]any{"a": 1, "b": []any{"x", map[string]any{"c": nil}}})
	if err != nil {
		f.Fatal(err)
	}
	data, err := proto.Marshal(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		weight, err := structScale.Weigh(data, 1<<20)
		if err != nil {
			return
		}
		var decoded structpb.Struct
		if proto.Unmarshal(data, &decoded) == nil && count(&decoded) > weight {
			t.Fatalf("weighed %d, holds %d", weight, count(&decoded))
		}
	})
}

func count(s *structpb.Struct) int {
	n := 0
	for _, v := range s.GetFields() {
		n += 2 + countValue(v)
	}
	return n
}

func countValue(v *structpb.Value) int {
	n := 0
	if s := v.GetStructValue(); s != nil {
		n += 1 + count(s)
	}
	if l := v.GetListValue(); l != nil {
		n++
		for _, e := range l.GetValues() {
			n += 1 + countValue(e)
		}
	}
	return n
}
