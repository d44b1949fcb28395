// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"fmt"
	"strconv"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
)

// retryPolicy is Istio's default with one retry more (3, not 2): three dead reviews pods may all be tried before the
// other region is, and the demo's point is that no request fails.
func retryPolicy() m {
	return m{
		"retry_on":    "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes,reset-before-request",
		"num_retries": 3, "retriable_status_codes": l{503}, "host_selection_retry_max_attempts": 5,
		"retry_host_predicate": l{ext("envoy.retry_host_predicates.previous_hosts",
			"envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate", nil)},
	}
}

func listener(name, ip string, port int, direction string, chains l) m {
	return m{
		"name": name, "address": socket(ip, port), "traffic_direction": direction,
		"per_connection_buffer_limit_bytes": 32768, "filter_chains": chains,
	}
}

func hcm(config m) m {
	base := m{
		"server_name": "istio-envoy", "normalize_path": true, "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
		"stream_idle_timeout": "0s", "upgrade_configs": l{m{"upgrade_type": "websocket"}},
	}
	return ext("envoy.filters.network.http_connection_manager",
		"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", merge(base, config))
}

func router() m {
	return ext("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", nil)
}

// prometheusListener is Istio's port 15090.
func prometheusListener(p layout.Pod) m {
	return listener("prometheus", p.IP, layout.PortPrometheus, "UNSPECIFIED", l{m{"filters": l{hcm(m{
		"stat_prefix": "stats", "http_filters": l{router()},
		"route_config": m{"virtual_hosts": l{m{
			"name": "backend", "domains": l{"*"},
			"routes": l{m{"match": m{"prefix": "/stats/prometheus"}, "route": m{"cluster": adminName}}},
		}}},
	})}}})
}

// inboundListener takes calls to the pod: mutual TLS on the service port, where iptables would lead to port 15006.
func inboundListener(p Params) m {
	port := layout.PortApp
	route := m{
		"name": "default", "match": m{"prefix": "/"},
		"decorator":                 m{"operation": fmt.Sprintf("%s:%d/*", p.Pod.Service+"."+p.Pod.Namespace+".svc.cluster.local", port)},
		"route":                     m{"cluster": fmt.Sprintf("inbound|%d||", port), "timeout": "0s"},
		"request_headers_to_remove": peerHeaderNames(),
	}
	manager := hcm(m{
		"stat_prefix":  fmt.Sprintf("inbound_0.0.0.0_%d", port),
		"http_filters": l{peerFilter(), router()},
		"route_config": m{
			"name": fmt.Sprintf("inbound|%d||", port), "validate_clusters": false,
			"virtual_hosts": l{m{"name": fmt.Sprintf("inbound|http|%d", port), "domains": l{"*"}, "routes": l{route}}},
		},
		"tracing":                         tracing(p.Pod, false),
		"access_log":                      httpAccessLogs(p.Pod, inboundStats(p.Pod)),
		"forward_client_cert_details":     "APPEND_FORWARD",
		"set_current_client_cert_details": m{"subject": true, "dns": true, "uri": true},
		"use_remote_address":              false,
	})
	out := listener("virtualInbound", p.Pod.IP, port, "INBOUND", l{m{
		"name": fmt.Sprintf("0.0.0.0_%d", port), "filters": l{manager}, "transport_socket": downstreamTLS(p),
	}})
	out["listener_filters"] = l{tlsInspector()}
	return out
}

