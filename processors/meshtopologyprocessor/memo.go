// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

const (
	// maxMemoAge is how long a memo is used: whether a cluster is stale changes without a new snapshot.
	maxMemoAge = time.Second
	// idleAfter is how long after a batch its memo is dropped if no other batch comes. It is of no use then.
	idleAfter = 2 * maxMemoAge
	// memoNears and memoVerdicts are how much a memo holds, as powers of two. A new answer takes the place of another one.
	memoNears, memoVerdicts = 1 << 5, 1 << 6
	// patience is how many answers a memo looks for in vain, beyond those it finds, until it is not asked any more.
	patience = 256
)

// memo remembers what was judged by one snapshot, for one set of attributes. The same proxies report the same calls over and over: another request
// id, the same two ends. What is found is what would be judged again: the evidence is compared whole, and the time of the
// item has to be within that for which the answer holds. Memory is bounded, be the evidence what it may.
type memo struct {
	snapshot   *topology.Snapshot
	attributes attributeSet
	born       time.Time
	// lastID is the id of the newest near end.
	lastID uint64
	nears  [memoNears]nearMemo
	calls  verdictMemo[rules.Call]
	labels verdictMemo[rules.Labels]
	spans  spanMemo
}

// nearMemo is who a reporter was. The id stands for it in the keys of verdicts; 0 is nobody's.
type nearMemo struct {
	id       uint64
	validity topology.Validity
	reporter rules.Reporter
	near     rules.Near
}

// verdictMemo remembers verdicts by what the items say.
type verdictMemo[E comparable] struct {
	// slots is nil until it is needed: a memo serves one signal.
	slots *[memoVerdicts]held[E]
	// vain counts what was not found, less what was.
	vain int
}

// held is a verdict that is remembered. by is the near end's id.
type held[E comparable] struct {
	by       uint64
	validity topology.Validity
	evidence E
	verdict  rules.Verdict
	// filled counts the verdicts that were held here.
	filled uint64
	// ready is for items that say nothing of an earlier verdict.
	ready ready
}

// remembering returns a memo of the snapshot.
func (m *meshTopology) remembering(snapshot *topology.Snapshot, now time.Time) *memo {
	kept := m.lastMemo.Swap(nil)
	if kept == nil {
		kept, _ = m.memos.Get().(*memo)
	}
	if kept == nil {
		kept = &memo{}
	}
	if kept.attributes != m.attributes {
		kept.forget()
		kept.attributes = m.attributes
	}
	kept.renew(snapshot, now)
	return kept
}

// giveBack takes the memo of a batch that ends.
func (m *meshTopology) giveBack(used *memo) {
	if !m.lastMemo.CompareAndSwap(nil, used) {
		m.memos.Put(used)
		return
	}
	m.idle.Reset(idleAfter)
}

// renew forgets what may not hold any more.
func (m *memo) renew(snapshot *topology.Snapshot, now time.Time) {
	if age := now.Sub(m.born); m.snapshot != snapshot || age < 0 || age > maxMemoAge {
		m.forget()
		m.snapshot, m.born = snapshot, now
	}
}

// forget drops what is remembered, and keeps the memory.
func (m *memo) forget() {
	for i := range m.nears {
		m.nears[i] = nearMemo{}
	}
	m.calls.forget()
	m.labels.forget()
	m.spans.forget()
}

func (t *verdictMemo[E]) forget() {
	t.vain = 0
	if t.slots == nil {
		return
	}
	for i := range t.slots {
		// What was counted stays counted: two verdicts of one slot must not have the same number.
		t.slots[i] = held[E]{filled: t.slots[i].filled + 1}
	}
}

// near returns who the reporter was at the time of the view.
func (m *memo) near(at topology.View, reporter *rules.Reporter) *nearMemo {
	h := mix(uint64(len(reporter.NodeID)), reporter.NodeID)
	h = mix(h, reporter.Pod)
	h = mix(h, reporter.TagCluster)
	if reporter.Address.IsValid() {
		low := reporter.Address.As16()
		h = scatter(h ^ uint64(low[15]) ^ uint64(low[14])<<8)
	}
	n := &m.nears[h&(memoNears-1)]
	if n.id == 0 || !n.validity.Holds(at) || n.reporter != *reporter {
		m.lastID++
		n.id, n.reporter = m.lastID, *reporter
		n.near = rules.ResolveNear(at.Noting(&n.validity), reporter)
	}
	return n
}

// slot returns where a verdict on such evidence is, if it is there; nil if the memo is not worth asking.
func (t *verdictMemo[E]) slot(hash uint64) *held[E] {
	if t.vain > patience {
		return nil
	}
	if t.slots == nil {
		t.slots = new([memoVerdicts]held[E])
	}
	return &t.slots[hash&(memoVerdicts-1)]
}

// find returns the slot's verdict if it is on this evidence; nil if it is not. Then the slot is the evidence's from now
// on, and waits for its verdict.
func (t *verdictMemo[E]) find(slot *held[E], by uint64, at topology.View, evidence *E) *rules.Verdict {
	if slot.by == by && slot.validity.Holds(at) && slot.evidence == *evidence {
		t.vain = max(t.vain-1, 0)
		return &slot.verdict
	}
	t.vain++
	slot.by, slot.evidence = by, *evidence
	slot.filled++
	slot.ready = ready{}
	return nil
}

