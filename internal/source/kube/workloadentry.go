// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// trimWorkloadEntry makes a pod of a WorkloadEntry: a virtual machine is one workload at one address. An address that is
// a name or a socket stays unknown.
func trimWorkloadEntry(entry *workloadEntry, observed time.Time) podItem {
	workload := entry.Annotations[annotationAutoGroup]
	if workload == "" {
		workload = workloadName(entry.Labels, entry.Name)
	}
	labels := entry.Spec.Labels
	if len(labels) == 0 {
		labels = entry.Labels
	}
	item := podItem{state: topology.PodState{
		UID:            uidOf(string(entry.UID)),
		Namespace:      entry.Namespace,
		Workload:       workload,
		Kind:           kindWorkloadEntry,
		Service:        canonicalService(labels, workload),
		Version:        canonicalRevision(labels),
		ServiceAccount: entry.Spec.ServiceAccount,
	}}
	item.state.Name = entry.Name
	item.state.Network = entry.Spec.Network
	if item.state.Network == "" {
		item.state.Network = labels[labelNetwork]
	}
	item.state.Region, item.state.Zone = entryLocality(&entry.Spec)
	var set addressSet
	set.add(entry.Spec.Address)
	item.state.Addresses = set.list
	if len(set.list) > 0 {
		// The entry is as old as its object. The machine may have had the address before, but nobody knew.
		item.state.Since = earlier(entry.CreationTimestamp.Time, observed)
		item.state.Seen = earlier(item.state.Since.Add(granularity), observed)
	}
	return item
}

func entryLocality(spec *entrySpec) (region, zone string) {
	if spec.Locality != "" {
		return splitLocality(spec.Locality)
	}
	return podLocality(spec.Labels)
}
