// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
	"github.com/otelcol-mesh/otelcol-mesh/distribution/istio"
)

// istioTextFormat is Istio's default access log line without its newline, as istiod sends it over OTLP
// (pilot/pkg/model/telemetry_logging.go).
const istioTextFormat = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% ` +
	`%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" ` +
	`%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" ` +
	`"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% ` +
	`%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%`

// settings returns what the files for users tell Istio, so that the demo and the recordings show what users will get. They
// are part of the binary and a test reads them, so there is no error to expect.
func settings(read func() ([]istio.Setting, error)) []istio.Setting {
	list, err := read()
	if err != nil {
		panic(err)
	}
	return list
}

func grpcService(cluster string) m {
	return m{"envoy_grpc": m{"cluster_name": cluster, "authority": "otelcol-agent.observability.svc.cluster.local"}, "timeout": "1s"}
}

// tracing is Istio's OpenTelemetry provider at 100 %, with its own tags and those that distribution/istio adds. Gateways spawn a child span for the upstream, sidecars do not.
func tracing(p layout.Pod, spawnUpstream bool) m {
	literal := func(tag, value string) m { return m{"tag": tag, "literal": m{"value": value}} }
	tags := l{
		literal("istio.canonical_revision", p.Version), literal("istio.canonical_service", p.Service),
		literal("istio.mesh_id", layout.MeshID), literal("istio.namespace", p.Namespace),
		literal("istio.cluster_id", p.Cluster.Name),
	}
	for _, tag := range settings(istio.CustomTags) {
		tags = append(tags, m{"tag": tag.Name, "value": tag.Format})
	}
	return m{
		"client_sampling": m{"value": 100}, "random_sampling": m{"value": 100}, "overall_sampling": m{"value": 100},
		"spawn_upstream_span": spawnUpstream,
		"provider": ext("envoy.tracers.opentelemetry", "envoy.config.trace.v3.OpenTelemetryConfig", m{
			"grpc_service": grpcService(otlpCluster), "service_name": p.NodeCluster(),
		}),
		"custom_tags": tags,
	}
}

// usesALS tells which of Istio's two push log providers a pod has: gRPC ALS in westeurope, OTLP in northeurope, and
// always ALS on east/west gateways, whose TCP log is the only L4 evidence of a cross-region call.
func usesALS(p layout.Pod) bool {
	return p.Kind == layout.EastWest || p.Cluster.Name == layout.Clusters()[0].Name
}

func httpAccessLogs(p layout.Pod, stats m) l {
	if !usesALS(p) {
		return l{otlpAccessLog(), stats}
	}
	return l{ext("envoy.access_loggers.http_grpc", "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig", m{
		"common_config": alsConfig("http_envoy_accesslog"),
		// Envoy's access log has no trace field; the header ties the record to its span.
		"additional_request_headers_to_log": l{"traceparent"},
	}), stats}
}

func tcpAccessLogs(p layout.Pod) l {
	als := ext("envoy.access_loggers.tcp_grpc", "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig", m{
		"common_config": alsConfig("tcp_envoy_accesslog"),
	})
	als["filter"] = onLogType("TcpConnectionEnd")
	return append(l{als}, tcpStats(p)...)
}

func onLogType(types ...any) m { return m{"log_type_filter": m{"types": types}} }

func alsConfig(logName string) m {
	return m{
		"log_name": logName, "grpc_service": grpcService(alsCluster), "transport_api_version": "V3",
		"buffer_flush_interval": "1s",
		// Istio's names for the peers' metadata. Stock Envoy has no filter that fills them: the field stays empty.
		"filter_state_objects_to_log": l{"upstream_peer", "downstream_peer"},
	}
}

func otlpAccessLog() m {
	var labels l
	for _, label := range settings(istio.AccessLogLabels) {
		labels = append(labels, m{"key": label.Name, "value": m{"string_value": label.Format}})
	}
	return ext("envoy.access_loggers.open_telemetry", "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig", m{
		"grpc_service": grpcService(otlpCluster), "log_name": "otel_envoy_accesslog", "buffer_flush_interval": "1s",
		"disable_builtin_labels": true,
		"body":                   m{"string_value": istioTextFormat},
		"attributes":             m{"values": labels},
	})
}

// metricsSink pushes the gateways' metrics. Counters are totals since start, not deltas; tags become labels.
func metricsSink() m {
	return ext("envoy.stat_sinks.metrics_service", "envoy.config.metrics.v3.MetricsServiceConfig", m{
		"grpc_service": grpcService(alsCluster), "transport_api_version": "V3",
		"report_counters_as_deltas": false, "emit_tags_as_labels": true, "histogram_emit_mode": "HISTOGRAM",
	})
}
