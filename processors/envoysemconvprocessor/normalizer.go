// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/rules"
)

// normalizer carries attributes between pdata and the rules. One serves one batch, so that its buffers are reused from
// item to item; it is not safe for concurrent use.
type normalizer struct {
	keyOf        func(name string) rules.Key
	keepOriginal bool
	call         rules.Call
	out          rules.Output
	tally        tally
	// hasTextNumbers reports that the item has a number by semantic conventions that came as a text.
	hasTextNumbers bool
	// obsolete is the method of that name, bound once: binding it for each item would allocate.
	obsolete func(name string, v pcommon.Value) bool
}

func newNormalizer(keyOf func(name string) rules.Key, keepOriginal bool) *normalizer {
	n := &normalizer{keyOf: keyOf, keepOriginal: keepOriginal}
	n.out.Attributes = make([]rules.Attribute, 0, 32)
	n.obsolete = n.isObsolete
	return n
}

// normalize rewrites the attributes of one item, for which n.call was reset. It reports whether the item is Envoy's
// and tells of a failed call.
func (n *normalizer) normalize(attrs pcommon.Map) (failed bool) {
	n.read(attrs)
	if !n.call.IsFromEnvoy() {
		return false
	}
	rules.Normalize(&n.call, &n.out)
	if n.hasTextNumbers {
		n.retype(attrs)
	}
	n.write(attrs)
	n.tally.items[n.call.Encoding()]++
	n.tally.conflicts += n.out.Conflicts
	for reason, count := range n.out.Unparsed {
		n.tally.unparsed[reason] += count
	}
	return n.out.Failed
}

func (n *normalizer) read(attrs pcommon.Map) {
	n.hasTextNumbers = false
	for name, v := range attrs.All() {
		if key := n.keyOf(name); key != rules.KeyNone {
			if text, ok := scalar(v); ok {
				n.call.Set(key, text)
			} else {
				n.call.SetBadType(key)
			}
			continue
		}
		if field := n.call.SemconvField(name); field != nil {
			*field, _ = scalar(v)
		}
		if v.Type() == pcommon.ValueTypeStr && rules.IsNumber(name) {
			n.hasTextNumbers = true
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
	attrs.RemoveIf(n.obsolete)
	attrs.EnsureCapacity(attrs.Len() + len(n.out.Attributes))
	agreed := false
	for i := range n.out.Attributes {
		a := &n.out.Attributes[i]
		if a.Follows && !agreed {
			continue
		}
		present, taken := attrs.Get(a.Name)
		if !taken {
			put(attrs, a)
			agreed = true
			continue
		}
		agreed = agrees(present, a)
		if !agreed && !a.Derived {
			n.tally.conflicts++
		}
	}
}

func (n *normalizer) isObsolete(name string, _ pcommon.Value) bool {
	if n.out.DropNetworkPeer && rules.IsNetworkPeer(name) {
		return true
	}
	if n.out.DropStatusCode && rules.IsStatusCode(name) {
		return true
	}
	if n.keepOriginal {
		return false
	}
	key := n.keyOf(name)
	return key != rules.KeyNone && !n.out.Keeps(key)
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

// put adds an attribute; the caller knows that the name is free.
func put(attrs pcommon.Map, a *rules.Attribute) {
	switch a.Type {
	case rules.Int:
		attrs.PutInt(a.Name, a.Int)
	case rules.Double:
		attrs.PutDouble(a.Name, a.Double)
	default:
		attrs.PutStr(a.Name, a.Text)
	}
}

// agrees reports whether the value that is present says what the rules would write, be it in another type.
func agrees(present pcommon.Value, a *rules.Attribute) bool {
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
