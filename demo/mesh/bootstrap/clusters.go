// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"fmt"
	"net/netip"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
)

// The agent's clusters, named as istiod names the cluster of a telemetry provider's service.
const (
	otlpCluster = "outbound|4317||otelcol-agent.observability.svc.cluster.local"
	alsCluster  = "outbound|18090||otelcol-agent.observability.svc.cluster.local"
	adminName   = "prometheus_stats"
	blackHole   = "BlackHoleCluster"
)

// demoMetadata is the endpoint and cluster metadata namespace that holds single fields of what Istio keeps in one
// string or in filter state: the stats logger has no way to split `istio:workload`.
const demoMetadata = "mesh.demo"

// istioALPN is what an Istio sidecar offers for HTTP/1.1 inside mutual TLS.
var istioALPN = l{"istio-http/1.1", "istio", "http/1.1"}

func parseAddress(s string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddrPort(s)
	if err != nil {
		return addr, fmt.Errorf("%q: write ip:port, for example 127.1.0.250:4317: %w", s, err)
	}
	return addr, nil
}

func agentCluster(name string, addr netip.AddrPort) m {
	return m{
		"name": name, "type": "STATIC", "connect_timeout": "5s",
		"load_assignment":                  m{"cluster_name": name, "endpoints": l{m{"lb_endpoints": l{endpoint(addr.Addr().String(), int(addr.Port()))}}}},
		"typed_extension_protocol_options": httpOptions(m{"explicit_http_config": m{"http2_protocol_options": m{}}}),
	}
}

func adminCluster(p layout.Pod) m {
	return m{
		"name": adminName, "type": "STATIC", "connect_timeout": "0.250s",
		"load_assignment": m{"cluster_name": adminName, "endpoints": l{m{"lb_endpoints": l{endpoint(p.IP, layout.PortAdmin)}}}},
	}
}

