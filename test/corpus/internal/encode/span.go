// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// SpanOf says which span of a call it is.
type SpanOf struct {
	Role Role
	// Upstream is the span of a gateway's or waypoint's call to its upstream, the child of the span of the request.
	Upstream bool
	// Zipkin says that the span came through Zipkin, where both sides of a call share a span id, and the address of the
	// proxy is the endpoint's.
	Zipkin bool
}

// Span appends the proxy's span of the call.
func Span(td ptrace.Traces, of SpanOf, c *Call, s *Style) {
	rs := td.ResourceSpans().AppendEmpty()
	reporter := c.reporter(of.Role)
	resource := rs.Resource().Attributes()
	resource.PutStr("service.name", serviceCluster(reporter))
	ss := rs.ScopeSpans().AppendEmpty()
	if s.Istio >= 22 && !of.Zipkin {
		resource.PutStr("telemetry.sdk.language", "cpp")
		resource.PutStr("telemetry.sdk.name", "envoy")
		resource.PutStr("telemetry.sdk.version", build(s))
		ss.Scope().SetName("envoy")
		ss.Scope().SetVersion(build(s))
	}
	span := ss.Spans().AppendEmpty()
	ids(span, of, c)
	span.SetName(spanName(of, c))
	span.SetKind(kindOf(of, s))
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(c.At))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(c.At.Add(25 * time.Millisecond)))
	if c.Status >= 500 || c.Status == 0 {
		span.Status().SetCode(ptrace.StatusCodeError)
	}
	w := writer{span.Attributes(), c, s, of}
	w.write()
	if of.Zipkin {
		span.Attributes().PutStr("net.host.ip", reporter.IP())
	}
}

// Version returns the version of Istio with that minor number.
func Version(minor int) string { return fmt.Sprintf("1.%d", minor) }

// build is the version that Envoy gives of itself. Istio 1.18 came with Envoy 1.26, and so on.
func build(s *Style) string {
	return fmt.Sprintf("0000000000000000000000000000000000000000/1.%d.0/Clean/RELEASE/BoringSSL", s.Istio+8)
}

// ids makes the ids. The calling side's span is the parent of the called side's; through Zipkin they are one.
func ids(span ptrace.Span, of SpanOf, c *Call) {
	trace, client, server, child := c.digest("trace"), c.digest("client"), c.digest("server"), c.digest("child")
	span.SetTraceID(pcommon.TraceID(trace[:16]))
	switch {
	case of.Upstream:
		span.SetSpanID(pcommon.SpanID(child[:8]))
		span.SetParentSpanID(pcommon.SpanID(client[:8]))
	case of.Role == SidecarInbound && !of.Zipkin:
		span.SetSpanID(pcommon.SpanID(server[:8]))
		span.SetParentSpanID(pcommon.SpanID(client[:8]))
		if c.Attempts {
			span.SetParentSpanID(pcommon.SpanID(child[:8]))
		}
	default:
		span.SetSpanID(pcommon.SpanID(client[:8]))
		if of.Role == SidecarOutbound {
			parent := c.digest("parent")
			span.SetParentSpanID(pcommon.SpanID(parent[:8]))
		}
	}
}

func spanName(of SpanOf, c *Call) string {
	if of.Upstream {
		return "router " + c.outbound() + " egress"
	}
	if c.Cluster != "" && !strings.Contains(c.Cluster, "|") {
		return c.Cluster
	}
	return fmt.Sprintf("%s:%d/*", c.Host, c.Port)
}

// kindOf: the request's span of a gateway was CLIENT before it was SERVER.
func kindOf(of SpanOf, s *Style) ptrace.SpanKind {
	switch {
	case of.Upstream || of.Role == SidecarOutbound:
		return ptrace.SpanKindClient
	case (of.Role == IngressGateway || of.Role == EgressGateway) && s.Istio < 22:
		return ptrace.SpanKindClient
	}
	return ptrace.SpanKindServer
}

type writer struct {
	attrs pcommon.Map
	c     *Call
	s     *Style
	of    SpanOf
}

