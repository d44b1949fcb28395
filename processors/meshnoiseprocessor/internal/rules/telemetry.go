// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/http"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
)

// Own says whether the workload, service or pod of this name is one of the telemetry's own. It does not allocate.
func (r *Rules) Own(namespace, name string) bool { return matches(r.workloads, namespace, name) }

// isTelemetry says whether the call is the telemetry's own traffic: it was reported by, came from, or went to one of its
// workloads or an ingestion host, or it is a call that nobody else makes.
func (r *Rules) isTelemetry(c *Call, path string, query bool) bool {
	if onlyTelemetry(c.UpstreamCluster) || r.ownCluster(c.UpstreamCluster) || r.ownNode(c.NodeID) {
		return true
	}
	if r.Own(c.Source.Namespace, c.Source.Name) || r.Own(c.Destination.Namespace, c.Destination.Name) {
		return true
	}
	if query || c.Method != http.MethodPost || !c.served() {
		// A caller may choose any path: one that nobody serves is no telemetry.
		return false
	}
	return isTelemetryService(path) || (isOTLPPath(path) && isOTLPPort(c.UpstreamCluster))
}

// served says whether somebody answered the call who knows its path.
func (c *Call) served() bool {
	const unimplemented = 12
	return c.Status >= 200 && c.Status < 300 && c.GRPCStatus != unimplemented
}

// onlyTelemetry says whether the cluster is one of Istio's own that carries telemetry or configuration and nothing else.
// The tunnels of ambient mode are internal clusters too, and carry users' calls.
func onlyTelemetry(cluster string) bool {
	switch cluster {
	case "xds-grpc", "sds-grpc", "zipkin":
		return true
	}
	return false
}

// telemetryServices begin the paths of gRPC services that only proxies and collectors call.
var telemetryServices = [...]string{
	"/opentelemetry.proto.collector.", "/envoy.service.accesslog.", "/envoy.service.metrics.", "/envoy.service.discovery.",
	"/envoy.service.trace.", "/istio.v1.auth.IstioCertificateService/",
}

func isTelemetryService(path string) bool {
	for _, prefix := range telemetryServices {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// isOTLPPath says whether the path is one of OTLP over HTTP. Applications have such paths too.
func isOTLPPath(path string) bool {
	return path == "/v1/traces" || path == "/v1/metrics" || path == "/v1/logs"
}

// isOTLPPort says whether the proxy sent the call to the port of OTLP over HTTP.
func isOTLPPort(cluster string) bool {
	name, err := envoy.ParseClusterName(cluster)
	return err == nil && name.Port == 4318
}

// suspectPath says whether a path, or what begins with it, is worth a look.
func suspectPath(path string) bool {
	if len(path) < len("/v1/logs") || path[0] != '/' {
		return false
	}
	switch path[1] {
	case 'a':
		return strings.HasPrefix(path, "/app-health/")
	case 'h':
		return strings.HasPrefix(path, readyPath)
	case 's':
		return strings.HasPrefix(path, statsPath)
	case 'g':
		return strings.HasPrefix(path, grpcHealth)
	case 'v':
		return strings.HasPrefix(path, "/v1/")
	case 'o', 'e', 'i':
		return isTelemetryService(path)
	}
	return false
}

// suspectCluster says whether the name of a cluster holds the name of an own workload, or ends in an ingestion host: the
// host is the last part of Istio's names.
func (r *Rules) suspectCluster(cluster string) bool {
	for _, host := range r.IngestionHosts {
		if strings.HasSuffix(cluster, host) {
			return true
		}
	}
	return r.holdsOwn(cluster)
}

// holdsOwn says whether the text holds the name of an own workload.
func (r *Rules) holdsOwn(text string) bool {
	for i := range r.workloads {
		if strings.Contains(text, r.workloads[i].name) {
			return true
		}
	}
	return false
}

// ownCluster says whether the proxy sent the call to one of the telemetry's own services, or to an ingestion host. What
// the caller wrote as host is no evidence: it may have connected elsewhere.
func (r *Rules) ownCluster(cluster string) bool {
	if !r.suspectCluster(cluster) {
		return false
	}
	name, err := envoy.ParseClusterName(cluster)
	if err != nil {
		return false
	}
	if service, namespace, ok := envoy.ParseServiceHost(name.Host); ok {
		return r.Own(namespace, service)
	}
	return r.isIngestion(name.Host)
}

func (r *Rules) isIngestion(host string) bool {
	for _, known := range r.IngestionHosts {
		if host == known || (known[0] == '.' && strings.HasSuffix(host, known)) {
			return true
		}
	}
	return false
}

// ownNode says whether the proxy that reported is one of the telemetry's own workloads.
func (r *Rules) ownNode(id string) bool {
	if id == "" || !r.holdsOwn(id) {
		return false
	}
	node, err := envoy.ParseNodeID(id)
	return err == nil && r.Own(node.Namespace, node.Pod)
}

// Labels are what a point of a metric says of the ends of the calls that it counts.
type Labels struct {
	// Source, Destination and Called are the workloads at the two ends, and the service that was called.
	Source, Destination, Called Workload
	// CalledHost is destination_service.
	CalledHost string
	// UpstreamCluster is that of one of Envoy's own metrics about an upstream cluster.
	UpstreamCluster string
}

// JudgePoint says what the calls are that a point of a metric counts. There is no path in it, so probes of an application
// are not told apart.
func (r *Rules) JudgePoint(l *Labels) Reason {
	switch l.UpstreamCluster {
	case "prometheus_stats":
		return Scrape
	case "agent":
		return HealthProbe
	}
	if onlyTelemetry(l.UpstreamCluster) || r.ownCluster(l.UpstreamCluster) {
		return Telemetry
	}
	for _, w := range [...]Workload{l.Source, l.Destination, l.Called} {
		if r.Own(w.Namespace, w.Name) {
			return Telemetry
		}
	}
	if l.CalledHost != "" && l.Called.Name == l.CalledHost && r.isIngestion(l.CalledHost) {
		// A host that the proxy knows; in calls past the mesh the service's name is PassthroughCluster.
		return Telemetry
	}
	if matches(r.scrapers, l.Source.Namespace, l.Source.Name) {
		return Scrape
	}
	return None
}

// pattern is "name" or "namespace/name", where the name may end in "*".
type pattern struct {
	namespace, name string
	open            bool
}

func patternsOf(texts []string) []pattern {
	patterns := make([]pattern, 0, len(texts))
	for _, text := range texts {
		var p pattern
		if namespace, name, ok := strings.Cut(text, "/"); ok {
			p.namespace, text = namespace, name
		}
		p.name, p.open = strings.CutSuffix(text, "*")
		patterns = append(patterns, p)
	}
	return patterns
}

func matches(patterns []pattern, namespace, name string) bool {
	if name == "" {
		return false
	}
	for i := range patterns {
		p := &patterns[i]
		if p.namespace != "" && p.namespace != namespace {
			continue
		}
		if name == p.name || (p.open && strings.HasPrefix(name, p.name)) {
			return true
		}
	}
	return false
}
