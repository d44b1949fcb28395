// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

const (
	// formWays and formSets are how many forms are remembered, spansRecalled how many spans. All are powers of two.
	formWays, formSets, spansRecalled = 2, 1 << 3, 1 << 6
	// maxFormed is the most attributes of a span that is remembered, maxSaid the most of them that count.
	maxFormed, maxSaid = 1 << 6, 40
)

// spanMemo remembers spans by their attributes, so that one that says what an earlier one said need not be read: it has
// the same keys in the same order, and each value that the reading depends on is the same. Everything else of an item,
// such as sizes and request ids, is not even looked at.
type spanMemo struct {
	// forms and spans are nil until they are needed.
	forms *[formSets][formWays]form
	spans *[spansRecalled]recalled
	// lastForm is the id of the newest form; 0 is none's.
	lastForm uint64
	// vain counts what was not found, less what was.
	vain int
}

// form is the keys of a span, in order, and what of their values counts.
type form struct {
	id   uint64
	kind rules.Kind
	n    int
	at   [maxFormed]formed
}

type formed struct {
	key    string
	weight weight
	// holds is the type of a value that counts.
	holds pcommon.ValueType
}

// said is what the attributes of a span say, as far as it counts.
type said struct {
	// form is nil if the span has none that is remembered.
	form  *form
	texts [maxSaid]string
	n     int
	// flags are the booleans. port is the one number that counts for some spans, see recalled.
	flags uint32
	port  int64
	hash  uint64
}

// recalled is a span that is remembered, and what came of it.
type recalled struct {
	form  uint64
	texts [maxSaid]string
	flags uint32
	port  int64
	// usesPort says that the verdict depends on the port.
	usesPort bool
	// proxy, nodeID and tagCluster are what the reading says.
	proxy              bool
	nodeID, tagCluster string
	// verdict is where the verdict is remembered, if it still is the one of this number.
	verdict *held[rules.Call]
	filled  uint64
	stamped stamped
	ready   ready
}

func (t *spanMemo) forget() {
	t.vain = 0
	if t.spans != nil {
		*t.forms, *t.spans = [formSets][formWays]form{}, [spansRecalled]recalled{}
	}
}

// find returns the span that said the same, nil if none is remembered, and notes what this one says.
func (t *spanMemo) find(kind rules.Kind, attrs pcommon.Map, s *said) *recalled {
	s.form = nil
	if t.spans == nil || t.vain > patience {
		return nil
	}
	n := attrs.Len()
	ways := &t.forms[formSet(kind, n)]
	for i := range ways {
		if f := &ways[i]; f.n == n && f.kind == kind && f.id != 0 && f.say(attrs, s) {
			if r := &t.spans[s.hash&(spansRecalled-1)]; r.says(s) {
				return r
			}
			return nil
		}
	}
	return nil
}

func formSet(kind rules.Kind, n int) uint64 {
	return scatter(uint64(n)<<2|uint64(kind)) >> 32 & (formSets - 1)
}

// say notes what the attributes say, if they are of the form.
func (f *form) say(attrs pcommon.Map, s *said) bool {
	i, n, hash := 0, 0, f.id
	s.flags, s.port = 0, 0
	for key, value := range attrs.All() {
		at := &f.at[i&(maxFormed-1)]
		if key != at.key {
			return false
		}
		i++
		if at.weight == weightless {
			continue
		}
		if value.Type() != at.holds {
			return false
		}
		switch at.holds {
		case pcommon.ValueTypeStr:
			text := value.Str()
			if at.weight == caller {
				text = callerOf(text)
			}
			s.texts[n%maxSaid] = text
			n++
			hash = mix(hash, text)
		case pcommon.ValueTypeBool:
			s.flags <<= 1
			if value.Bool() {
				s.flags |= 1
			}
		default:
			s.port = value.Int()
		}
	}
	s.form, s.n, s.hash = f, n, hash
	return true
}

