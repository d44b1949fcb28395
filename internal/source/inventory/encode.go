// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"iter"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Encoder turns what the leader of a cluster knows into messages, and numbers them. One goroutine uses it. An iterator
// must be finished, or left for good, before the next call: messages are numbered as they are yielded, and the chunks
// of a snapshot have consecutive numbers.
type Encoder struct {
	header   Header
	counters EncoderCounters
	page     *page
	// limit is where a message ends: MaxMessageBytes but in tests.
	limit int
}

// EncoderCounters are totals of an encoder.
type EncoderCounters struct {
	// Altered counts values that had to be changed to fit the format: text that is not UTF-8 or longer than
	// [MaxStringBytes], invalid addresses, endpoints whose names no Kubernetes object can have.
	Altered uint64
	// Oversized counts objects that were left out because one alone is larger than [MaxBodyBytes].
	Oversized uint64
}

// NewEncoder returns the encoder of a leader. uid is the uid of the cluster's namespace kube-system, empty if not known.
// epoch is when it became leader, in Unix nanoseconds, and must be greater than every earlier leader's, so that
// its messages count for more. Begin with [Encoder.Snapshot], or a full delta.
func NewEncoder(cluster, uid string, epoch int64) *Encoder {
	return &Encoder{
		header: Header{Schema: SchemaVersion, Cluster: cluster, ClusterUID: uid, Epoch: epoch},
		page:   newPage(),
		limit:  MaxMessageBytes,
	}
}

// Counters returns the totals so far.
func (e *Encoder) Counters() EncoderCounters { return e.counters }

// Heartbeat returns the message that nothing changed up to at.
func (e *Encoder) Heartbeat(at time.Time) Message { return e.message(KindHeartbeat, at, 0, 0, nil) }

// Delta returns the messages that carry the delta: mostly one, none if it says nothing and confirms nothing, a heartbeat
// if it only confirms, and a snapshot if it is full. A piece of a full description goes as a change and takes
// nothing away: for a snapshot, apply all pieces to a [topology.Writer]. The name in the delta is ignored in favor of the encoder's.
func (e *Encoder) Delta(d *topology.Delta) iter.Seq[Message] {
	if d.Full && d.Part == 0 && !d.More {
		return e.whole(contentOf(d), d.At, d.Made)
	}
	return func(yield func(Message) bool) {
		if emptyDelta(d) {
			if !d.At.IsZero() {
				yield(e.Heartbeat(d.At))
			}
			return
		}
		e.run(contentOf(d), d.At, d.Made, func(body []byte, more bool) bool {
			body = slices.Clone(body)
			if more {
				body = appendBool(body, inventoryMore, true)
			}
			return yield(e.message(KindDelta, d.At, 0, 0, body))
		})
	}
}

func emptyDelta(d *topology.Delta) bool {
	return d.Facts == nil && d.Gateways == nil && d.Failovers == nil &&
		len(d.Nodes)+len(d.GoneNodes)+len(d.Services)+len(d.GoneServices)+len(d.Pods)+len(d.GonePods) == 0
}

// whole yields the chunks of a snapshot. It encodes the content twice, first to learn the number of chunks, so that it
// holds one chunk at a time.
func (e *Encoder) whole(c content, at, made time.Time) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		before := e.counters
		parts := 0
		e.run(c, at, made, func([]byte, bool) bool { parts++; return true })
		e.counters = before
		part := 0
		e.run(c, at, made, func(body []byte, _ bool) bool {
			part++
			return yield(e.message(KindSnapshot, at, part, parts, slices.Clone(body)))
		})
	}
}

func (e *Encoder) message(kind Kind, at time.Time, part, parts int, body []byte) Message {
	e.header.Sequence++
	m := Message{Header: e.header, Body: body}
	m.Kind, m.At, m.Part, m.Parts = kind, at, part, parts
	return m
}

// content is what a message or a snapshot says, as iterators, so that a snapshot need not exist as specs as a whole.
// A nil iterator is empty.
type content struct {
	facts     *topology.ClusterFacts
	gateways  []topology.GatewaySpec
	failovers []topology.FailoverSpec

	nodes        iter.Seq[topology.NodeSpec]
	goneNodes    iter.Seq[string]
	services     iter.Seq[topology.ServiceSpec]
	goneServices iter.Seq[topology.ObjectName]
	pods         iter.Seq[topology.PodState]
	gonePods     iter.Seq[topology.PodEnd]
	past         iter.Seq[PastPod]
}

func contentOf(d *topology.Delta) content {
	c := content{
		facts: d.Facts, gateways: d.Gateways, failovers: d.Failovers,
		nodes: slices.Values(d.Nodes), services: slices.Values(d.Services), pods: slices.Values(d.Pods),
	}
	if !d.Full {
		c.goneNodes, c.goneServices = slices.Values(d.GoneNodes), slices.Values(d.GoneServices)
		c.gonePods = slices.Values(d.GonePods)
	}
	return c
}

// run encodes the content and hands each body to flush, which must copy what it keeps. more says that another follows.
func (e *Encoder) run(c content, at, made time.Time, flush func(body []byte, more bool) bool) {
	w := writer{page: e.page, limit: e.limit, counters: &e.counters, flush: flush}
	w.page.start(at, made, &e.counters)
	ok := (c.facts == nil || w.add(func(p *page) { p.facts(c.facts) })) &&
		rowsOf(&w, slices.Values(c.gateways), (*page).gateway) &&
		rowsOf(&w, slices.Values(c.failovers), (*page).failover) &&
		rowsOf(&w, c.goneNodes, (*page).goneNode) &&
		rowsOf(&w, c.goneServices, (*page).goneService) &&
		rowsOf(&w, c.gonePods, (*page).gonePod) &&
		rowsOf(&w, c.nodes, (*page).node) &&
		rowsOf(&w, c.services, (*page).service) &&
		rowsOf(&w, c.pods, (*page).pod) &&
		rowsOf(&w, c.past, (*page).past)
	if !ok {
		return
	}
	// An empty list is an empty message: it removes what there was.
	if c.gateways != nil && len(c.gateways) == 0 {
		w.page.rows = appendBytes(w.page.rows, inventoryGateways, "")
	}
	if c.failovers != nil && len(c.failovers) == 0 {
		w.page.rows = appendBytes(w.page.rows, inventoryFailovers, "")
	}
	flush(w.page.body(), false)
}

// rowsOf adds a row for each object.
func rowsOf[T any](w *writer, objects iter.Seq[T], row func(*page, *T)) bool {
	if objects == nil {
		return true
	}
	// One variable and one closure for all objects: a variable for each would be one allocation for each.
	var object T
	add := func(p *page) { row(p, &object) }
	for object = range objects {
		if !w.add(add) {
			return false
		}
	}
	return true
}

// writer fills pages.
type writer struct {
	page     *page
	limit    int
	counters *EncoderCounters
	flush    func(body []byte, more bool) bool
}

// add adds a row, on a new page if it does not fit on this one. It returns false if the consumer wants no more.
func (w *writer) add(row func(*page)) bool {
	mark := w.page.mark()
	row(w.page)
	if w.page.fits(w.limit) {
		return true
	}
	if mark.items > 0 {
		w.page.rollback(mark)
		if !w.flush(w.page.body(), true) {
			return false
		}
		w.page.reset()
		mark = w.page.mark()
		row(w.page)
	}
	if !w.page.fits(MaxBodyBytes) {
		w.page.rollback(mark)
		w.counters.Oversized++
	}
	return true
}
