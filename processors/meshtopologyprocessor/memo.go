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
	// memoNears and memoVerdicts are how much a memo holds, as powers of two. A new answer takes the place of another one.
	memoNears, memoVerdicts = 1 << 5, 1 << 6
	// patience is how many answers a memo looks for in vain, beyond those it finds, until it is not asked any more.
	patience = 256
)

// memo remembers what was judged by one snapshot. The same proxies report the same calls over and over: another request
// id, the same two ends. What is found is what would be judged again: the evidence is compared whole, and the time of the
// item has to be within that for which the answer holds. Memory is bounded, be the evidence what it may.
type memo struct {
	snapshot *topology.Snapshot
	born     time.Time
	// lastID is the id of the newest near end.
	lastID uint64
	nears  [memoNears]nearMemo
	calls  verdictMemo[rules.Call]
	labels verdictMemo[rules.Labels]
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
}

// remembering returns a memo of the snapshot.
func (m *meshTopology) remembering(snapshot *topology.Snapshot, now time.Time) *memo {
	kept, _ := m.memos.Get().(*memo)
	if kept == nil {
		kept = &memo{}
	}
	kept.renew(snapshot, now)
	return kept
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
}

func (t *verdictMemo[E]) forget() {
	t.vain = 0
	if t.slots != nil {
		*t.slots = [memoVerdicts]held[E]{}
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
	return nil
}

// mix adds a text to a hash by its length and its last bytes, in which addresses and names mostly differ. A sender who
// chooses texts that fall together makes the memo useless to itself, and no more.
func mix(hash uint64, text string) uint64 {
	hash ^= uint64(len(text)) << 56
	if n := len(text); n >= 8 {
		last := text[n-8:]
		return scatter(hash ^ (uint64(last[0]) | uint64(last[1])<<8 | uint64(last[2])<<16 | uint64(last[3])<<24 |
			uint64(last[4])<<32 | uint64(last[5])<<40 | uint64(last[6])<<48 | uint64(last[7])<<56))
	}
	for i := range len(text) {
		hash ^= uint64(text[i]) << (8 * i)
	}
	return scatter(hash)
}

func scatter(hash uint64) uint64 {
	hash *= 0x9e3779b97f4a7c15
	return hash ^ hash>>32
}

// judge judges the call that a span or log record tells of, as of that time, and stamps the item.
func (b *batch) judge(attrs pcommon.Map, when pcommon.Timestamp, r *reading) {
	view, c := b.view(when), &r.call
	c.DownstreamAddress = withoutPort(c.DownstreamAddress)
	if b.m.explains != nil {
		copied := *c
		v := b.m.explains.judge(attrs, view, &b.reported.reporter, &copied)
		stamp(attrs, b.m.attributes, v, &c.Stamped, &r.stamped)
		stampStale(attrs, b.m.attributes, v, &c.Stamped, &r.stamped)
		return
	}
	near, by := b.nearAt(view)
	h := mix(by^uint64(c.Kind), c.UpstreamAddress)
	h = mix(h, c.DownstreamAddress)
	h = mix(h, c.UpstreamCluster)
	var v *rules.Verdict
	// What is judged is never the reading's own: that stays on the stack, where writing takes no barrier.
	if slot := b.memo.calls.slot(h); slot == nil {
		b.call = *c
		b.verdict = rules.Judge(view, near, &b.call)
		v = &b.verdict
	} else if v = b.memo.calls.find(slot, by, view, c); v == nil {
		slot.verdict = rules.Judge(view.Noting(&slot.validity), near, &slot.evidence)
		v = &slot.verdict
	}
	b.tally.count(v)
	stamp(attrs, b.m.attributes, v, &c.Stamped, &r.stamped)
	stampStale(attrs, b.m.attributes, v, &c.Stamped, &r.stamped)
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
	var v *rules.Verdict
	if slot := b.memo.labels.slot(h); slot == nil {
		b.labels = *labels
		b.verdict = rules.JudgeLabels(view, near, &b.labels)
		v = &b.verdict
	} else if v = b.memo.labels.find(slot, by, view, labels); v == nil {
		slot.verdict = rules.JudgeLabels(view.Noting(&slot.validity), near, &slot.evidence)
		v = &slot.verdict
	}
	b.tally.count(v)
	stamp(attrs, b.m.attributes, v, &labels.Stamped, s)
}
