// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// maxDepth is how deep lists and maps are followed; what is below is written as null.
const maxDepth = 16

// writeValue appends a value to the open text: texts as they are but without credentials in URLs, numbers in decimal,
// bytes in base64, lists and maps as JSON.
func writeValue(e *items.Encoder, v pcommon.Value) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		writeSafe(e, v.Str())
	case pcommon.ValueTypeBytes:
		e.WriteBase64(v.Bytes().AsRaw())
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
		writeJSON(e, v, 0)
	default:
		writeScalar(e, v)
	}
}

func writeScalar(e *items.Encoder, v pcommon.Value) {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		e.WriteInt(v.Int())
	case pcommon.ValueTypeDouble:
		e.WriteFloat(v.Double())
	case pcommon.ValueTypeBool:
		e.WriteBool(v.Bool())
	}
}

// writeJSON appends a value as JSON. What no longer counts, as the text is longer than it may be, is not looked at.
func writeJSON(e *items.Encoder, v pcommon.Value, depth int) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		e.WriteQuoted(withoutCredentials(v.Str()))
	case pcommon.ValueTypeBytes:
		e.Write(`"`)
		e.WriteBase64(v.Bytes().AsRaw())
		e.Write(`"`)
	case pcommon.ValueTypeDouble:
		if _, finite := number(v); !finite {
			e.Write(`"`)
			e.WriteFloat(v.Double())
			e.Write(`"`)
			return
		}
		e.WriteFloat(v.Double())
	case pcommon.ValueTypeSlice, pcommon.ValueTypeMap:
		if depth >= maxDepth {
			e.Write("null")
			return
		}
		writeNested(e, v, depth)
	case pcommon.ValueTypeEmpty:
		e.Write("null")
	default:
		writeScalar(e, v)
	}
}

func writeNested(e *items.Encoder, v pcommon.Value, depth int) {
	if v.Type() == pcommon.ValueTypeSlice {
		e.Write("[")
		for i, element := range v.Slice().All() {
			if e.Full() {
				break
			}
			if i > 0 {
				e.Write(",")
			}
			writeJSON(e, element, depth+1)
		}
		e.Write("]")
		return
	}
	e.Write("{")
	first := true
	for key, element := range v.Map().All() {
		if e.Full() {
			break
		}
		if !first {
			e.Write(",")
		}
		first = false
		e.WriteQuoted(key)
		e.Write(":")
		writeJSON(e, element, depth+1)
	}
	e.Write("}")
}
