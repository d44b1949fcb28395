// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// podItem is what is left of a pod.
type podItem struct {
	state topology.PodState
	// ended says that the pod gave up its addresses, between earliest and latest.
	ended            bool
	earliest, latest time.Time
	// ending is the earliest moment at which a pod that is being deleted may have given up its addresses; else zero.
	ending time.Time
	// istiod is set for a pod of Istio's control plane.
	istiod *istiod
	// invalid counts what is no address.
	invalid int
}

// containerDiscovery is istiod's container.
const containerDiscovery = "discovery"

// istiod is a control plane's pod.
type istiod struct{ revision, version string }

// trimPod takes from a pod what places an end of a call.
func trimPod(pod *corev1.Pod, observed time.Time, systemNamespace string) podItem {
	owner, kind := ownerOf(&pod.ObjectMeta)
	workload := workloadName(pod.Labels, owner)
	item := podItem{state: topology.PodState{
		UID:            uidOf(string(pod.UID)),
		Namespace:      pod.Namespace,
		Workload:       workload,
		Kind:           kind,
		Service:        canonicalService(pod.Labels, workload),
		Version:        canonicalRevision(pod.Labels),
		ServiceAccount: pod.Spec.ServiceAccountName,
		HostNetwork:    pod.Spec.HostNetwork,
		Waypoint:       pod.Labels[labelGatewayManaged] == meshController || pod.Labels[labelGatewayClass] == waypointClass,
	}}
	state := &item.state
	state.Name = pod.Name
	if workload == owner {
		// Else the name is one that several owners may share.
		state.Revision = templateRevision(pod.Labels, kind)
	}
	state.Node = pod.Spec.NodeName
	state.Network = pod.Labels[labelNetwork]
	state.Region, state.Zone = podLocality(pod.Labels)
	if finished(&pod.Status) {
		item.ended = true
		item.earliest, item.latest = finishedBetween(&pod.Status, observed)
		return item
	}
	if !pod.DeletionTimestamp.IsZero() {
		item.ending, _ = deletedBetween(&pod.ObjectMeta, observed)
	}
	state.Addresses, item.invalid = podAddresses(&pod.Status)
	if len(state.Addresses) > 0 {
		state.Since, state.Seen = heldSince(&pod.Status, observed)
	}
	if pod.Namespace == systemNamespace && pod.Labels[labelApp] == "istiod" {
		item.istiod = trimIstiod(pod)
	}
	return item
}

func podAddresses(status *corev1.PodStatus) (_ []netip.Addr, invalid int) {
	var set addressSet
	if len(status.PodIPs) > 0 {
		set.list = make([]netip.Addr, 0, len(status.PodIPs))
	}
	for i := range status.PodIPs {
		set.add(status.PodIPs[i].IP)
	}
	if len(status.PodIPs) == 0 {
		set.add(status.PodIP)
	}
	return set.list, set.bad
}

// trimIstiod returns revision and version of a control plane. The version is the tag of its image, without the variant.
func trimIstiod(pod *corev1.Pod) *istiod {
	d := &istiod{revision: pod.Labels[labelRevision]}
	if d.revision == "" {
		d.revision = "default"
	}
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; c.Name == containerDiscovery {
			d.version = imageVersion(c.Image)
		}
	}
	return d
}

// imageVersion returns the tag of an image, "1.27.1" of "registry:5000/istio/pilot:1.27.1-distroless@sha256:…".
func imageVersion(image string) string {
	image, _, _ = strings.Cut(image, "@")
	image = image[strings.LastIndexByte(image, '/')+1:]
	_, tag, _ := strings.Cut(image, ":")
	for _, variant := range []string{"-distroless", "-debug"} {
		tag = strings.TrimSuffix(tag, variant)
	}
	return tag
}
