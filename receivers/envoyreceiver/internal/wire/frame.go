// SPDX-License-Identifier: Apache-2.0

// Package wire takes messages off a gRPC stream undecoded and weighs them before anything is allocated for them. A
// limit on bytes does not bound memory: a few bytes on the wire can stand for a large structure in memory.
package wire

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Frame receives one undecoded message.
type Frame struct {
	buffer mem.Buffer
}

// Bytes returns the encoded message, valid until [Frame.Free].
func (f *Frame) Bytes() []byte {
	if f.buffer == nil {
		return nil
	}
	return f.buffer.ReadOnlyData()
}

// Free gives the memory back. It is safe to call it more than once.
func (f *Frame) Free() {
	if f.buffer != nil {
		f.buffer.Free()
		f.buffer = nil
	}
}

// Codec is gRPC's protobuf codec that leaves messages for a [Frame] undecoded.
type Codec struct {
	encoding.CodecV2
}

// NewCodec returns a codec for grpc.ForceServerCodecV2.
func NewCodec() Codec {
	return Codec{CodecV2: encoding.GetCodecV2(proto.Name)}
}

// Unmarshal hands the bytes to a [Frame], and decodes into anything else.
func (c Codec) Unmarshal(data mem.BufferSlice, v any) error {
	frame, ok := v.(*Frame)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	frame.Free()
	frame.buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}
