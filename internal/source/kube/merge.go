// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// take merges one message.
func (e *engine) take(m *message) {
	switch m.kind {
	case messageItem:
		e.item(m)
	case messageGone:
		e.gone(m)
	case messageSynced:
		e.settle(m.watcher, false)
		e.sweep(m)
	case messageAbsent:
		// What it had is gone with the definition.
		m.listing++
		e.settle(m.watcher, true)
		e.sweep(m)
	case messageRefused:
		e.settle(m.watcher, true)
	case messageCluster:
		if item, ok := m.value.(identityItem); ok {
			e.identity, e.identified = item, true
			e.changedFacts()
		}
	}
}

func (e *engine) settle(w *watcher, away bool) {
	for _, known := range e.watchers {
		if known.watcher == w {
			known.settled, known.away = true, away
		}
	}
}

func (e *engine) changedFacts()    { e.mark(); e.pending.facts = true }
func (e *engine) changedGateways() { e.mark(); e.pending.gateways = true }

// item merges an object that is there.
func (e *engine) item(m *message) {
	switch v := m.value.(type) {
	case podItem:
		e.putPod(m, &v)
	case workloadEntryItem:
		item := podItem(v)
		e.intern.pod(&item.state)
		e.entries.put(m, &item)
	case nodeItem:
		e.putNode(m, &v)
	case serviceItem:
		e.putService(m, &v)
	case sliceItem:
		e.putSlice(m, &v)
	case serviceEntryItem:
		e.serviceEntries.put(m, topology.ServiceSpec(v))
		e.mark()
		e.pending.services.add(m.name)
	case failoverItem:
		e.failovers.put(m, topology.FailoverSpec(v))
		e.mark()
		e.pending.failovers = true
	case *gatewayItem:
		e.gateways.put(m, v)
		e.changedGateways()
	case tagItem:
		e.tags.put(m, v)
		e.changedFacts()
	case namespaceItem:
		e.network, e.networkListing = v.network, m.listing
		e.changedNetworks()
	case meshItem:
		e.foundMesh(m)
		e.meshes.put(m, v)
		e.changedNetworks()
	case invalidItem:
		e.foundMesh(m)
		e.source.counters.invalid.Add(1)
		e.source.reportInvalid(m.watcher.resource.plural+" "+m.name.Namespace+"/"+m.name.Name, "it cannot be read, and what it said before stays: "+v.err.Error())
	}
}

func (e *engine) putPod(m *message, item *podItem) {
	e.intern.pod(&item.state)
	m.name.Namespace = item.state.Namespace
	if item.invalid > 0 {
		e.source.counters.invalid.Add(uint64(item.invalid))
		e.source.reportInvalid("pod "+m.name.Namespace+"/"+m.name.Name, fmt.Sprintf("%d of its addresses are none and are left out", item.invalid))
	}
	if had, ok := e.istiods[m.name]; item.istiod != nil && (!ok || had != *item.istiod) {
		e.istiods[m.name] = *item.istiod
		e.followRevision(item.istiod.revision)
		e.changedFacts()
	} else if item.istiod == nil && ok {
		delete(e.istiods, m.name)
		e.changedFacts()
	}
	e.pods.put(m, item)
}

// putNode drops what is no news: a node's status changes every few minutes.
func (e *engine) putNode(m *message, item *nodeItem) {
	old, known := e.nodes[m.name]
	e.nodes.put(m, *item)
	if known && reflect.DeepEqual(old.value, *item) {
		return
	}
	e.mark()
	e.pending.nodes.add(m.name)
	e.pending.facts = true
}

func (e *engine) putService(m *message, item *serviceItem) {
	if item.invalid > 0 {
		e.source.counters.invalid.Add(uint64(item.invalid))
	}
	old := e.services[m.name]
	e.services.put(m, *item)
	if old.value.gateway != nil || item.gateway != nil {
		e.changedGateways()
	}
	e.mark()
	e.pending.services.add(m.name)
}

func (e *engine) putSlice(m *message, item *sliceItem) {
	old, known := e.slices[m.name]
	if known && old.value.service != item.service {
		e.unlinkSlice(m.name, &old.value)
	}
	e.slices.put(m, *item)
	if item.service.Name == "" {
		return
	}
	if of := e.slicesOf[item.service]; !slices.Contains(of, m.name) {
		e.slicesOf[item.service] = append(of, m.name)
	}
	e.changedCounts(item.service)
}

