// SPDX-License-Identifier: Apache-2.0

// Package bootstrap writes each Envoy's static configuration in Istio's shapes: the same node, cluster, listener and
// route names, the same transport sockets, locality priorities, tracing tags and metrics that istiod and the sidecar
// injector would give it. Configuration is plain Go maps, marshaled to JSON, so that it reads like Envoy's own
// documentation and `envoy --mode validate` is the judge of it.
package bootstrap

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
)

type (
	m = map[string]any
	l = []any
)

// Agent is where one cluster's proxies send telemetry, as "ip:port".
type Agent struct {
	// OTLP receives OTLP over gRPC: traces of every proxy and, in northeurope, access logs.
	OTLP string
	// ALS receives Envoy's access log service and metrics service (the `envoy` receiver).
	ALS string
}

// Params is what one Envoy's configuration depends on, besides the layout.
type Params struct {
	Pod layout.Pod
	// CertDir is where layout.WriteCerts put the certificates.
	CertDir string
	Agent   Agent
}

// JSON returns the pod's complete bootstrap configuration, indented.
func JSON(p Params) ([]byte, error) {
	otlp, err := parseAddress(p.Agent.OTLP)
	if err != nil {
		return nil, fmt.Errorf("agent OTLP address of %s: %w", p.Pod.Cluster.Name, err)
	}
	als, err := parseAddress(p.Agent.ALS)
	if err != nil {
		return nil, fmt.Errorf("agent ALS address of %s: %w", p.Pod.Cluster.Name, err)
	}
	clusters := l{agentCluster(otlpCluster, otlp), agentCluster(alsCluster, als), adminCluster(p.Pod)}
	listeners := l{prometheusListener(p.Pod)}
	config := m{
		"node":             node(p.Pod),
		"admin":            m{"address": socket(p.Pod.IP, layout.PortAdmin)},
		"stats_config":     statsConfig(),
		"cluster_manager":  m{"upstream_bind_config": bind(p.Pod.IP)},
		"overload_manager": overload(),
	}
	switch p.Pod.Kind {
	case layout.Sidecar:
		config["bootstrap_extensions"] = l{statNamespace()}
		clusters = append(clusters, outboundClusters(p)...)
		clusters = append(clusters, inboundCluster(p.Pod))
		listeners = append(listeners, inboundListener(p), outboundListener(p))
	case layout.Ingress:
		config["stats_sinks"], config["stats_flush_interval"] = l{metricsSink()}, "5s"
		clusters = append(clusters, outboundClusters(p)...)
		listeners = append(listeners, ingressListener(p))
	case layout.EastWest:
		config["stats_sinks"], config["stats_flush_interval"] = l{metricsSink()}, "5s"
		clusters = append(clusters, passthroughClusters(p.Pod)...)
		listeners = append(listeners, eastWestListener(p))
	}
	config["static_resources"] = m{"clusters": clusters, "listeners": listeners}
	return json.MarshalIndent(config, "", "  ")
}

// node is Envoy's node as pilot-agent fills it in.
func node(p layout.Pod) m {
	labels := m{
		"app": p.Service, "version": p.Version,
		"service.istio.io/canonical-name":     p.Service,
		"service.istio.io/canonical-revision": p.Version,
		"security.istio.io/tlsMode":           "istio",
	}
	if p.Kind != layout.Sidecar {
		// A gateway's pods carry no version label; Istio's canonical revision then is "latest".
		delete(labels, "version")
		labels["istio"] = p.Service[len("istio-"):]
		labels["topology.istio.io/network"] = p.Cluster.Network
	}
	return m{
		"id":      p.NodeID(),
		"cluster": p.NodeCluster(),
		// Azure's metadata service names the zone by its number alone, unlike the node's label "westeurope-1".
		"locality": m{"region": p.Cluster.Region, "zone": p.Zone},
		"metadata": m{
			"NAME": p.Name, "NAMESPACE": p.Namespace,
			"CLUSTER_ID": p.Cluster.Name, "MESH_ID": layout.MeshID, "NETWORK": p.Cluster.Network,
			"OWNER":         "kubernetes://apis/apps/v1/namespaces/" + p.Namespace + "/deployments/" + p.Workload,
			"WORKLOAD_NAME": p.Workload, "SERVICE_ACCOUNT": p.ServiceAccount,
			"LABELS": labels, "ISTIO_VERSION": layout.IstioVersion, "INSTANCE_IPS": p.IP,
			"NODE_NAME": p.Node, "INTERCEPTION_MODE": "REDIRECT",
			"PROXY_CONFIG": m{"serviceCluster": p.NodeCluster(), "discoveryAddress": "istiod.istio-system.svc:15012"},
			"PLATFORM_METADATA": m{
				"azure_location": p.Cluster.Region, "azure_zone": p.Zone, "azure_name": p.Node,
			},
		},
	}
}

// ext is a typed extension: name and configuration.
func ext(name, typ string, config m) m {
	return m{"name": name, "typed_config": typed(typ, config)}
}

func typed(typ string, config m) m {
	out := m{"@type": "type.googleapis.com/" + typ}
	maps.Copy(out, config)
	return out
}

// overload bounds the connections from callers, without which Envoy warns at every start.
func overload() m {
	return m{"resource_monitors": l{ext("envoy.resource_monitors.global_downstream_max_connections",
		"envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
		m{"max_active_downstream_connections": 10000})}}
}

func socket(ip string, port int) m {
	return m{"socket_address": m{"address": ip, "port_value": port}}
}

// bind makes upstream connections start from the pod's own address, so that the peer sees the pod and not 127.0.0.1.
func bind(ip string) m { return m{"source_address": m{"address": ip, "port_value": 0}} }

func endpoint(ip string, port int) m { return m{"endpoint": m{"address": socket(ip, port)}} }

func merge(parts ...m) m {
	out := m{}
	for _, part := range parts {
		maps.Copy(out, part)
	}
	return out
}
