// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"hash/maphash"
	"reflect"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// told is what was told last, so that nothing is told twice.
type told struct {
	facts    *topology.ClusterFacts
	gateways []topology.GatewaySpec
	services map[topology.ObjectName]uint64
	// canonical are the canonical services of those that have another one than their name.
	canonical map[topology.ObjectName]string
	seed      maphash.Seed
}

// delta takes what is pending.
func (e *engine) delta() *topology.Delta {
	p := e.pending
	e.pending.reset()
	d := &topology.Delta{Cluster: e.source.settings.Cluster, At: e.confirmed, Made: e.source.settings.Now().Round(0), Pods: p.pods, GonePods: p.ends}
	if len(e.ranges) > 0 {
		for i := range d.Pods {
			if d.Pods[i].Network == "" {
				d.Pods[i].Network = networkOf(e.ranges, d.Pods[i].Addresses)
			}
		}
	}
	if p.facts {
		if facts := e.facts(); !reflect.DeepEqual(facts, e.told.facts) {
			e.told.facts = facts
			copied := *facts
			d.Facts = &copied
		}
	}
	if p.gateways {
		if gateways := e.buildGateways(); e.told.gateways == nil || !reflect.DeepEqual(gateways, e.told.gateways) {
			e.told.gateways, d.Gateways = gateways, gateways
		}
	}
	if p.failovers {
		d.Failovers = make([]topology.FailoverSpec, 0, len(e.failovers))
		for _, name := range sortedNames(e.failovers) {
			d.Failovers = append(d.Failovers, e.failovers[name].value)
		}
	}
	for _, name := range sortedNames(p.nodes) {
		if row, ok := e.nodes[name]; ok {
			d.Nodes = append(d.Nodes, row.value.spec)
		} else {
			d.GoneNodes = append(d.GoneNodes, name.Name)
		}
	}
	for _, name := range sortedNames(p.services) {
		e.addService(d, name)
	}
	return d
}

// addService tells of a service. A Kubernetes service goes before a ServiceEntry of its name.
func (e *engine) addService(d *topology.Delta, name topology.ObjectName) {
	var spec topology.ServiceSpec
	service, ok := e.services[name]
	entry, both := e.serviceEntries[name]
	switch {
	case ok:
		spec = service.value.spec
		spec.Endpoints = e.endpointsOf(name)
		spec.EndingKnown = spec.Endpoints != nil
		spec.Canonical = e.canonical(name)
		if both {
			e.source.reportInvalid("serviceentry "+name.Namespace+"/"+name.Name, "a service of the same namespace has its name, so it is left out; rename it")
		}
	case both:
		spec = entry.value
		spec.Endpoints = e.normalized(spec.Endpoints)
	default:
		if _, known := e.told.services[name]; known {
			delete(e.told.services, name)
			delete(e.told.canonical, name)
			d.GoneServices = append(d.GoneServices, name)
		}
		return
	}
	if e.told.services == nil {
		e.told.services, e.told.seed = map[topology.ObjectName]uint64{}, maphash.MakeSeed()
	}
	if spec.Canonical == "" {
		delete(e.told.canonical, name)
	} else {
		if e.told.canonical == nil {
			e.told.canonical = map[topology.ObjectName]string{}
		}
		e.told.canonical[name] = spec.Canonical
	}
	hash := hashService(e.told.seed, &spec)
	if old, known := e.told.services[name]; known && old == hash {
		return
	}
	e.told.services[name] = hash
	d.Services = append(d.Services, spec)
}

func hashService(seed maphash.Seed, spec *topology.ServiceSpec) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, a := range spec.Addresses {
		maphash.WriteComparable(&h, a)
	}
	for _, p := range spec.Ports {
		maphash.WriteComparable(&h, p)
	}
	for _, host := range spec.Hosts {
		maphash.WriteComparable(&h, host)
	}
	maphash.WriteComparable(&h, spec.External)
	maphash.WriteComparable(&h, spec.Canonical)
	maphash.WriteComparable(&h, spec.Endpoints != nil)
	for _, z := range spec.Endpoints {
		maphash.WriteComparable(&h, z)
	}
	return h.Sum64()
}

// endpointsOf counts the endpoints of a service. One with two address families has each endpoint in both. One without endpoints
// still has a slice, and none that is nil; without any slice nothing is known.
func (e *engine) endpointsOf(service topology.ObjectName) []topology.ZoneEndpoints {
	if len(e.slicesOf[service]) == 0 {
		return nil
	}
	byFamily := map[string][]topology.ZoneEndpoints{}
	for _, name := range e.slicesOf[service] {
		slice := e.slices[name].value
		for _, z := range slice.zones {
			byFamily[slice.family] = mergeEndpoints(byFamily[slice.family], z)
		}
	}
	for _, family := range sortedKeys(byFamily) {
		return e.normalized(byFamily[family])
	}
	return []topology.ZoneEndpoints{}
}

func (e *engine) normalized(zones []topology.ZoneEndpoints) []topology.ZoneEndpoints {
	region := ""
	if e.told.facts != nil {
		region = e.told.facts.Region
	}
	var list []topology.ZoneEndpoints
	for _, z := range zones {
		z.Zone = envoy.NormalizeZone(region, z.Zone)
		list = mergeEndpoints(list, z)
	}
	sortEndpoints(list)
	return list
}

// confirmation is up to when everything that happened is known.
type confirmation struct {
	confirmed, toldConfirmed time.Time
	// candidate becomes confirmed at the next tick: what had arrived then has been merged by now.
	candidate, candidateAt time.Time
}

// tick looks at the watches and confirms.
func (e *engine) tick() {
	now := e.source.settings.Now()
	if len(e.pending.counts) > 0 && now.Sub(e.pending.countsAt) >= endpointsEvery {
		e.mark()
		for name := range e.pending.counts {
			e.pending.services.add(name)
		}
		clear(e.pending.counts)
		e.pending.countsAt = now
	}
	live := e.liveSince(now)
	if live && !e.candidate.IsZero() && e.liveSince(e.candidateAt) && len(e.messages) == 0 && e.candidate.After(e.confirmed) {
		e.confirmed = e.candidate
	}
	e.candidate, e.candidateAt = time.Time{}, now
	if heard, ok := e.source.meter.heard(); ok && live {
		e.candidate = heard
	}
	if e.full && e.confirmed.Sub(e.toldConfirmed) >= confirmEvery {
		e.send(e.delta())
	}
	e.publishState()
}

// liveSince tells whether all watches have been established since t.
func (e *engine) liveSince(t time.Time) bool {
	for _, w := range e.watchers {
		if live := w.live.Load(); !w.away && (live == 0 || live > t.UnixNano()) {
			return false
		}
	}
	return true
}

func (e *engine) publishState() {
	state := State{Synced: e.full, Confirmed: e.confirmed}
	for _, w := range e.watchers {
		if w.away {
			continue
		}
		state.Watches++
		if w.live.Load() != 0 {
			state.Live++
		}
	}
	e.source.status.state.Store(&state)
}
