// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

const (
	// coalesce is how long changes wait for others.
	coalesce = 100 * time.Millisecond
	// endpointsEvery is how often counts of endpoints are told: a service that scales changes with each pod.
	endpointsEvery = 2 * time.Second
	// tickEvery is how often the watches are looked at.
	tickEvery = time.Second
	// confirmEvery is how much the confirmation must have advanced to be told alone.
	confirmEvery = 5 * time.Second
)

// engine merges what the watchers bring, and emits deltas. Its goroutine is that of [Source.Run].
type engine struct {
	source   *Source
	emit     func(*topology.Delta)
	start    func(*watcher)
	messages chan message
	watchers []*watched
	intern   interner

	pods, entries  *podTable
	nodes          rows[nodeItem]
	services       rows[serviceItem]
	slices         rows[sliceItem]
	slicesOf       map[topology.ObjectName]names
	serviceEntries rows[topology.ServiceSpec]
	failovers      rows[topology.FailoverSpec]
	gateways       rows[*gatewayItem]
	tags           rows[tagItem]
	meshes         rows[meshItem]
	istiods        map[topology.ObjectName]istiod
	network        string // of the namespace's label
	networkListing uint32
	identity       identityItem
	identified     bool
	ranges         []networkRange

	pending pending
	told    told
	full    bool
	// began is when the oldest of the first listings began.
	began time.Time
	confirmation
}

// watched is what the engine knows of a watcher.
type watched struct {
	*watcher
	// settled says that a listing ended, or that there is none to wait for.
	settled bool
	// away says that the cluster does not have the resource, or does not allow it.
	away bool
}

// pending is what is to be told.
type pending struct {
	since                                time.Time
	pods                                 []topology.PodState
	epoch                                uint32
	ends                                 []topology.PodEnd
	nodes, services, counts              names
	facts, gateways, failovers, anything bool
	countsAt                             time.Time
}

func newEngine(s *Source, emit func(*topology.Delta)) *engine {
	e := &engine{
		source: s, emit: emit, messages: make(chan message, messageBuffer), intern: interner{},
		nodes: rows[nodeItem]{}, services: rows[serviceItem]{}, slices: rows[sliceItem]{},
		slicesOf: map[topology.ObjectName]names{}, serviceEntries: rows[topology.ServiceSpec]{},
		failovers: rows[topology.FailoverSpec]{}, gateways: rows[*gatewayItem]{}, tags: rows[tagItem]{},
		meshes: rows[meshItem]{}, istiods: map[topology.ObjectName]istiod{}, began: s.settings.Now().Round(0),
	}
	e.pending.reset()
	e.pods = newPodTable(e.upsertPod, e.endPod)
	e.entries = newPodTable(e.upsertEntry, e.endEntry)
	return e
}

func (p *pending) reset() {
	*p = pending{
		epoch: p.epoch + 1, nodes: names{}, services: names{}, counts: p.counts, countsAt: p.countsAt,
	}
	if p.counts == nil {
		p.counts = names{}
	}
}

// follow starts a watcher. The full delta waits for it if it is one of the first.
func (e *engine) follow(r resource, first bool) {
	w := newWatcher(e.source, r, e.messages)
	e.watchers = append(e.watchers, &watched{watcher: w, settled: !first})
	e.start(w)
}

func (e *engine) run(ctx context.Context) {
	ticks := time.NewTicker(tickEvery)
	defer ticks.Stop()
	flush := time.NewTimer(coalesce)
	defer flush.Stop()
	flush.Stop()
	armed := false
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-e.messages:
			e.take(&m)
			// With a backlog the timer may come late; the clock tells.
			if e.full && armed && m.observed.Sub(e.pending.since) >= coalesce {
				e.flush()
			}
		case <-flush.C:
			armed = false
			e.flush()
		case <-ticks.C:
			e.tick()
		}
		if !e.full {
			e.first()
		}
		if e.full && e.pending.anything && !armed {
			armed = true
			flush.Reset(coalesce)
		}
	}
}

