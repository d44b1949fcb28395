// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

func (p *page) pod(s *topology.PodState) {
	p.row = p.appendPod(p.row[:0], s)
	p.end(inventoryPods)
}

func (p *page) past(s *PastPod) {
	b := p.appendPod(p.row[:0], &s.PodState)
	b = p.bounds(b, podEarliest, podLatest, s.Earliest, s.Latest)
	p.row = appendBool(b, podGap, s.Gap)
	p.end(inventoryPastPods)
}

func (p *page) appendPod(b []byte, s *topology.PodState) []byte {
	b = appendUint(b, podWorkload, p.workload(workloadKey{
		s.Namespace, s.Workload, s.Kind, s.Service, s.Version, s.ServiceAccount, s.Waypoint, s.Revision,
	}))
	b = p.podName(b, podNamePrefix, podNameSuffix, s.Name)
	b = appendUID(b, podUID, &s.UID)
	b = p.addresses(b, podAddresses, s.Addresses)
	b = appendUint(b, podNode, p.index(s.Node))
	b = appendUint(b, podNetwork, p.index(s.Network))
	b = appendUint(b, podRegion, p.index(s.Region))
	b = appendUint(b, podZone, p.index(s.Zone))
	b = appendBool(b, podHostNetwork, s.HostNetwork)
	b = appendBool(b, podUnseen, s.Unseen)
	return p.bounds(b, podSince, podSeen, s.Since, s.Seen)
}

func (p *page) gonePod(s *topology.PodEnd) {
	b := appendUint(p.row[:0], endNamespace, p.index(s.Namespace))
	b = p.podName(b, endNamePrefix, endNameSuffix, s.Name)
	b = appendUID(b, endUID, &s.UID)
	b = p.bounds(b, endEarliest, endLatest, s.Earliest, s.Latest)
	p.row = appendBool(b, endGap, s.Gap)
	p.end(inventoryGonePods)
}

func (p *page) node(s *topology.NodeSpec) {
	b := appendUint(p.row[:0], nodeName, p.index(s.Name))
	b = appendUint(b, nodeZone, p.index(s.Zone))
	b = appendUint(b, nodeRegion, p.index(s.Region))
	p.row = p.addresses(b, nodeAddresses, s.Addresses)
	p.end(inventoryNodes)
}

func (p *page) goneNode(name *string) {
	p.row = append(p.row[:0], p.text(*name)...)
	p.end(inventoryGoneNodes)
}

func (p *page) service(s *topology.ServiceSpec) {
	b := appendUint(p.row[:0], serviceNamespace, p.index(s.Namespace))
	b = appendString(b, serviceName, p.text(s.Name))
	b = p.addresses(b, serviceAddresses, s.Addresses)
	if len(s.Ports) > 0 {
		packed := p.inner[:0]
		for _, port := range s.Ports {
			packed = protowire.AppendVarint(packed, uint64(port))
		}
		p.inner = packed
		b = appendBytes(b, servicePorts, packed)
	}
	b = p.texts(b, serviceHosts, s.Hosts)
	b = appendBool(b, serviceExternal, s.External)
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		zone := appendUint(p.inner[:0], endpointsZone, p.index(e.Zone))
		zone = appendUint(zone, endpointsReady, uint64(e.Ready))
		zone = appendUint(zone, endpointsTotal, uint64(e.Total))
		p.inner = appendUint(zone, endpointsEnding, uint64(e.Ending))
		b = appendBytes(b, serviceEndpoints, p.inner)
	}
	b = appendBool(b, serviceEndpointsKnown, s.Endpoints != nil)
	b = appendBool(b, serviceEndingKnown, s.EndingKnown)
	p.row = appendUint(b, serviceCanonical, p.index(s.Canonical))
	p.end(inventoryServices)
}

func (p *page) goneService(s *topology.ObjectName) {
	b := appendUint(p.row[:0], objectNamespace, p.index(s.Namespace))
	p.row = appendString(b, objectName, p.text(s.Name))
	p.end(inventoryGoneServices)
}

// gateway wraps each gateway into a list of its own: protobuf merges the lists of a message.
func (p *page) gateway(s *topology.GatewaySpec) {
	b := appendUint(p.inner[:0], gatewayNamespace, p.index(s.Namespace))
	b = appendString(b, gatewayName, p.text(s.Name))
	b = p.addresses(b, gatewayAddresses, s.Addresses)
	b = appendUint(b, gatewayPort, uint64(s.Port))
	b = appendUint(b, gatewayNetwork, p.index(s.Network))
	p.inner = appendBool(b, gatewayRemote, s.Remote)
	p.row = appendBytes(p.row[:0], listItems, p.inner)
	p.end(inventoryGateways)
}

func (p *page) failover(s *topology.FailoverSpec) {
	b := appendUint(p.inner[:0], failoverNamespace, p.index(s.Namespace))
	b = appendString(b, failoverName, p.text(s.Name))
	b = appendString(b, failoverHost, p.text(s.Host))
	b = p.texts(b, failoverFrom, s.From)
	b = p.texts(b, failoverTo, s.To)
	b = p.texts(b, failoverPriority, s.Priority)
	b = appendBool(b, failoverDisabled, s.Disabled)
	p.inner = appendBool(b, failoverOutlierDetection, s.OutlierDetection)
	p.row = appendBytes(p.row[:0], listItems, p.inner)
	p.end(inventoryFailovers)
}

func (p *page) facts(f *topology.ClusterFacts) {
	b := appendString(p.row[:0], factsUID, p.text(f.UID))
	b = appendString(b, factsRegion, p.text(f.Region))
	b = p.texts(b, factsZones, f.Zones)
	b = appendString(b, factsProvider, p.text(f.Provider))
	b = appendString(b, factsPlatform, p.text(f.Platform))
	b = appendString(b, factsNetwork, p.text(f.Network))
	b = appendString(b, factsMeshID, p.text(f.MeshID))
	b = appendString(b, factsTrustDomain, p.text(f.TrustDomain))
	b = appendString(b, factsKubernetesVersion, p.text(f.KubernetesVersion))
	for i := range f.Istio {
		r := &f.Istio[i]
		revision := appendString(p.inner[:0], revisionRevision, p.text(r.Revision))
		revision = appendString(revision, revisionVersion, p.text(r.Version))
		p.inner = p.texts(revision, revisionTags, r.Tags)
		b = appendBytes(b, factsIstio, p.inner)
	}
	for _, prefix := range f.PodCIDRs {
		if !prefix.IsValid() {
			p.counters.Altered++
			continue
		}
		b = appendBytes(b, factsPodCIDRs, append(prefix.Addr().AsSlice(), byte(prefix.Bits())))
	}
	p.row = b
	p.end(inventoryFacts)
}
