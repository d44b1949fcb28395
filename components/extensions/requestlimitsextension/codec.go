// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"errors"
	"reflect"
	"sync"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/requestlimitsextension/internal/otlpwalk"
)

// codec puts off decoding. gRPC decodes before it calls an interceptor, also before the one that authenticates, and tells a
// codec neither the call nor its peer. So the bytes of a request of OTLP wait here, under the address of the message that
// they belong to, and [calls.unary] counts and decodes them.
type codec struct {
	next    encoding.CodecV2
	waiting sync.Map // of the message to its mem.Buffer
}

var _ encoding.CodecV2 = (*codec)(nil)

// errSecondMessage ends a call that has one message by its definition and sends another; gRPC would decode it over the
// first before it complains.
var errSecondMessage = errors.New(prefix + "a second message in a call that has one")

// ownEncoding is how pdata's messages differ from those of other services on the same server.
type ownEncoding interface{ UnmarshalProto([]byte) error }

// Marshal writes answers as ever.
func (c *codec) Marshal(v any) (mem.BufferSlice, error) { return c.next.Marshal(v) }

// Name is the encoding's name.
func (c *codec) Name() string { return c.next.Name() }

// Unmarshal keeps the bytes of a request of OTLP, and decodes any other message.
func (c *codec) Unmarshal(data mem.BufferSlice, v any) error {
	if _, ok := v.(ownEncoding); !ok {
		return c.next.Unmarshal(data, v)
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	if _, again := c.waiting.LoadOrStore(v, buf); again {
		buf.Free()
		return errSecondMessage
	}
	return nil
}

// take returns the bytes of a message, once.
func (c *codec) take(v any) (mem.Buffer, bool) {
	buf, ok := c.waiting.LoadAndDelete(v)
	if !ok {
		return nil, false
	}
	return buf.(mem.Buffer), true
}

// drop forgets a message that nobody took.
func (c *codec) drop(v any) {
	if buf, ok := c.take(v); ok {
		buf.Free()
	}
}

var signals sync.Map // of reflect.Type to otlpwalk.Signal, zero for an unknown one

// signalOf knows a request by its type's name, as the type itself is internal to pdata. Zero is an unknown one.
func signalOf(v any) otlpwalk.Signal {
	t := reflect.TypeOf(v)
	if s, ok := signals.Load(t); ok {
		return s.(otlpwalk.Signal)
	}
	var s otlpwalk.Signal
	if t.Kind() == reflect.Pointer {
		switch t.Elem().Name() {
		case "ExportTraceServiceRequest":
			s = otlpwalk.Traces
		case "ExportLogsServiceRequest":
			s = otlpwalk.Logs
		case "ExportMetricsServiceRequest":
			s = otlpwalk.Metrics
		}
	}
	signals.Store(t, s)
	return s
}
