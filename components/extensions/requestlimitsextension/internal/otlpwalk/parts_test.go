// SPDX-License-Identifier: Apache-2.0

package otlpwalk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// in puts a message into a field.
func in(number byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{number<<3 | wireLen}, uint64(len(body))), body...)
}

// inParts is a request of any signal whose only resource comes in n parts of so many attributes each, and so does its scope:
// parsers make one object of them (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
func inParts(n, attributes int) []byte {
	attribute := []byte{10, 1, 'a'}
	resources := bytes.Repeat(in(1, bytes.Repeat(in(1, attribute), attributes)), n)
	scopes := bytes.Repeat(in(1, bytes.Repeat(in(3, attribute), attributes)), n)
	return in(1, slices.Concat(resources, in(2, scopes)))
}

func inPartsJSON(signal Signal, n, attributes int) []byte {
	name := map[Signal]string{Traces: "Spans", Logs: "Logs", Metrics: "Metrics"}[signal]
	part := `{"attributes":[` + strings.TrimSuffix(strings.Repeat(`{"key":"a"},`, attributes), ",") + `]}`
	parts := func(of string) string { return strings.TrimSuffix(strings.Repeat(`"`+of+`":`+part+`,`, n), ",") }
	return fmt.Appendf(nil, `{"resource%s":[{%s,"resource":null,"resource":{},"scope%s":[{%s}]}]}`, name, parts("resource"), name, parts("scope"))
}

// TestPartsOfAnObjectAreCountedTogether holds that the limit of one object's attributes is no matter of how it is cut.
func TestPartsOfAnObjectAreCountedTogether(t *testing.T) {
	const parts, attributes = 50, 3
	var w Walker
	for signal := Traces; signal <= Metrics; signal++ {
		for _, json := range []bool{false, true} {
			walk, body := w.Proto, inParts(parts, attributes)
			r := empty(signal)
			parse := r.UnmarshalProto
			if json {
				walk, body, parse = w.JSON, inPartsJSON(signal, parts, attributes), r.UnmarshalJSON
			}
			require.NoError(t, parse(body))
			counts, v := walk(signal, body, unlimited())
			require.Nil(t, v)
			require.EqualValues(t, parts*attributes, counts.ObjectAttributes)
			require.Equal(t, recounted(r).ObjectAttributes, counts.ObjectAttributes)
			require.EqualValues(t, 2*parts*attributes, counts.Attributes)
			limits := unlimited()
			limits.ObjectAttributes = parts*attributes - 1
			_, v = walk(signal, body, limits)
			require.Equal(t, &Violation{Reason: ObjectAttributes, Limit: parts*attributes - 1}, v)
			limits.ObjectAttributes++
			_, v = walk(signal, body, limits)
			require.Nil(t, v)
			// Two resources are two objects.
			if !json {
				counts, v = walk(signal, slices.Concat(body, body), unlimited())
				require.Nil(t, v)
				require.EqualValues(t, parts*attributes, counts.ObjectAttributes)
			}
		}
	}
}
