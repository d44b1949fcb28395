// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"slices"

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
}

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
		if ref := e.TargetRef; ref != nil && ref.Kind == "Pod" && ref.Name != "" && (item.pod == "" || ready) {
			item.pod = ref.Name
		}
	}
	return item
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