// mix adds a text to a hash by its length, its last bytes, in which addresses and names mostly differ, and those in the
// middle, in which the names of hosts do. A sender who chooses texts that fall together makes the memo useless to
// itself, and no more.
func mix(hash uint64, text string) uint64 {
	n := len(text)
	hash ^= uint64(n) << 56
	switch {
	case n >= 16:
		return scatter(hash ^ eight(text[n-8:]) ^ eight(text[n/2-4:])<<7)
	case n >= 8:
		return scatter(hash ^ eight(text[n-8:]))
	}
	for i := range n {
		hash ^= uint64(text[i]) << (8 * i)
	}
	return scatter(hash)
}

// eight returns the first eight bytes as a number.
func eight(text string) uint64 {
	_ = text[7]
	return uint64(text[0]) | uint64(text[1])<<8 | uint64(text[2])<<16 | uint64(text[3])<<24 |
		uint64(text[4])<<32 | uint64(text[5])<<40 | uint64(text[6])<<48 | uint64(text[7])<<56
}

func scatter(hash uint64) uint64 {
	hash *= 0x9e3779b97f4a7c15
	return hash ^ hash>>32
}

// judge judges the call that a span or log record tells of, as of that time, and stamps the item. It returns where the
// verdict is remembered, nil if nowhere.
func (b *batch) judge(attrs pcommon.Map, when pcommon.Timestamp, r *reading) *held[rules.Call] {
	view, c := b.view(when), &r.call
	c.DownstreamAddress = withoutPort(c.DownstreamAddress)
	if b.m.explains != nil {
		copied := *c
		v := b.m.explains.judge(attrs, view, &b.reported.reporter, &copied)
		b.stampCall(attrs, v, r)
		return nil
	}
	near, by := b.nearAt(view)
	h := mix(by^uint64(c.Kind), c.UpstreamAddress)
	h = mix(h, c.DownstreamAddress)
	h = mix(h, c.UpstreamCluster)
	// What is judged is never the reading's own: that stays on the stack, where writing takes no barrier.
	slot := b.memo.calls.slot(h)
	if slot == nil {
		b.call = *c
		b.verdict = rules.Judge(view, near, &b.call)
		b.tally.count(&b.verdict)
		b.stampCall(attrs, &b.verdict, r)
		return nil
	}
	if v := b.memo.calls.find(slot, by, view, c); v != nil && r.stamped.has == 0 {
		b.tally.count(v)
		slot.ready.stamp(attrs, b.m.attributes, v, &c.Stamped, &r.stamped, true)
		return slot
	} else if v == nil {
		slot.verdict = rules.Judge(view.Noting(&slot.validity), near, &slot.evidence)
	}
	b.tally.count(&slot.verdict)
	b.stampCall(attrs, &slot.verdict, r)
	return slot
}

func (b *batch) stampCall(attrs pcommon.Map, v *rules.Verdict, r *reading) {
	stamp(attrs, b.m.attributes, v, &r.call.Stamped, &r.stamped)
	stampStale(attrs, b.m.attributes, v, &r.call.Stamped, &r.stamped)
}

// withoutPort returns "ip:port" or "[ip]:port" without the port, and any other text as it is. The port a connection came
// from is another one each time and tells nothing; with it, no two calls would be alike.
func withoutPort(address string) string {
	at := strings.LastIndexByte(address, ':')
	if at <= 0 || len(address)-at < 2 || len(address)-at > 5+1 {
		return address
	}
	port := 0
	for _, digit := range []byte(address[at+1:]) {
		if digit < '0' || digit > '9' {
			return address
		}
		port = port*10 + int(digit-'0')
	}
	host := address[:at]
	if port > 65535 || (host[0] != '[' && strings.IndexByte(host, ':') >= 0) {
		return address
	}
	return host
}

// judgePoint judges the calls that a point of an Istio metric counts, as of that time, and stamps the point.
func (b *batch) judgePoint(attrs pcommon.Map, when pcommon.Timestamp, labels *rules.Labels, s *stamped) {
	view := b.view(when)
	if b.m.explains != nil {
		copied := *labels
		v := b.m.explains.judgePoint(attrs, view, &b.reported.reporter, &copied)
		stamp(attrs, b.m.attributes, v, &labels.Stamped, s)
		return
	}
	near, by := b.nearAt(view)
	h := mix(by, labels.Source.Workload)
	h = mix(h, labels.Destination.Workload)
	h = mix(h, labels.Destination.Service)
	slot := b.memo.labels.slot(h)
	if slot == nil {
		b.labels = *labels
		b.verdict = rules.JudgeLabels(view, near, &b.labels)
		b.tally.count(&b.verdict)
		stamp(attrs, b.m.attributes, &b.verdict, &labels.Stamped, s)
		return
	}
	if v := b.memo.labels.find(slot, by, view, labels); v != nil && s.has == 0 {
		b.tally.count(v)
		slot.ready.stamp(attrs, b.m.attributes, v, &labels.Stamped, s, false)
		return
	} else if v == nil {
		slot.verdict = rules.JudgeLabels(view.Noting(&slot.validity), near, &slot.evidence)
	}
	b.tally.count(&slot.verdict)
	stamp(attrs, b.m.attributes, &slot.verdict, &labels.Stamped, s)
}
