// SPDX-License-Identifier: Apache-2.0

package otlpwalk

import "strings"

// maxNesting bounds the walk's own recursion over JSON. Four levels of JSON make one of a value.
const maxNesting = 256

// names finds the field of a message by its name in JSON, in both of the spellings that pdata takes.
var names = func() (byName [messageCount]map[string]*field) {
	for m := range schema {
		byName[m] = make(map[string]*field)
		for i := range schema[m] {
			f := &schema[m][i]
			if f.kind == kUnknown {
				continue
			}
			byName[m][f.name] = f
			byName[m][snake(f.name)] = f
			if i == 2 && message(m) >= mResourceSpans && message(m) <= mResourceMetrics {
				old := "deprecated" + strings.ToUpper(f.name[:1]) + f.name[1:]
				byName[m][old] = f
				byName[m][snake(old)] = f
			}
		}
	}
	return byName
}()

// jsonType is what pdata reads for a field. After a value of another type it would go on reading in the middle of it, and
// what it then found the walk would not have counted; so the walk refuses those.
type jsonType uint8

const (
	jAny jsonType = iota
	jObject
	jText
	jPlain // a string without escapes: an id, or base64
	jBool
	jInt32
	jUint32
	jInt64
	jUint64
	jFloat
)

// types are the types of all fields, those of the elements for arrays.
var types = func() map[*field]jsonType {
	all := make(map[*field]jsonType)
	for m := range schema {
		for i := range schema[m] {
			all[&schema[m][i]] = typeOf(&schema[m][i])
		}
	}
	return all
}()

func typeOf(f *field) jsonType {
	switch f.kind {
	case kUnknown:
		return jAny
	case kMessage:
		return jObject
	case kText, kKey:
		return jText
	case kBytes, kID16, kID8:
		return jPlain
	}
	switch f.name {
	case "boolValue", "isMonotonic":
		return jBool
	case "sum", "min", "max", "doubleValue", "asDouble", "quantile", "value", "zeroThreshold", "explicitBounds":
		return jFloat
	case "flags", "droppedAttributesCount", "droppedEventsCount", "droppedLinksCount":
		return jUint32
	case "intValue", "asInt":
		return jInt64
	}
	if f.kind == kVarint {
		return jInt32
	}
	return jUint64
}

// isRepeated says that a field is an array in JSON.
func isRepeated(f *field) bool { return f.count != cNone }

