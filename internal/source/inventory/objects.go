// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// pod reads a pod; past is nil for one that holds its addresses.
func (d *decoder) pod(b []byte, s *topology.PodState, past *PastPod) error {
	var prefix string
	var suffix []byte
	var since, seen, earliest, latest moment
	var gap bool
	err := fields(b, func(f field) error {
		switch f.num {
		case podWorkload:
			return d.workloadOf(s, f)
		case podNamePrefix:
			return d.index(&prefix, f, "name_prefix")
		case podNameSuffix:
			return f.raw(&suffix, "name_suffix")
		case podUID:
			return f.uid(&s.UID)
		case podAddresses:
			return f.addresses(&s.Addresses)
		case podNode:
			return d.index(&s.Node, f, "node")
		case podNetwork:
			return d.index(&s.Network, f, "network")
		case podRegion:
			return d.index(&s.Region, f, "region")
		case podZone:
			return d.index(&s.Zone, f, "zone")
		case podHostNetwork:
			return f.bool(&s.HostNetwork)
		case podSince:
			return f.moment(&since)
		case podSeen:
			return f.moment(&seen)
		case podEarliest:
			return f.moment(&earliest)
		case podLatest:
			return f.moment(&latest)
		case podGap:
			return f.bool(&gap)
		case podUnseen:
			return f.bool(&s.Unseen)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Name = prefix + string(suffix)
	if s.Since, s.Seen, err = d.bounds(since, seen, "since_ms"); err != nil || past == nil {
		return err
	}
	past.Gap = gap
	past.Earliest, past.Latest, err = d.bounds(earliest, latest, "earliest_ms")
	return err
}

func (d *decoder) workloadOf(s *topology.PodState, f field) error {
	if f.typ != protowire.VarintType {
		return nil
	}
	var w workloadKey
	if i := uint32(f.value); i > 0 {
		if int64(i) > int64(len(d.workloads)) {
			return fmt.Errorf(".workload: workload %d of a table of %d", i, len(d.workloads))
		}
		w = d.workloads[i-1]
	}
	s.Namespace, s.Workload, s.Kind = w.namespace, w.name, w.kind
	s.Service, s.Version, s.ServiceAccount, s.Waypoint = w.service, w.version, w.serviceAccount, w.waypoint
	s.Revision = w.revision
	return nil
}

func (d *decoder) gonePod(b []byte) error {
	var end topology.PodEnd
	var prefix string
	var suffix []byte
	var earliest, latest moment
	err := fields(b, func(f field) error {
		switch f.num {
		case endNamespace:
			return d.index(&end.Namespace, f, "namespace")
		case endNamePrefix:
			return d.index(&prefix, f, "name_prefix")
		case endNameSuffix:
			return f.raw(&suffix, "name_suffix")
		case endUID:
			return f.uid(&end.UID)
		case endEarliest:
			return f.moment(&earliest)
		case endLatest:
			return f.moment(&latest)
		case endGap:
			return f.bool(&end.Gap)
		}
		return nil
	})
	if err != nil {
		return err
	}
	end.Name = prefix + string(suffix)
	end.Earliest, end.Latest, err = d.bounds(earliest, latest, "earliest_ms")
	d.update.GonePods = append(d.update.GonePods, end)
	return err
}

func (d *decoder) node(b []byte) error {
	var s topology.NodeSpec
	err := fields(b, func(f field) error {
		switch f.num {
		case nodeName:
			return d.index(&s.Name, f, "name")
		case nodeZone:
			return d.index(&s.Zone, f, "zone")
		case nodeRegion:
			return d.index(&s.Region, f, "region")
		case nodeAddresses:
			return f.addresses(&s.Addresses)
		}
		return nil
	})
	d.update.Nodes = append(d.update.Nodes, s)
	return err
}

func (d *decoder) service(b []byte) error {
	var s topology.ServiceSpec
	known := false
	err := fields(b, func(f field) error {
		switch f.num {
		case serviceNamespace:
			return d.index(&s.Namespace, f, "namespace")
		case serviceName:
			return f.text(&s.Name, "name")
		case serviceAddresses:
			return f.addresses(&s.Addresses)
		case servicePorts:
			return f.ports(&s.Ports)
		case serviceHosts:
			return f.texts(&s.Hosts, "hosts")
		case serviceExternal:
			return f.bool(&s.External)
		case serviceEndpoints:
			return d.endpoints(&s, f)
		case serviceEndpointsKnown:
			return f.bool(&known)
		case serviceEndingKnown:
			return f.bool(&s.EndingKnown)
		case serviceCanonical:
			return d.index(&s.Canonical, f, "canonical")
		}
		return nil
	})
	if known && s.Endpoints == nil {
		s.Endpoints = []topology.ZoneEndpoints{}
	}
	d.update.Services = append(d.update.Services, s)
	return err
}

func (d *decoder) endpoints(s *topology.ServiceSpec, f field) error {
	if f.typ != protowire.BytesType {
		return nil
	}
	var e topology.ZoneEndpoints
	err := fields(f.bytes, func(f field) error {
		switch f.num {
		case endpointsZone:
			return d.index(&e.Zone, f, "endpoints.zone")
		case endpointsReady:
			return f.uint32(&e.Ready)
		case endpointsTotal:
			return f.uint32(&e.Total)
		case endpointsEnding:
			return f.uint32(&e.Ending)
		}
		return nil
	})
	s.Endpoints = append(s.Endpoints, e)
	return err
}

func (d *decoder) goneService(b []byte) error {
	var s topology.ObjectName
	err := fields(b, func(f field) error {
		switch f.num {
		case objectNamespace:
			return d.index(&s.Namespace, f, "namespace")
		case objectName:
			return f.text(&s.Name, "name")
		}
		return nil
	})
	d.update.GoneServices = append(d.update.GoneServices, s)
	return err
}

func (d *decoder) gateway(b []byte) error {
	var s topology.GatewaySpec
	err := fields(b, func(f field) error {
		switch f.num {
		case gatewayNamespace:
			return d.index(&s.Namespace, f, "namespace")
		case gatewayName:
			return f.text(&s.Name, "name")
		case gatewayAddresses:
			return f.addresses(&s.Addresses)
		case gatewayPort:
			if f.typ != protowire.VarintType {
				return nil
			}
			port, err := asPort(f.value)
			if err != nil {
				return fmt.Errorf(".port: %w", err)
			}
			s.Port = port
		case gatewayNetwork:
			return d.index(&s.Network, f, "network")
		case gatewayRemote:
			return f.bool(&s.Remote)
		}
		return nil
	})
	d.update.Gateways = append(d.update.Gateways, s)
	return err
}

func (d *decoder) failover(b []byte) error {
	var s topology.FailoverSpec
	err := fields(b, func(f field) error {
		switch f.num {
		case failoverNamespace:
			return d.index(&s.Namespace, f, "namespace")
		case failoverName:
			return f.text(&s.Name, "name")
		case failoverHost:
			return f.text(&s.Host, "host")
		case failoverFrom:
			return f.texts(&s.From, "from")
		case failoverTo:
			return f.texts(&s.To, "to")
		case failoverPriority:
			return f.texts(&s.Priority, "priority")
		case failoverDisabled:
			return f.bool(&s.Disabled)
		case failoverOutlierDetection:
			return f.bool(&s.OutlierDetection)
		}
		return nil
	})
	d.update.Failovers = append(d.update.Failovers, s)
	return err
}

// facts reads the cluster's facts.
func (d *decoder) facts(b []byte) error {
	if d.update.Facts == nil {
		d.update.Facts = &topology.ClusterFacts{}
	}
	s := d.update.Facts
	return fields(b, func(f field) error {
		switch f.num {
		case factsUID:
			return f.text(&s.UID, "uid")
		case factsRegion:
			return f.text(&s.Region, "region")
		case factsZones:
			return f.texts(&s.Zones, "zones")
		case factsProvider:
			return f.text(&s.Provider, "provider")
		case factsPlatform:
			return f.text(&s.Platform, "platform")
		case factsNetwork:
			return f.text(&s.Network, "network")
		case factsMeshID:
			return f.text(&s.MeshID, "mesh_id")
		case factsTrustDomain:
			return f.text(&s.TrustDomain, "trust_domain")
		case factsKubernetesVersion:
			return f.text(&s.KubernetesVersion, "kubernetes_version")
		case factsIstio:
			return d.revision(s, f)
		case factsPodCIDRs:
			return f.prefixes(&s.PodCIDRs)
		}
		return nil
	})
}

func (d *decoder) revision(s *topology.ClusterFacts, f field) error {
	if f.typ != protowire.BytesType {
		return nil
	}
	if len(s.Istio) >= MaxItems {
		return fmt.Errorf(".istio: more than %d", MaxItems)
	}
	var r topology.IstioRevision
	err := fields(f.bytes, func(f field) error {
		switch f.num {
		case revisionRevision:
			return f.text(&r.Revision, "istio.revision")
		case revisionVersion:
			return f.text(&r.Version, "istio.version")
		case revisionTags:
			return f.texts(&r.Tags, "istio.tags")
		}
		return nil
	})
	s.Istio = append(s.Istio, r)
	return err
}
