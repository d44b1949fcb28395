// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
)

// namespaceModule is the smallest proxy-wasm module that Envoy accepts (222 bytes: the exported functions return at
// once). Loading it registers the stat namespace "wasmcustom", whose prefix Envoy's Prometheus page strips: that is
// how a stock Envoy shows `istio_requests_total` and not `envoy_istio_requests_total`, as Istio's own Envoy does with
// its namespace "istiocustom". Built from this text form:
//
//	(module (memory (export "memory") 1)
//	  (func (export "proxy_abi_version_0_2_1"))
//	  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
//	  (func (export "proxy_on_context_create") (param i32 i32))
//	  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
//	  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
//	  (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1)))
const namespaceModule = "AGFzbQEAAAABFARgAABgAX8Bf2ACf38Bf2ACf38AAwcGAAEDAgIBBQMBAAEHkgEHBm1lbW9yeQIAF3Byb3h5X2FiaV92ZXJzaW9uXzBfMl8x" +
	"AAAYcHJveHlfb25fbWVtb3J5X2FsbG9jYXRlAAEXcHJveHlfb25fY29udGV4dF9jcmVhdGUAAhFwcm94eV9vbl92bV9zdGFydAADEnByb3h5X29uX2NvbmZpZ3Vy" +
	"ZQAEDXByb3h5X29uX2RvbmUABQobBgIACwQAQQALAgALBABBAQsEAEEBCwQAQQEL"

const customNamespace = "wasmcustom"

func statNamespace() m {
	return ext("envoy.bootstrap.wasm", "envoy.extensions.wasm.v3.WasmService", m{
		"singleton": true,
		"config": m{
			"name": "stat-namespace",
			"vm_config": m{
				"runtime": "envoy.wasm.runtime.v8", "code": m{"local": m{"inline_bytes": namespaceModule}},
			},
		},
	})
}

// statsConfig keeps what Istio keeps: its own metrics and the server's health, none of the per-cluster statistics.
func statsConfig() m {
	prefixes := l{}
	for _, prefix := range []string{"istio_", customNamespace + ".istio_", "cluster_manager", "listener_manager", "server"} {
		prefixes = append(prefixes, m{"prefix": prefix})
	}
	return m{
		"stats_matcher": m{"inclusion_list": m{"patterns": prefixes}},
		"histogram_bucket_settings": l{m{
			"match": m{"safe_regex": m{"regex": ".*"}}, "buckets": l{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000},
		}},
	}
}

// label is one Prometheus label: a literal or an access log format.
type label struct{ name, format string }

// unknownIfEmpty gives a label Istio's "unknown" where Envoy has no value.
var unknownIfEmpty = m{"matcher_list": m{"matchers": l{m{
	"predicate": m{"single_predicate": m{
		"input":       ext("value", "envoy.extensions.matching.common_inputs.stats.v3.StatTagValueInput", nil),
		"value_match": m{"safe_regex": m{"google_re2": m{}, "regex": "^-?$"}},
	}},
	"on_match": m{"action": ext("unknown", "envoy.extensions.matching.actions.transform_stat.v3.TransformStat",
		m{"update_tag": m{"new_tag_value": "unknown"}})},
}}}}

func tags(labels []label) l {
	var out l
	for _, one := range labels {
		tag := m{"name": one.name, "value_format": one.format}
		// A literal is never empty, and "-" is Istio's own value for no response flag.
		if strings.Contains(one.format, "%") && one.name != "response_flags" {
			tag["rules"] = unknownIfEmpty
		}
		out = append(out, tag)
	}
	return out
}

// ownLabels describe the reporting pod as one end ("source" or "destination").
func ownLabels(end string, p layout.Pod) []label {
	return []label{
		{end + "_workload", p.Workload},
		{end + "_canonical_service", p.Service},
		{end + "_canonical_revision", p.Version},
		{end + "_workload_namespace", p.Namespace},
		{end + "_principal", p.Principal()},
		{end + "_app", p.Service},
		{end + "_version", p.Version},
		{end + "_cluster", p.Cluster.Name},
	}
}

// peerLabels describe the other end by formats: field turns a field's name into one.
func peerLabels(end, principal string, field func(string) string) []label {
	return []label{
		{end + "_workload", field("workload")},
		{end + "_canonical_service", field("service")},
		{end + "_canonical_revision", field("version")},
		{end + "_workload_namespace", field("namespace")},
		{end + "_principal", principal},
		{end + "_app", field("service")},
		{end + "_version", field("version")},
		{end + "_cluster", field("cluster")},
	}
}

func fromEndpoint(field string) string {
	return "%UPSTREAM_METADATA(" + demoMetadata + ":" + field + ")%"
}