// outboundListener takes the application's own calls. Istio hands them from virtualOutbound to the HTTP listener of
// the port; here the application dials port 15001 of its pod itself and the listener is that HTTP listener.
func outboundListener(p Params) m {
	hosts := l{m{
		"name": "block_all", "domains": l{"*"},
		"routes": l{m{"name": "block_all", "match": m{"prefix": "/"}, "direct_response": m{"status": 502}}},
	}}
	for _, s := range layout.Services() {
		name := fmt.Sprintf("%s:%d", s.Host(), s.Port)
		hosts = append(hosts, m{
			"name": name, "domains": serviceDomains(p.Pod.Cluster, s), "include_request_attempt_count": true,
			"routes": l{serviceRoute(s, m{"prefix": "/"}, "/*")},
		})
	}
	manager := hcm(m{
		"stat_prefix": fmt.Sprintf("outbound_0.0.0.0_%d", layout.PortApp), "use_remote_address": false,
		"http_filters": l{router()},
		"route_config": m{
			"name": strconv.Itoa(layout.PortApp), "validate_clusters": false, "virtual_hosts": hosts,
			"max_direct_response_body_size_bytes": 1048576, "request_headers_to_add": peerHeaders(p.Pod),
		},
		"tracing": tracing(p.Pod, false), "access_log": httpAccessLogs(p.Pod, outboundStats(p.Pod)),
	})
	return listener(fmt.Sprintf("0.0.0.0_%d", layout.PortApp), p.Pod.IP, layout.PortOutbound, "OUTBOUND",
		l{m{"filters": l{manager}}})
}

// serviceDomains are the host names a pod of the same namespace may use, in istiod's order.
func serviceDomains(c layout.Cluster, s layout.Service) l {
	var domains l
	for _, host := range []string{
		s.Host(), s.Name, s.Name + "." + s.Namespace + ".svc", s.Name + "." + s.Namespace, c.Prefix + "." + s.VIPSuffix,
	} {
		domains = append(domains, host, fmt.Sprintf("%s:%d", host, s.Port))
	}
	return domains
}

func serviceRoute(s layout.Service, match m, path string) m {
	return m{
		"name": "default", "match": match,
		"decorator": m{"operation": fmt.Sprintf("%s:%d%s", s.Host(), s.Port, path)},
		"route": m{
			"cluster": fmt.Sprintf("outbound|%d||%s", s.Port, s.Host()), "timeout": "0s", "retry_policy": retryPolicy(),
		},
	}
}

// ingressListener is the gateway's plain HTTP side with bookinfo's VirtualService.
func ingressListener(p Params) m {
	page := layout.Services()[0]
	var routes l
	for _, match := range []m{{"path": "/productpage"}, {"path": "/login"}, {"path": "/logout"}, {"prefix": "/static"}, {"prefix": "/api/v1/products"}} {
		path, exact := match["path"].(string)
		if !exact {
			path = match["prefix"].(string) + "*"
		}
		routes = append(routes, serviceRoute(page, match, path))
	}
	manager := hcm(m{
		"stat_prefix": fmt.Sprintf("outbound_0.0.0.0_%d", layout.PortIngress), "use_remote_address": true,
		"http_filters": l{router()},
		"route_config": m{
			"name": fmt.Sprintf("http.%d", layout.PortIngress), "validate_clusters": false, "request_headers_to_add": peerHeaders(p.Pod),
			"virtual_hosts": l{m{"name": "*:80", "domains": l{"*"}, "include_request_attempt_count": true, "routes": routes}},
		},
		"forward_client_cert_details":     "SANITIZE_SET",
		"set_current_client_cert_details": m{"subject": true, "cert": true, "dns": true, "uri": true},
		"tracing":                         tracing(p.Pod, true),
		"access_log":                      httpAccessLogs(p.Pod, outboundStats(p.Pod)),
	})
	return listener(fmt.Sprintf("0.0.0.0_%d", layout.PortIngress), p.Pod.IP, layout.PortIngress, "OUTBOUND",
		l{m{"filters": l{manager}}})
}

// eastWestListener is AUTO_PASSTHROUGH: one filter chain for each service, matched on SNI and Istio's ALPN, that
// passes the TLS bytes on without reading them.
func eastWestListener(p Params) m {
	var chains l
	for _, s := range layout.Services() {
		chains = append(chains, m{
			"name": sni(s),
			"filter_chain_match": m{
				"server_names":          l{sni(s)},
				"application_protocols": l{"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"},
			},
			"filters": l{ext("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", m{
				"stat_prefix": sni(s), "cluster": sni(s), "access_log": tcpAccessLogs(p.Pod),
				"access_log_options": m{"flush_access_log_on_connected": true},
			})},
		})
	}
	out := listener(fmt.Sprintf("0.0.0.0_%d", layout.PortEastWest), p.Pod.IP, layout.PortEastWest, "OUTBOUND", chains)
	out["listener_filters"] = l{tlsInspector()}
	return out
}