// says says whether it is what this span said.
func (r *recalled) says(s *said) bool {
	if r.form != s.form.id || r.flags != s.flags || (r.usesPort && r.port != s.port) {
		return false
	}
	for i, text := range s.texts[:min(s.n, maxSaid)] {
		if r.texts[i] != text {
			return false
		}
	}
	return true
}

// learn makes the span's form a remembered one, unless it is or cannot be. It has to be called before the span is
// stamped.
func (t *spanMemo) learn(kind rules.Kind, attrs pcommon.Map, s *said) {
	n := attrs.Len()
	if s.form != nil || t.vain > patience || n > maxFormed {
		return
	}
	t.vain++
	if t.spans == nil {
		t.forms, t.spans = new([formSets][formWays]form), new([spansRecalled]recalled)
	}
	ways := &t.forms[formSet(kind, n)]
	copy(ways[1:], ways[:])
	f := &ways[0]
	t.lastForm++
	f.id, f.kind, f.n = t.lastForm, kind, n
	if !f.take(attrs) {
		f.id = 0
		return
	}
	f.say(attrs, s)
}

// take makes the form that of the attributes. ok is false if what counts of them is more than can be remembered.
func (f *form) take(attrs pcommon.Map) (ok bool) {
	i, texts, flags, ports := 0, 0, 0, 0
	var looked reading
	for key, value := range attrs.All() {
		at := formed{key: key, weight: looked.look(key, value), holds: value.Type()}
		if at.weight == aboutReporter || (at.weight == peerPort && f.kind != rules.ClientKind) {
			// Who reported the spans of a resource is known before they are read.
			at.weight = weightless
		}
		f.at[i] = at
		i++
		switch {
		case at.weight == weightless:
		case at.holds == pcommon.ValueTypeStr:
			texts++
		case at.holds == pcommon.ValueTypeBool:
			flags++
		case at.holds == pcommon.ValueTypeInt && at.weight == peerPort:
			ports++
		default:
			return false
		}
	}
	return texts <= maxSaid && flags <= 32 && ports <= 1
}

// keep remembers what came of a span.
func (t *spanMemo) keep(s *said, r *reading, verdict *held[rules.Call]) {
	if s.form == nil || verdict == nil {
		return
	}
	t.vain++
	to := &t.spans[s.hash&(spansRecalled-1)]
	*to = recalled{
		form: s.form.id, flags: s.flags, port: s.port,
		// Without the address it is the port of nothing.
		usesPort: r.call.Kind == rules.ClientKind && r.networkPeer != "",
		proxy:    r.proxy, nodeID: r.nodeID, tagCluster: r.tagCluster,
		verdict: verdict, filled: verdict.filled, stamped: r.stamped,
	}
	copy(to.texts[:], s.texts[:s.n])
}

// repeat stamps a span that says what another one said, if the verdict still holds at its time and for its reporter.
func (b *batch) repeat(attrs pcommon.Map, when pcommon.Timestamp, r *recalled) (done bool) {
	view, held := b.view(when), r.verdict
	if held.filled != r.filled || !held.validity.Holds(view) {
		return false
	}
	if _, by := b.nearAt(view); held.by != by {
		return false
	}
	b.memo.spans.vain = max(b.memo.spans.vain-1, 0)
	b.tally.count(&held.verdict)
	ready := &r.ready
	if r.stamped.has == 0 {
		ready = &held.ready
	}
	ready.stamp(attrs, b.m.attributes, &held.verdict, &held.evidence.Stamped, &r.stamped, true)
	return true
}

// callerOf returns the address of a caller without the port, if nothing but the port is lost with it: ports differ from
// call to call, and tell something only where they tell that a header named the address.
func callerOf(address string) string {
	host := withoutPort(address)
	if len(host) == len(address) || host == "-" || strings.HasSuffix(address, headerPort) || (host[0] == '[' && host[len(host)-1] != ']') {
		return address
	}
	return host
}