func (e *engine) unlinkSlice(name topology.ObjectName, item *sliceItem) {
	left := slices.DeleteFunc(e.slicesOf[item.service], func(n topology.ObjectName) bool { return n == name })
	if e.slicesOf[item.service] = left; len(left) == 0 {
		delete(e.slicesOf, item.service)
	}
	e.changedCounts(item.service)
}

func (e *engine) changedCounts(service topology.ObjectName) {
	if s, ok := e.services[service]; ok && s.value.gateway != nil {
		e.changedGateways()
	}
	e.pending.counts.add(service)
}

// gone merges an object that is not there anymore.
func (e *engine) gone(m *message) {
	// A name may be in one table alone: each resource has its own.
	switch m.watcher.resource.plural {
	case "pods":
		if _, ok := e.istiods[m.name]; ok {
			delete(e.istiods, m.name)
			e.changedFacts()
		}
		e.pods.drop(m)
	case "workloadentries":
		e.entries.drop(m)
	case "nodes":
		if e.nodes.drop(m.name) {
			e.goneNode(m.name)
		}
	case "services":
		if e.services.drop(m.name) {
			e.goneService(m.name)
		}
	case "endpointslices":
		if old, ok := e.slices[m.name]; ok {
			e.slices.drop(m.name)
			e.unlinkSlice(m.name, &old.value)
		}
	case "serviceentries":
		if e.serviceEntries.drop(m.name) {
			e.goneService(m.name)
		}
	default:
		e.goneSmall(m.watcher.resource.plural, m.name)
	}
}

func (e *engine) goneSmall(plural string, name topology.ObjectName) {
	switch plural {
	case "destinationrules":
		if e.failovers.drop(name) {
			e.mark()
			e.pending.failovers = true
		}
	case "gateways":
		if e.gateways.drop(name) {
			e.changedGateways()
		}
	case "mutatingwebhookconfigurations":
		if e.tags.drop(name) {
			e.changedFacts()
		}
	case "namespaces":
		e.network = ""
		e.changedNetworks()
	case "configmaps":
		e.missMesh(name)
		if e.meshes.drop(name) {
			e.changedNetworks()
		}
	}
}

func (e *engine) goneNode(name topology.ObjectName) {
	e.mark()
	e.pending.nodes.add(name)
	e.pending.facts = true
}

func (e *engine) goneService(name topology.ObjectName) {
	e.mark()
	e.pending.services.add(name)
	e.pending.gateways = true
}

// sweep removes what a listing did not bring.
func (e *engine) sweep(m *message) {
	resource := &m.watcher.resource
	switch resource.plural {
	case "pods":
		e.pods.sweep(m)
		for name := range e.istiods {
			if _, ok := e.pods.rows[name]; !ok {
				delete(e.istiods, name)
				e.changedFacts()
			}
		}
	case "workloadentries":
		e.entries.sweep(m)
	case "nodes":
		for _, name := range e.nodes.sweep(m.listing) {
			e.goneNode(name)
		}
	case "services":
		for _, name := range e.services.sweep(m.listing) {
			e.goneService(name)
		}
	case "serviceentries":
		for _, name := range e.serviceEntries.sweep(m.listing) {
			e.goneService(name)
		}
	case "endpointslices":
		for name, row := range e.slices {
			if row.listing != m.listing {
				delete(e.slices, name)
				e.unlinkSlice(name, &row.value)
			}
		}
	default:
		e.sweepSmall(m)
	}
}

func (e *engine) sweepSmall(m *message) {
	var gone []topology.ObjectName
	switch m.watcher.resource.plural {
	case "destinationrules":
		gone = e.failovers.stale(m.listing)
	case "gateways":
		gone = e.gateways.stale(m.listing)
	case "mutatingwebhookconfigurations":
		gone = e.tags.stale(m.listing)
	case "namespaces":
		if e.networkListing != m.listing {
			gone = []topology.ObjectName{{}}
		}
	case "configmaps":
		// Each watcher has one name.
		name := nameOfMesh(&m.watcher.resource)
		if row, ok := e.meshes[name]; ok && row.listing != m.listing {
			gone = append(gone, name)
		}
		if e.meshListing != m.listing {
			e.missMesh(name)
		}
	}
	for _, name := range gone {
		e.goneSmall(m.watcher.resource.plural, name)
	}
}