// mark notes that there is something to tell.
func (e *engine) mark() {
	if !e.pending.anything {
		e.pending.anything, e.pending.since = true, e.source.settings.Now()
	}
}

// first emits the full delta when everything was listed.
func (e *engine) first() {
	if !e.identified {
		return
	}
	for _, w := range e.watchers {
		if !w.settled {
			return
		}
	}
	e.full = true
	// A list from the server's cache may be of some time ago, the first tick will tell.
	if e.source.settings.Scope == ScopeCluster {
		e.confirmed = e.began
	}
	e.mark()
	e.pending.facts, e.pending.gateways, e.pending.failovers = true, true, true
	delta := e.delta()
	delta.Full = true
	e.send(delta)
	e.publishState()
}

// flush emits what is pending.
func (e *engine) flush() {
	if !e.full || !e.pending.anything {
		return
	}
	delta := e.delta()
	if empty(delta) {
		return
	}
	e.send(delta)
}

func (e *engine) send(delta *topology.Delta) {
	e.toldConfirmed = e.confirmed
	e.source.counters.deltas.Add(1)
	e.emit(delta)
}

func empty(d *topology.Delta) bool {
	return d.Facts == nil && d.Gateways == nil && d.Failovers == nil && len(d.Nodes)+len(d.GoneNodes)+len(d.Services)+
		len(d.GoneServices)+len(d.Pods)+len(d.GonePods) == 0
}

// maxExpected bounds the memory that is set aside for pods that were only announced: more than any cluster has.
const maxExpected = 1 << 18

// expect sets memory aside for the first pods. A list that grows is copied again and again, and with the garbage of that
// the peak of the memory would be a third higher.
func (e *engine) expect(pods int64) {
	if !e.full && e.pending.pods == nil && pods > 0 {
		e.pending.pods = make([]topology.PodState, 0, min(pods+pods/64, maxExpected))
	}
}

// upsertPod tells of a pod that appeared or changed.
func (e *engine) upsertPod(p *topology.PodState, at *slot) {
	e.mark()
	if at.epoch == e.pending.epoch {
		e.pending.pods[at.index] = *p
		return
	}
	*at = slot{epoch: e.pending.epoch, index: uint32(len(e.pending.pods))}
	e.pending.pods = append(e.pending.pods, *p)
}

// endPod tells of a pod that gave up its addresses. Ends count before beginnings, so a pod that is both in one delta
// would stay: what is pending of it is told first.
func (e *engine) endPod(end topology.PodEnd, at slot) {
	if at.epoch == e.pending.epoch {
		if !e.full {
			// Nobody heard of it.
			e.forget(at.index)
			return
		}
		e.flush()
	}
	if e.full {
		e.mark()
		e.pending.ends = append(e.pending.ends, end)
	}
}

// forget takes a pod out of what is to be told. The last one takes its place.
func (e *engine) forget(i uint32) {
	pods := e.pending.pods
	last := len(pods) - 1
	pods[i] = pods[last]
	pods[last] = topology.PodState{}
	e.pending.pods = pods[:last]
	if int(i) == last {
		return
	}
	name := topology.ObjectName{Namespace: pods[i].Namespace, Name: pods[i].Name}
	table := e.pods
	if pods[i].Kind == kindWorkloadEntry {
		table = e.entries
	}
	row := table.rows[name]
	row.slot.index = i
	table.rows[name] = row
}

// upsertEntry tells of a WorkloadEntry, unless a pod has its name.
func (e *engine) upsertEntry(p *topology.PodState, at *slot) {
	if _, taken := e.pods.rows[topology.ObjectName{Namespace: p.Namespace, Name: p.Name}]; taken {
		e.source.counters.invalid.Add(1)
		e.source.reportInvalid("workloadentry "+p.Namespace+"/"+p.Name, "a pod of the same namespace has its name, so it is left out; rename it")
		return
	}
	e.upsertPod(p, at)
}

func (e *engine) endEntry(end topology.PodEnd, at slot) {
	if _, taken := e.pods.rows[topology.ObjectName{Namespace: end.Namespace, Name: end.Name}]; !taken {
		e.endPod(end, at)
	}
}