func fromPeer(field string) string { return "%FILTER_STATE(" + peerState(field) + ":PLAIN)%" }

func destinationService(host, name, namespace string) []label {
	return []label{
		{"destination_service", host}, {"destination_service_name", name}, {"destination_service_namespace", namespace},
	}
}

func fromCluster(field string) string {
	return "%CLUSTER_METADATA(" + demoMetadata + ":" + field + ")%"
}

// outboundLabels are the labels of reporter="source": the endpoint's metadata names the other end.
func outboundLabels(p layout.Pod, protocol, principal string) []label {
	labels := append([]label{{"reporter", "source"}}, ownLabels("source", p)...)
	labels = append(labels, peerLabels("destination", principal, fromEndpoint)...)
	labels = append(labels, destinationService(fromCluster("host"), fromCluster("name"), fromCluster("namespace"))...)
	// Istio reports "unknown" at the source whether or not the connection was mutual TLS.
	return append(labels, label{"request_protocol", protocol}, label{"connection_security_policy", "unknown"},
		label{"response_flags", "%RESPONSE_FLAGS%"})
}

func outboundStats(p layout.Pod) m {
	labels := outboundLabels(p, "http", "%UPSTREAM_PEER_URI_SAN%")
	return httpStats(p, append(labels, label{"response_code", "%RESPONSE_CODE%"}))
}

// inboundStats are the labels of reporter="destination": the caller's sidecar says who it is in headers.
func inboundStats(p layout.Pod) m {
	labels := append([]label{{"reporter", "destination"}}, peerLabels("source", "%DOWNSTREAM_PEER_URI_SAN%", fromPeer)...)
	labels = append(labels, ownLabels("destination", p)...)
	labels = append(labels, destinationService(p.Service+"."+p.Namespace+".svc.cluster.local", p.Service, p.Namespace)...)
	return httpStats(p, append(labels, label{"request_protocol", "http"}, label{"response_code", "%RESPONSE_CODE%"},
		// The listener is STRICT: a request that reached it came over mutual TLS.
		label{"response_flags", "%RESPONSE_FLAGS%"}, label{"connection_security_policy", "mutual_tls"}))
}

func httpStats(p layout.Pod, labels []label) m {
	histogram := func(name, unit, format string) m {
		return m{"stat": m{"name": name, "tags": tags(labels)}, "unit": unit, "value_format": format}
	}
	return statsLogger(p, m{
		"counters": l{m{"stat": m{"name": "istio_requests_total", "tags": tags(labels)}, "value_fixed": 1}},
		"histograms": l{
			histogram("istio_request_duration_milliseconds", "Milliseconds", "%DURATION%"),
			// Istio counts headers and body; the bytes on the wire are the closest that stock Envoy has.
			histogram("istio_request_bytes", "Bytes", "%DOWNSTREAM_WIRE_BYTES_RECEIVED%"),
			histogram("istio_response_bytes", "Bytes", "%DOWNSTREAM_WIRE_BYTES_SENT%"),
		},
	})
}

// tcpStats are the gateway's TCP counters: opened when the upstream connects, the rest when the connection ends.
// Envoy's own words are kept as Istio keeps them: sent is what went back to the caller.
func tcpStats(p layout.Pod) []any {
	labels := outboundLabels(p, "tcp", "%UPSTREAM_PEER_URI_SAN%")
	counter := func(name string, value m) m {
		return merge(m{"stat": m{"name": name, "tags": tags(labels)}}, value)
	}
	opened := statsLogger(p, m{"counters": l{counter("istio_tcp_connections_opened_total", m{"value_fixed": 1})}})
	opened["filter"] = onLogType("TcpUpstreamConnected")
	ended := statsLogger(p, m{"counters": l{
		counter("istio_tcp_connections_closed_total", m{"value_fixed": 1}),
		counter("istio_tcp_sent_bytes_total", m{"value_format": "%BYTES_SENT%"}),
		counter("istio_tcp_received_bytes_total", m{"value_format": "%BYTES_RECEIVED%"}),
	}})
	ended["filter"] = onLogType("TcpConnectionEnd")
	return l{opened, ended}
}

// statsLogger is Envoy's stats access logger. Gateways push, and the metrics service would show the namespace in the
// name, so only the scraped sidecars have it.
func statsLogger(p layout.Pod, config m) m {
	scope := m{}
	if p.Kind == layout.Sidecar {
		scope["prefix"] = customNamespace
	}
	config["stats_scope"] = scope
	return ext("envoy.access_loggers.stats", "envoy.extensions.access_loggers.stats.v3.Config", config)
}