func snake(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// JSON walks a request in OTLP's JSON encoding. It is stricter than pdata: a name of a field must be written without
// escapes and may not be empty, and nothing may follow the request. No sender writes otherwise.
func (w *Walker) JSON(signal Signal, request []byte, limits *Counts) (Counts, *Violation) {
	w.reset(limits)
	w.data = request
	root := signal.root()
	ok := root != mNone && w.space() == '{' && w.object(root, 0, 0)
	if ok && w.space() != 0 {
		ok = false
	}
	if !ok && w.reason == "" {
		w.malformed()
	}
	w.data = nil
	return w.result(ok)
}

// space skips white space and returns the next byte, zero at the end.
func (w *Walker) space() byte {
	for w.pos < len(w.data) {
		switch c := w.data[w.pos]; c {
		case ' ', '\t', '\n', '\r':
			w.pos++
		default:
			return c
		}
	}
	return 0
}

// object walks an object whose opening brace is next; mNone is one of no known type.
func (w *Walker) object(m message, depth int64, nesting int) bool {
	if nesting > maxNesting {
		return w.over(Depth, w.depthLimit)
	}
	pairs := w.before
	w.before, w.after = 0, pairs
	w.pos++
	if w.space() == '}' {
		w.pos++
		return true
	}
	for {
		name, plain, ok := w.quoted()
		if !ok || !plain || len(name) == 0 || w.space() != ':' {
			return w.malformed()
		}
		w.pos++
		if !w.member(names[m][string(name)], depth, nesting, &pairs) {
			return false
		}
		switch w.space() {
		case ',':
			w.pos++
			if w.space() != '"' {
				return w.malformed()
			}
		case '}':
			w.pos++
			w.after = pairs
			return true
		default:
			return w.malformed()
		}
	}
}

// member walks the value of a field; f is nil for an unknown one.
func (w *Walker) member(f *field, depth int64, nesting int, pairs *int64) bool {
	if f == nil || !isRepeated(f) {
		return w.occurrence(f, depth, nesting, pairs)
	}
	if w.space() == '[' {
		return w.array(f, depth, nesting, pairs)
	}
	// pdata takes null for an empty array.
	return w.literal(jObject)
}

// array walks an array; each element is an occurrence of the field.
func (w *Walker) array(f *field, depth int64, nesting int, pairs *int64) bool {
	if nesting > maxNesting {
		return w.over(Depth, w.depthLimit)
	}
	w.pos++
	if w.space() == ']' {
		w.pos++
		return true
	}
	for {
		if !w.occurrence(f, depth, nesting+1, pairs) {
			return false
		}
		switch w.space() {
		case ',':
			w.pos++
		case ']':
			w.pos++
			return true
		default:
			return w.malformed()
		}
	}
}

// occurrence counts one value of a field and walks it.
func (w *Walker) occurrence(f *field, depth int64, nesting int, pairs *int64) bool {
	var m message
	k, t := kBytes, jAny
	if f != nil {
		t = types[f]
		m, k = f.child, f.kind
		cost := f.cost
		if k == kPacked64 || k == kPackedVarint {
			cost = bucketGrowCost
		}
		if cost != 0 && !w.add(f.count, 1, cost) {
			return false
		}
		if f.count == cAttributes {
			*pairs++
			if !w.attribute(*pairs) {
				return false
			}
		}
		if f.nests {
			depth++
			if !w.deeper(depth) {
				return false
			}
		}
	}
	switch c := w.space(); c {
	case '{':
		if t != jObject && t != jAny {
			return w.malformed()
		}
		if f == nil || !f.merges {
			return w.object(m, depth, nesting+1)
		}
		w.before = *pairs
		ok := w.object(m, depth, nesting+1)
		*pairs = w.after
		return ok
	case '[':
		if t != jAny {
			return w.malformed()
		}
		return w.array(nil, depth, nesting+1, pairs)
	case '"':
		text, plain, ok := w.quoted()
		if !ok || t == jObject || t == jBool || t == jPlain && !plain {
			return w.malformed()
		}
		return w.text(k, int64(len(text)))
	default:
		return w.literal(t)
	}
}

// quoted reads a string; plain says that it has no escapes. The bytes are those between the quotes, so never fewer than
// the text has.
func (w *Walker) quoted() (text []byte, plain, ok bool) {
	if w.space() != '"' {
		return nil, false, false
	}
	start := w.pos + 1
	plain = true
	for i := start; i < len(w.data); i++ {
		switch c := w.data[i]; {
		case c == '"':
			w.pos = i + 1
			return w.data[start:i], plain, true
		case c == '\\':
			plain = false
			n := escape(w.data[i+1:])
			if n == 0 {
				return nil, false, false
			}
			i += n
		case c < ' ':
			return nil, false, false
		}
	}
	return nil, false, false
}

// escape returns the length of an escape after its backslash, zero if it is none.
func escape(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	if b[0] != 'u' {
		if strings.IndexByte(`"\/bfnrt`, b[0]) < 0 {
			return 0
		}
		return 1
	}
	if len(b) < 5 {
		return 0
	}
	for _, c := range b[1:5] {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return 0
		}
	}
	return 5
}

// literal reads a number, true, false or null, where the type of the field takes it.
func (w *Walker) literal(t jsonType) bool {
	start := w.pos
	for w.pos < len(w.data) {
		c := w.data[w.pos]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E' {
			w.pos++
			continue
		}
		break
	}
	text := w.data[start:w.pos]
	switch string(text) {
	case "true", "false":
		return t == jBool || t == jAny || w.malformed()
	case "null":
		return t == jText || t == jObject || t == jAny || w.malformed()
	}
	whole, ok := number(text)
	if !ok {
		return w.malformed()
	}
	switch t {
	case jFloat, jAny:
		return true
	case jInt32, jUint32, jInt64, jUint64:
		return whole && fits(text, t) || w.malformed()
	default:
		return w.malformed()
	}
}

// number checks a number against JSON's grammar (RFC 8259, section 6); whole says that it has neither fraction nor exponent.
func number(b []byte) (whole, ok bool) {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	n := digits(b)
	if n == 0 || n > 1 && b[0] == '0' {
		return false, false
	}
	b, whole = b[n:], true
	if len(b) > 0 && b[0] == '.' {
		n = digits(b[1:])
		if n == 0 {
			return false, false
		}
		b, whole = b[n+1:], false
	}
	if len(b) > 0 && b[0]|0x20 == 'e' {
		b, whole = b[1:], false
		if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
			b = b[1:]
		}
		if n = digits(b); n == 0 {
			return false, false
		}
		b = b[n:]
	}
	return whole, len(b) == 0
}

func digits(b []byte) (n int) {
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return n
}

// fits refuses what pdata would read in part only: a sign where there may be none, and more digits than fit.
func fits(b []byte, t jsonType) bool {
	if b[0] == '-' {
		if t == jUint32 || t == jUint64 {
			return false
		}
		b = b[1:]
	}
	if t == jInt32 || t == jUint32 {
		const most = "4294967295"
		return len(b) < len(most) || len(b) == len(most) && string(b) <= most
	}
	const most = 19
	return len(b) <= most
}
