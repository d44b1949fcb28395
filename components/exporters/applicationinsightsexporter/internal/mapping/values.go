// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strings"

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

// writeSafe appends a text without the credentials of URLs in it.
func writeSafe(e *items.Encoder, s string) {
	if mayBeURL(s) {
		redact(s, e.Write)
		return
	}
	e.Write(s)
}

func withoutCredentials(s string) string {
	if !mayBeURL(s) {
		return s
	}
	var b strings.Builder
	redact(s, func(part string) { b.WriteString(part) })
	return b.String()
}

// mayBeURL says that a text may have a URL in it, or a path with a query.
func mayBeURL(s string) bool { return strings.Contains(s, "://") || strings.IndexByte(s, '?') >= 0 }

const (
	redacted     = "REDACTED"
	redactedUser = "REDACTED:REDACTED@"
)

// redact writes a text, part by part, in which user and password of URLs and the values of query parameters that are
// credentials are replaced, as the semantic conventions ask for url.full and url.query.
func redact(s string, write func(string)) {
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			redactQuery(s, false, write)
			return
		}
		redactQuery(s[:i+3], false, write)
		s = s[i+3:]
		if n := userInfo(s); n > 0 {
			write(redactedUser)
			s = s[n:]
		}
	}
}

// userInfo returns the length of user and password at the start of an authority, with the @.
func userInfo(s string) int {
	n := strings.IndexAny(s, "/?# \t\r\n\"'<>")
	if n < 0 {
		n = len(s)
	}
	if at := strings.LastIndexByte(s[:n], '@'); at >= 0 {
		return at + 1
	}
	// A password may hold what ends an authority without being escaped. Then what looks like a port is none.
	colon := strings.IndexByte(s[:n], ':')
	if colon <= 0 || s[0] == '[' || strings.Trim(s[colon+1:n], "0123456789") == "" {
		return 0
	}
	if space := strings.IndexAny(s, " \t\r\n\"'<>"); space >= 0 {
		s = s[:space]
	}
	return strings.LastIndexByte(s, '@') + 1
}

// redactQuery replaces the values of parameters that are credentials: of those that follow a ? or &, and of what s begins
// with if all of it is a query.
func redactQuery(s string, query bool, write func(string)) {
	for from := 0; ; {
		equals := strings.IndexByte(s[from:], '=')
		if equals < 0 {
			write(s)
			return
		}
		equals += from
		start := strings.LastIndexAny(s[:equals], "?&") + 1
		if (start == 0 && !query) || !isCredential(s[start:equals]) {
			from = equals + 1
			continue
		}
		write(s[:equals+1])
		write(redacted)
		s, from, query = s[equals+1:], 0, false
		end := strings.IndexAny(s, "&;# \t\r\n\"'")
		if end < 0 {
			return
		}
		s = s[end:]
	}
}

// isCredential says that a query parameter of that name is a signature, key or token: those that the semantic conventions
// name, shared access signatures and function keys of Azure, and tokens.
func isCredential(name string) bool {
	for _, credential := range credentials {
		if strings.EqualFold(name, credential) {
			return true
		}
	}
	return false
}

var credentials = []string{
	"sig", "code", "signature", "access_token", "client_secret", "AWSAccessKeyId", "X-Amz-Signature", "X-Amz-Credential",
	"X-Amz-Security-Token", "X-Goog-Signature",
}