// put writes a value under Envoy's name, under that of the semantic conventions, or both. All values are texts. Told to
// write the new names alone, Envoy leaves out whatever has none.
func (w *writer) put(legacy, semconv, value string) {
	if w.s.Names != New {
		w.attrs.PutStr(legacy, value)
	}
	if w.s.Names != Legacy && semconv != "" {
		w.attrs.PutStr(semconv, value)
	}
}

func (w *writer) write() {
	c, s := w.c, w.s
	w.put("component", "", "proxy")
	if !w.of.Upstream {
		w.request()
	}
	w.put("http.protocol", "", c.Protocol)
	w.put("http.status_code", "http.response.status_code", strconv.Itoa(c.Status))
	if c.Status >= 500 || c.Status == 0 {
		w.put("error", "error.type", "true")
	}
	w.grpc()
	w.put("response_flags", "", c.flags())
	w.addresses()
	w.cluster()
	if c.Retries > 0 && w.of.Upstream {
		w.put("retry.count", "http.request.resend_count", strconv.Itoa(c.Retries))
	}
	w.istio()
	if !w.of.Upstream {
		reporter := c.reporter(w.of.Role)
		w.put("node_id", "", nodeID(w.of.Role, reporter))
		w.put("zone", "", bareZone(reporter))
	}
	w.customTags(s)
	if w.of.Role == Waypoint && s.Istio >= 29 {
		w.waypointTags()
	}
}

func (w *writer) request() {
	c := w.c
	w.put("guid:x-request-id", "", c.requestID())
	w.put("http.method", "http.request.method", c.Method)
	w.put("http.url", "url.full", "http://"+c.authority()+c.Path)
	w.put("user_agent", "user_agent.original", "bookinfo")
	w.put("downstream_cluster", "", "-")
	w.put("request_size", "http.request.body.size", "0")
	w.put("response_size", "http.response.body.size", "1")
}

func (w *writer) grpc() {
	if !w.c.GRPC {
		return
	}
	w.put("grpc.path", "", w.c.Path)
	w.put("grpc.authority", "", w.c.authority())
	w.put("grpc.content_type", "", "application/grpc")
	w.put("grpc.timeout", "", "")
	w.put("grpc.status_code", "", strconv.Itoa(w.c.GRPCStatus))
}

// addresses: "peer.address" is who sent to this proxy, at the calling side its own pod; on the span of an upstream it
// is the upstream.
func (w *writer) addresses() {
	c := w.c
	if w.of.Upstream {
		if host := c.upstreamHost(w.of.Role); host != "" {
			w.put("upstream_address", "", host)
			w.put("peer.address", "network.peer.address", host)
		}
		return
	}
	peer := c.client()
	switch {
	case w.of.Role == SidecarOutbound:
		peer = c.From.IP()
	case w.of.Role == IngressGateway && c.Outside != "":
		peer = c.Outside
	}
	w.put("peer.address", "network.peer.address", peer)
}

// cluster: from Istio 1.23 on the name for statistics ends in a semicolon.
func (w *writer) cluster() {
	name := w.c.envoyCluster(w.of.Role, w.s)
	if name == "" {
		return
	}
	w.put("upstream_cluster", "", name)
	if w.s.Istio >= 23 && strings.HasPrefix(name, "outbound|") {
		name += ";"
	}
	w.put("upstream_cluster.name", "", name)
}

// istio writes the tags of each Istio proxy about itself.
func (w *writer) istio() {
	reporter := w.c.reporter(w.of.Role)
	w.attrs.PutStr("istio.canonical_revision", or(reporter.Workload.Version, "latest"))
	w.attrs.PutStr("istio.canonical_service", or(reporter.Workload.Service, reporter.Workload.Name))
	if id := w.s.clusterOf(reporter); id != "" {
		w.attrs.PutStr("istio.cluster_id", id)
	}
	w.attrs.PutStr("istio.mesh_id", "mesh1")
	w.attrs.PutStr("istio.namespace", reporter.Workload.Namespace)
}

