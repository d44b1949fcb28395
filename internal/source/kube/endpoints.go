// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// sliceItem is what is left of an EndpointSlice: how many endpoints each zone has.
type sliceItem struct {
	service topology.ObjectName
	// zones are as the slice has them: without the region they cannot be normalized.
	zones []topology.ZoneEndpoints
	// family is the address type.
	family string
	// pod is one of the pods behind it, by which the workload of a gateway is known.
	pod string
	// groups are the pods behind it by what their names begin with, which is their owner's. others says that there are endpoints that
	// are no pods, or more groups than are kept.
	groups []podGroup
	others bool
}

// podGroup are pods of one owner: the name of one of them, and how many they are.
type podGroup struct {
	pod string
	n   int
}

// maxGroups is how many owners a slice may have whose pods count.
const maxGroups = 16

func trimSlice(slice *discoveryv1.EndpointSlice) sliceItem {
	item := sliceItem{family: string(slice.AddressType), service: topology.ObjectName{Namespace: slice.Namespace, Name: slice.Labels[labelServiceName]}}
	if item.service.Name == "" {
		return item
	}
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		var zone string
		if e.Zone != nil {
			zone = *e.Zone
		}
		// An unknown condition counts as ready, by the API's own rule.
		ready := e.Conditions.Ready == nil || *e.Conditions.Ready
		ending := e.Conditions.Terminating != nil && *e.Conditions.Terminating
		item.zones = addEndpoints(item.zones, zone, ready, ending)
		if ref := e.TargetRef; ref != nil && ref.Kind == "Pod" && ref.Name != "" {
			if item.pod == "" || ready {
				item.pod = ref.Name
			}
			item.group(ref.Name)
		} else {
			item.others = true
		}
	}
	return item
}

// group takes in a pod. The first one of an owner stands for the others, which are made from its template, or from the one before.
func (s *sliceItem) group(pod string) {
	owner := pod[:strings.LastIndexByte(pod, '-')+1]
	for i := range s.groups {
		if g := &s.groups[i]; strings.HasPrefix(g.pod, owner) && strings.LastIndexByte(g.pod, '-')+1 == len(owner) {
			g.n++
			return
		}
	}
	if len(s.groups) >= maxGroups {
		s.others = true
		return
	}
	s.groups = append(s.groups, podGroup{strings.Clone(pod), 1})
}

// canonical returns the canonical service of all pods behind a service, if it is not the service's name; empty if it is, if they differ,
// and if nobody knows. While there are no pods, or one that is not known yet, it is as before.
func (e *engine) canonical(service topology.ObjectName) string {
	canonical, unknown := "", false
	for _, name := range e.slicesOf[service] {
		slice := e.slices[name].value
		if slice.others {
			return ""
		}
		for _, g := range slice.groups {
			row, known := e.pods.rows[topology.ObjectName{Namespace: service.Namespace, Name: g.pod}]
			if !known {
				unknown = true
				continue
			}
			of := row.service.Value()
			// A pod without an owner says nothing of others that are named alike.
			if g.n > 1 && row.workload.Value() == g.pod || canonical != "" && canonical != of {
				return ""
			}
			canonical = of
		}
	}
	switch {
	case unknown || canonical == "":
		return e.told.canonical[service]
	case canonical == service.Name:
		return ""
	}
	return canonical
}

func addEndpoints(zones []topology.ZoneEndpoints, zone string, ready, ending bool) []topology.ZoneEndpoints {
	count := topology.ZoneEndpoints{Zone: zone, Total: 1}
	if ready {
		count.Ready = 1
	}
	if ending {
		count.Ending = 1
	}
	return mergeEndpoints(zones, count)
}

func mergeEndpoints(zones []topology.ZoneEndpoints, count topology.ZoneEndpoints) []topology.ZoneEndpoints {
	for i := range zones {
		if zones[i].Zone == count.Zone {
			zones[i].Ready += count.Ready
			zones[i].Total += count.Total
			zones[i].Ending += count.Ending
			return zones
		}
	}
	return append(zones, count)
}

func sortEndpoints(zones []topology.ZoneEndpoints) {
	slices.SortFunc(zones, func(a, b topology.ZoneEndpoints) int { return cmp.Compare(a.Zone, b.Zone) })
}
