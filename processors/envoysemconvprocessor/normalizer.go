// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/rules"
)

// normalizer carries attributes between pdata and the rules. One serves a batch at a time, so that its buffers are reused
// from item to item; it is not safe for concurrent use.
type normalizer struct {
	keyOf func(name string) rules.Key
	kept  kept
	call  rules.Call
	out   rules.Output
	tally tally
	// textNumbers reports that the item has a number by semantic conventions as a text.
	textNumbers bool
	// free reports that no name that the rules write for a span is taken, so that none needs to be looked for.
	free bool
	// namer names spans; nil for log records, and if there is nothing to do. spanName is what it is to name.
	namer    *rules.Namer
	spanName string
	// obsolete is the method of that name, bound once: binding it for each item would allocate.
	obsolete func(name string, v pcommon.Value) bool
	// values holds values that are moved from an old name to a new one, by key, and moved which of them are there. A
	// normalizer of log records, which is made for each batch, does without.
	values []pcommon.Value
	moved  uint64
	// candidates are the spans of the batch that may turn out to be the second of a call.
	candidates []candidate
}

func newNormalizer(keyOf func(name string) rules.Key, kept kept) *normalizer {
	n := &normalizer{keyOf: keyOf, kept: kept}
	n.out.Attributes = make([]rules.Attribute, 0, 32)
	n.obsolete = n.isObsolete
	return n
}

// newSpanNormalizer returns a normalizer that serves many batches, one after the other.
func newSpanNormalizer(kept kept, namer *rules.Namer) *normalizer {
	n := newNormalizer(rules.SpanKey, kept)
	n.namer = namer
	n.values = make([]pcommon.Value, rules.NumKeys)
	for i := range n.values {
		n.values[i] = pcommon.NewValueEmpty()
	}
	return n
}

// begin prepares the walk over the next batch.
func (n *normalizer) begin() {
	n.tally = tally{}
	clear(n.candidates) // spans of another batch must not stay in memory
	n.candidates = n.candidates[:0]
}

// normalize rewrites the attributes of one item, for which n.call was reset. It reports whether the item is Envoy's;
// n.out.Failed tells whether the call failed, and n.spanName what the span is to be called.
func (n *normalizer) normalize(attrs pcommon.Map) (fromEnvoy bool) {
	others := n.read(attrs)
	if !n.call.IsFromEnvoy() {
		return false
	}
	if others {
		n.readOthers(attrs)
	}
	n.translate(attrs)
	return true
}

// translate rewrites the attributes of an item of Envoy's that was read.
func (n *normalizer) translate(attrs pcommon.Map) {
	rules.Normalize(&n.call, &n.out)
	if n.namer != nil {
		var source rules.NameSource
		n.spanName, source = n.namer.Name(&n.call, &n.out, n.spanName)
		n.tally.names[source]++
	}
	if n.textNumbers {
		n.retype(attrs)
	}
	n.write(attrs)
	n.tally.items[n.call.Encoding()]++
	n.tally.conflicts += n.out.Conflicts
	for reason, count := range n.out.Unparsed {
		n.tally.unparsed[reason] += count
	}
}

// read notes the attributes that are texts, which are all that Envoy sends. It reports whether there are others to
// read; to print them costs memory, which is not spent on items that are not Envoy's.
func (n *normalizer) read(attrs pcommon.Map) (others bool) {
	n.textNumbers, n.free = false, !n.call.Log
	for name, v := range attrs.All() {
		isText := v.Type() == pcommon.ValueTypeStr
		if key := n.keyOf(name); key != rules.KeyNone {
			if !isText {
				others = true
				n.call.Set(key, "")
				continue
			}
			n.call.Set(key, v.Str())
			continue
		}
		if field := n.call.SemconvField(name); field != nil {
			if isText {
				*field = v.Str()
			} else {
				others = true
			}
		}
		if rules.MayBeWritten(name) {
			n.free = false
		}
		if isText && rules.IsNumber(name) {
			n.textNumbers = true
			n.call.TextNumbers = n.call.TextNumbers || (n.call.FromEnvoyScope && isNumber(v.Str()))
		}
	}
	return others
}

func isNumber(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil
}

func (n *normalizer) readOthers(attrs pcommon.Map) {
	for name, v := range attrs.All() {
		if v.Type() == pcommon.ValueTypeStr {
			continue
		}
		text, ok := scalar(v)
		if key := n.keyOf(name); key != rules.KeyNone {
			if ok {
				n.call.Set(key, text)
			} else {
				n.call.SetBadType(key)
			}
		} else if field := n.call.SemconvField(name); field != nil {
			*field = text
		}
	}
}

