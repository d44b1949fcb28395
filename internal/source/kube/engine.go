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
	// pieceSize is how many pods a piece of the full description has at least.
	pieceSize = 2000
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
	slicesOf       map[topology.ObjectName][]topology.ObjectName
	serviceEntries rows[topology.ServiceSpec]
	failovers      rows[topology.FailoverSpec]
	gateways       rows[*gatewayItem]
	tags           rows[tagItem]
	meshes         rows[meshItem]
	meshListing    uint32 // the last that brought the mesh configuration, in the node scope
	istiods        map[topology.ObjectName]istiod
	network        string // of the namespace's label
	networkListing uint32
	identity       identityItem
	identified     bool
	ranges         []networkRange

	pending pending
	told    told
	// part counts the pieces of the full description that were told, full says that all of them were.
	part int
	full bool
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
	since time.Time
	pods  []topology.PodState
	// index says where a pod is in pods.
	index                                map[topology.ObjectName]int
	ends                                 []topology.PodEnd
	nodes, services, counts              names
	facts, gateways, failovers, anything bool
	countsAt                             time.Time
}

func newEngine(s *Source, emit func(*topology.Delta)) *engine {
	e := &engine{
		source: s, emit: emit, messages: make(chan message, messageBuffer), intern: interner{},
		nodes: rows[nodeItem]{}, services: rows[serviceItem]{}, slices: rows[sliceItem]{},
		slicesOf: map[topology.ObjectName][]topology.ObjectName{}, serviceEntries: rows[topology.ServiceSpec]{},
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
		index: map[topology.ObjectName]int{}, nodes: names{}, services: names{}, counts: p.counts, countsAt: p.countsAt,
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

// first emits the full description when everything was listed. Most of it are the pods, so once all else is known they
// are told in pieces while they come: nobody has to hold all of them for that.
func (e *engine) first() {
	if !e.identified {
		return
	}
	listed := true
	for _, w := range e.watchers {
		switch {
		case w.settled:
		case w.resource.plural == "pods" || w.resource.plural == "workloadentries":
			listed = false
		default:
			return
		}
	}
	if !listed && len(e.pending.pods) < pieceSize {
		return
	}
	e.mark()
	if e.part == 0 || listed {
		e.pending.facts, e.pending.gateways, e.pending.failovers = true, true, true
		// All services are told, with all endpoints.
		e.pending.counts = names{}
	}
	if !listed {
		e.piece(true)
		return
	}
	// A list from the server's cache may be of some time ago, the first tick will tell.
	if e.source.settings.Scope == ScopeCluster {
		e.confirmed = e.began
	}
	e.piece(false)
	e.full = true
	e.publishState()
}

// piece emits a piece of the full description.
func (e *engine) piece(more bool) {
	delta := e.delta()
	delta.Full, delta.More, delta.Part = true, more, e.part
	if more {
		delta.At = time.Time{}
	}
	e.part++
	e.send(delta)
}

// flush emits what is pending.
func (e *engine) flush() {
	if e.part == 0 || !e.pending.anything {
		return
	}
	if !e.full {
		e.piece(true)
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

// upsertPod tells of a pod that appeared or changed.
func (e *engine) upsertPod(p *topology.PodState) {
	e.mark()
	name := topology.ObjectName{Namespace: p.Namespace, Name: p.Name}
	if at, here := e.pending.index[name]; here {
		e.pending.pods[at] = *p
		return
	}
	if e.pending.pods == nil && !e.full {
		e.pending.pods = make([]topology.PodState, 0, pieceSize)
	}
	e.pending.index[name] = len(e.pending.pods)
	e.pending.pods = append(e.pending.pods, *p)
}

// endPod tells of a pod that gave up its addresses. Ends count before beginnings, so a pod that is both in one delta
// would stay: what is pending of it is told first.
func (e *engine) endPod(end topology.PodEnd) {
	name := topology.ObjectName{Namespace: end.Namespace, Name: end.Name}
	_, here := e.pending.index[name]
	if e.part == 0 {
		// Nobody heard of it.
		if here {
			e.forget(name)
		}
		return
	}
	if here {
		e.flush()
	}
	e.mark()
	e.pending.ends = append(e.pending.ends, end)
}

// forget takes a pod out of what is to be told. The last one takes its place.
func (e *engine) forget(name topology.ObjectName) {
	pods, at := e.pending.pods, e.pending.index[name]
	last := len(pods) - 1
	if at != last {
		pods[at] = pods[last]
		e.pending.index[topology.ObjectName{Namespace: pods[at].Namespace, Name: pods[at].Name}] = at
	}
	delete(e.pending.index, name)
	pods[last] = topology.PodState{}
	e.pending.pods = pods[:last]
}

// upsertEntry tells of a WorkloadEntry, unless a pod has its name.
func (e *engine) upsertEntry(p *topology.PodState) {
	if _, taken := e.pods.rows[topology.ObjectName{Namespace: p.Namespace, Name: p.Name}]; taken {
		e.source.counters.invalid.Add(1)
		e.source.reportInvalid("workloadentry "+p.Namespace+"/"+p.Name, "a pod of the same namespace has its name, so it is left out; rename it")
		return
	}
	e.upsertPod(p)
}

func (e *engine) endEntry(end topology.PodEnd) {
	if _, taken := e.pods.rows[topology.ObjectName{Namespace: end.Namespace, Name: end.Name}]; !taken {
		e.endPod(end)
	}
}