func httpOptions(options m) m {
	return m{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", options)}
}

// inboundCluster leads to the pod's own application. Istio binds it to 127.0.0.6, which is why an application never
// sees its caller's address.
func inboundCluster(p layout.Pod) m {
	name := fmt.Sprintf("inbound|%d||", layout.PortApp)
	return m{
		"name": name, "type": "STATIC", "connect_timeout": "5s",
		"upstream_bind_config":             bind("127.0.0.6"),
		"load_assignment":                  m{"cluster_name": name, "endpoints": l{m{"lb_endpoints": l{endpoint(p.IP, layout.PortAppLocal)}}}},
		"typed_extension_protocol_options": httpOptions(m{"explicit_http_config": m{"http_protocol_options": m{}}}),
		"metadata":                         m{"filter_metadata": m{"istio": m{"services": l{serviceMetadata(p)}}}},
	}
}

func serviceMetadata(p layout.Pod) m {
	return m{"name": p.Service, "namespace": p.Namespace, "host": p.Service + "." + p.Namespace + ".svc.cluster.local"}
}

// outboundClusters are the services as seen from one cluster: its own pods first, the other clusters' east/west
// gateways when those are gone.
func outboundClusters(p Params) []any {
	clusters := l{m{"name": blackHole, "type": "STATIC", "connect_timeout": "5s"}}
	for _, s := range layout.Services() {
		clusters = append(clusters, outboundCluster(p, s))
	}
	return clusters
}

func outboundCluster(p Params, s layout.Service) m {
	name := fmt.Sprintf("outbound|%d||%s", s.Port, s.Host())
	return m{
		"name": name,
		// The trailing semicolon is Istio's (1.23 and later): it delimits the name in the stat prefix.
		"alt_stat_name": name + ";",
		"type":          "STATIC", "connect_timeout": "5s", "lb_policy": "ROUND_ROBIN",
		"load_assignment":  m{"cluster_name": name, "endpoints": localities(p.Pod.Cluster, s)},
		"common_lb_config": m{"healthy_panic_threshold": m{"value": 0}, "locality_weighted_lb_config": m{}},
		"outlier_detection": m{
			// DestinationRule: splitExternalLocalOriginErrors, consecutiveLocalOriginFailures: 1, consecutive5xxErrors: 0.
			// Only a connection that fails ejects a pod: an application's 503 is an answer, not a dead pod.
			"split_external_local_origin_errors": true,
			"consecutive_local_origin_failure":   1, "enforcing_consecutive_local_origin_failure": 100,
			"enforcing_consecutive_5xx": 0, "enforcing_consecutive_gateway_failure": 0,
			"enforcing_success_rate": 0, "enforcing_local_origin_success_rate": 0, "enforcing_failure_percentage": 0,
			"interval": "1s", "base_ejection_time": "2s", "max_ejection_time": "4s", "max_ejection_percent": 100,
		},
		"typed_extension_protocol_options": httpOptions(m{
			"explicit_http_config": m{"http_protocol_options": m{}},
			// DestinationRule connectionPool.tcp.maxConnectionDuration: connections end often enough that the
			// east/west gateway's TCP access log and counters, written when a connection ends, follow the traffic.
			"common_http_protocol_options": m{"max_connection_duration": "5s"},
		}),
		"transport_socket": upstreamTLS(p, s),
		"metadata": m{"filter_metadata": m{
			"istio":      m{"services": l{m{"host": s.Host(), "name": s.Name, "namespace": s.Namespace}}},
			demoMetadata: m{"host": s.Host(), "name": s.Name, "namespace": s.Namespace},
		}},
	}
}

// localities lists the service's endpoints: priority 0 is every zone of the own region (failoverPriority:
// [topology.kubernetes.io/region]), priority 1 the other regions, each behind its east/west gateway.
func localities(from layout.Cluster, s layout.Service) []any {
	var out l
	for _, c := range layout.Clusters() {
		pods := c.PodsOf(s.Name)
		if len(pods) == 0 {
			continue
		}
		if c.Name != from.Name {
			out = append(out, remoteLocality(c, pods))
			continue
		}
		for _, p := range pods {
			out = append(out, m{
				"locality": m{"region": c.Region, "zone": p.ZoneLabel()}, "priority": 0, "load_balancing_weight": 1,
				"lb_endpoints": l{withMetadata(endpoint(p.IP, layout.PortApp), p.EndpointMetadata(), podFields(p))},
			})
		}
	}
	return out
}

// remoteLocality is what istiod makes of another network's pods: their locality, the gateway's address, and metadata
// in which only the cluster is left.
func remoteLocality(c layout.Cluster, pods []layout.Pod) m {
	gateway := c.PodsOf("istio-eastwestgateway")[0]
	// To the stats logger an empty field is Istio's "unknown"; only the cluster survives the gateway.
	fields := m{"cluster": c.Name}
	return m{
		"locality": m{"region": c.Region, "zone": pods[0].ZoneLabel()}, "priority": 1,
		"load_balancing_weight": len(pods),
		"lb_endpoints":          l{withMetadata(endpoint(gateway.IP, layout.PortEastWest), ";;;;"+c.Name, fields)},
	}
}

func podFields(p layout.Pod) m {
	return m{
		"workload": p.Workload, "namespace": p.Namespace, "service": p.Service, "version": p.Version, "cluster": p.Cluster.Name,
	}
}

func withMetadata(e m, istio string, fields m) m {
	return merge(e, m{"metadata": m{"filter_metadata": m{"istio": m{"workload": istio}, demoMetadata: fields}}})
}

// passthroughClusters are the east/west gateway's: one for each service, local pods only, chosen by SNI.
func passthroughClusters(p layout.Pod) []any {
	clusters := l{m{"name": blackHole, "type": "STATIC", "connect_timeout": "5s"}}
	for _, s := range layout.Services() {
		var endpoints l
		for _, pod := range p.Cluster.PodsOf(s.Name) {
			endpoints = append(endpoints, m{
				"locality":     m{"region": pod.Cluster.Region, "zone": pod.ZoneLabel()},
				"lb_endpoints": l{withMetadata(endpoint(pod.IP, layout.PortApp), pod.EndpointMetadata(), podFields(pod))},
			})
		}
		name := sni(s)
		clusters = append(clusters, m{
			"name": name, "type": "STATIC", "connect_timeout": "5s", "lb_policy": "ROUND_ROBIN",
			"load_assignment": m{"cluster_name": name, "endpoints": endpoints},
			"metadata":        m{"filter_metadata": m{demoMetadata: m{"host": s.Host(), "name": s.Name, "namespace": s.Namespace}}},
		})
	}
	return clusters
}

// sni is the name that selects a service at an AUTO_PASSTHROUGH gateway: outbound_.port_.subset_.host, no subset.
func sni(s layout.Service) string { return fmt.Sprintf("outbound_.%d_._.%s", s.Port, s.Host()) }
