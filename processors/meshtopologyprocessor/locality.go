// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"cmp"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

const (
	// localityPeriod is how often the same pod is reported at most, and maxLocalities how many pods are remembered.
	localityPeriod = 10 * time.Minute
	maxLocalities  = 4096
)

// podID names a pod that a processor reported.
type podID struct {
	processor                component.ID
	cluster, namespace, name string
}

// checkLocality compares the locality that the proxy told of itself with what the topology knows of its pod. It changes
// no verdict: the mesh.* attributes follow the topology in any case. zone is the one on a span of the proxy; the envoy
// receiver puts region and zone of the stream's node on the resource.
func (b *batch) checkLocality(res *resourceReading, zone string) {
	near, region := &b.reported.near, ""
	if res.reporter.PeerMetadata {
		region, zone = res.reporter.Region, cmp.Or(res.reporter.Zone, zone)
	}
	if !near.Elsewhere(region, zone) {
		return
	}
	b.tally.localities++
	if b.m.findings == nil {
		return
	}
	pod := podID{b.m.id, near.End.Cluster, near.End.Namespace, near.PodName}
	if !b.m.localities.allow(pod, b.now) {
		return
	}
	node := "not known"
	if near.Pod.Node != nil {
		node = near.Pod.Node.Name
	}
	b.m.findings.ReportFinding(topology.Finding{
		Kind:    topology.KindProxyLocality,
		Cluster: pod.cluster,
		Subject: "pod " + pod.namespace + "/" + pod.name,
		Detail: fmt.Sprintf("the proxy says that it is in region %q, zone %q; by the topology the pod (node: %s) is in region %q, zone %q. "+
			"Istio prefers near endpoints by the proxy's, mesh.* attributes follow the topology. Check the pod's label istio-locality "+
			"(topology.istio.io/locality), the node's labels topology.kubernetes.io/region and zone, and whether the proxy reads its node's instance metadata",
			clip(region), clip(zone), node, near.End.Region, near.End.Zone),
		At: b.now,
	})
}

// clip keeps foreign text short.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