// retype makes numbers of the semantic conventions that came as texts: readers of a number skip a text.
func (n *normalizer) retype(attrs pcommon.Map) {
	for name, v := range attrs.All() {
		if v.Type() != pcommon.ValueTypeStr || !rules.IsNumber(name) {
			continue
		}
		if number, err := strconv.ParseInt(v.Str(), 10, 64); err == nil {
			v.SetInt(number)
		} else {
			n.out.Unparsed[rules.NotANumber]++
		}
	}
}

func (n *normalizer) write(attrs pcommon.Map) {
	n.moved = 0
	attrs.RemoveIf(n.obsolete)
	n.add(attrs)
}

// add writes the attributes whose names are free, and counts those that are taken by another value.
func (n *normalizer) add(attrs pcommon.Map) {
	attrs.EnsureCapacity(attrs.Len() + len(n.out.Attributes))
	agreed := false
	for i := range n.out.Attributes {
		a := &n.out.Attributes[i]
		if n.free && !n.out.Repeats {
			n.put(attrs, a)
			continue
		}
		if a.Follows && !agreed {
			continue
		}
		present, taken := attrs.Get(a.Name)
		if !taken {
			n.put(attrs, a)
			agreed = true
			continue
		}
		agreed = agrees(present, a)
		if !agreed && !a.Derived {
			n.tally.conflicts++
		}
	}
}

func (n *normalizer) isObsolete(name string, v pcommon.Value) bool {
	if n.out.DropNetworkPeer && rules.IsNetworkPeer(name) {
		return true
	}
	if n.out.DropStatusCode && rules.IsStatusCode(name) {
		return true
	}
	if rules.SaysNothing(name, v.Str()) {
		return true
	}
	key := n.keyOf(name)
	if key == rules.KeyNone || n.out.Keeps(key) || n.kept.has(name) {
		return false
	}
	if n.values != nil && v.Type() == pcommon.ValueTypeStr {
		v.MoveTo(n.values[key])
		n.moved |= 1 << key
	}
	return true
}

// scalar returns a value as Envoy would print it. Envoy's values are texts; other tracers' formats and other
// processors may have made numbers and booleans of them.
func scalar(v pcommon.Value) (string, bool) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return v.Str(), true
	case pcommon.ValueTypeInt:
		return strconv.FormatInt(v.Int(), 10), true
	case pcommon.ValueTypeBool:
		return strconv.FormatBool(v.Bool()), true
	case pcommon.ValueTypeDouble:
		return strconv.FormatFloat(v.Double(), 'f', -1, 64), true
	case pcommon.ValueTypeEmpty:
		return "", true
	default:
		return "", false
	}
}

// put adds an attribute; the caller knows that the name is free. A text that an obsolete attribute held moves, for pdata
// allocates each text that is put.
func (n *normalizer) put(attrs pcommon.Map, a *rules.Attribute) {
	if a.Source != rules.KeyNone && n.moved&(1<<a.Source) != 0 {
		n.moved &^= 1 << a.Source
		n.values[a.Source].MoveTo(attrs.PutEmpty(a.Name))
		return
	}
	put(attrs, a)
}

// put adds an attribute by its value.
func put(attrs pcommon.Map, a *rules.Attribute) {
	switch a.Type {
	case rules.Int:
		attrs.PutInt(a.Name, a.Int)
	case rules.Double:
		attrs.PutDouble(a.Name, a.Double)
	case rules.List:
		attrs.PutEmptySlice(a.Name).AppendEmpty().SetStr(a.Text)
	default:
		attrs.PutStr(a.Name, a.Text)
	}
}

// agrees reports whether the value that is present says what the rules would write, be it in another type.
func agrees(present pcommon.Value, a *rules.Attribute) bool {
	if a.Type == rules.List && present.Type() == pcommon.ValueTypeSlice {
		return present.Slice().Len() == 1 && present.Slice().At(0).Str() == a.Text
	}
	text, ok := scalar(present)
	if !ok {
		return false
	}
	switch a.Type {
	case rules.Int:
		n, err := strconv.ParseInt(text, 10, 64)
		return err == nil && n == a.Int
	case rules.Double:
		f, err := strconv.ParseFloat(text, 64)
		return err == nil && f == a.Double
	default:
		return text == a.Text
	}
}