// customTags are those that the guide recommends. Envoy leaves a tag out whose value is empty.
func (w *writer) customTags(s *Style) {
	if host := w.c.upstreamHost(w.of.Role); s.HostTag && host != "" {
		w.attrs.PutStr("mesh.upstream.host", host)
	}
	for _, tag := range w.c.guideTags(w.of.Role, s) {
		if !w.of.Upstream || strings.HasPrefix(tag[0], "mesh.upstream.") {
			w.attrs.PutStr(tag[0], tag[1])
		}
	}
}

// guideTags are the custom tags beside that of the upstream host which have a value.
func (c *Call) guideTags(role Role, s *Style) (tags [][2]string) {
	put := func(name, value string, wanted bool) {
		if wanted && value != "" {
			tags = append(tags, [2]string{name, value})
		}
	}
	if role != SidecarInbound && role != EastWestGateway {
		put("mesh.upstream.workload", c.endpointMetadata(s), s.WorkloadTag)
		if c.To != nil && c.server() != "" && !c.Plain && !c.NoAnswer {
			put("mesh.upstream.principal", c.To.Principal(), s.Guide)
		}
	}
	from := c.client()
	if role == SidecarOutbound {
		from = c.From.IP()
	}
	put("mesh.downstream.host", join(from, 50123), s.Guide)
	if c.peerProven(role) {
		put("mesh.downstream.principal", c.From.Principal(), s.Guide)
	}
	return tags
}

// waypointTags are Istio's tags about both ends, which waypoints alone write.
func (w *writer) waypointTags() {
	for _, side := range []struct {
		prefix string
		known  bool
	}{{"istio.source_", w.c.From != nil}, {"istio.destination_", w.c.To != nil}} {
		end := w.c.From
		if side.prefix == "istio.destination_" {
			end = w.c.To
		}
		put := func(name, value string) { w.attrs.PutStr(side.prefix+name, or(value, "unknown")) }
		if !side.known {
			for _, name := range []string{"workload", "namespace", "cluster_id", "canonical_service", "canonical_revision", "app", "app_version"} {
				put(name, "")
			}
			continue
		}
		put("workload", end.Workload.Name)
		put("namespace", end.Workload.Namespace)
		put("cluster_id", w.s.clusterOf(end))
		put("canonical_service", end.Workload.Service)
		put("canonical_revision", or(end.Workload.Version, "latest"))
		put("app", end.Workload.Service)
		put("app_version", end.Workload.Version)
		put("workload_type", end.Workload.Kind)
		put("instance_name", end.Pod.Name)
	}
}

// upstreamHost is what %UPSTREAM_HOST% gives at the proxy; empty if it chose no endpoint.
func (c *Call) upstreamHost(role Role) string {
	switch role {
	case SidecarInbound:
		if c.envoyCluster(role, &Style{Istio: 31}) == "" {
			return ""
		}
		return join(c.To.IP(), c.Port)
	case Waypoint:
		if c.server() == "" {
			return ""
		}
		if c.Through != nil && c.Server == "" {
			// A tunnel within a tunnel: the inner one ends at the called network's gateway.
			return "envoy://inner_connect_originate/" + c.server()
		}
		return "envoy://connect_originate/" + c.server()
	case EastWestGateway:
		if c.To == nil {
			return ""
		}
		return join(c.To.IP(), c.Port)
	}
	return c.server()
}

// envoyCluster is the Envoy cluster at the proxy; empty if it found no route.
func (c *Call) envoyCluster(role Role, s *Style) string {
	if strings.Contains(c.Flags, "NR") || strings.Contains(c.Flags, "NC") {
		return ""
	}
	switch role {
	case SidecarInbound:
		if c.Cluster == "InboundPassthroughCluster" {
			// Its name had the family in it once.
			if s.Istio < 24 {
				return "InboundPassthroughClusterIpv4"
			}
			return c.Cluster
		}
		return fmt.Sprintf("inbound|%d||", c.Port)
	case Waypoint:
		kind := "http"
		if c.tcp() {
			kind = "tcp"
		}
		return fmt.Sprintf("inbound-vip|%d|%s|%s", c.Port, kind, c.Host)
	case EastWestGateway:
		return c.sni()
	}
	return c.outbound()
}
