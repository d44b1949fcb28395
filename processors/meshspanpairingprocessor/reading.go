// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/pairing"
)

// readResource returns a hash of the pod that reported, or of the service instance where no pod is named; zero if
// neither is.
func readResource(store *pairing.Store, attrs pcommon.Map) uint64 {
	var cluster, namespace, pod, service, instance string
	for key, value := range attrs.All() {
		switch key {
		case "k8s.cluster.name":
			cluster = value.Str()
		case "k8s.namespace.name":
			namespace = value.Str()
		case "k8s.pod.name":
			pod = value.Str()
		case "service.name":
			service = value.Str()
		case "service.instance.id":
			instance = value.Str()
		}
	}
	if pod == "" {
		pod, namespace = service, instance
	}
	if pod == "" {
		return 0
	}
	return store.Mix(store.Mix(store.Hash(cluster), store.Hash(namespace)), store.Hash(pod))
}

// reading is what one span says, read in a single pass over its attributes. Envoy's own names and those of the
// envoy_semconv processor are both understood.
type reading struct {
	nodeID, upstream   string
	url, authority     string
	flags              string
	statusCode, status pcommon.Value
	hasCode, hasGRPC   bool
}

// readSpan reads what tells of a call.
func readSpan(store *pairing.Store, proxy uint64, span ptrace.Span, f *pairing.Facts) {
	r := reading{}
	*f = pairing.Facts{}
	for key, value := range span.Attributes().All() {
		if !f.Call.Set(key, value) {
			r.attribute(key, value)
		}
	}
	if !f.Call.Stamped() {
		return
	}
	f.Trace, f.Span = pairing.TraceID(span.TraceID()), pairing.SpanID(span.SpanID())
	f.Parent = pairing.SpanID(span.ParentSpanID())
	f.Proxy, f.Upstream = proxy, store.Hash(strings.TrimRight(r.upstream, ";"))
	if start, end := span.StartTimestamp(), span.EndTimestamp(); end > start {
		f.Duration = time.Duration(end - start)
	}
	f.Mirror = span.Name() == mirrorName
	r.proxy(f, span.Kind())
	r.host(store, f)
	r.outcome(f)
}

// mirrorName is what Envoy calls the span of a copied request (source/common/router/router.cc). Configuration cannot
// change it.
const mirrorName = "mirror"

func (r *reading) attribute(key string, value pcommon.Value) {
	switch key {
	case "node_id", "envoy.node.id":
		r.nodeID = value.Str()
	case "upstream_cluster", "envoy.upstream.cluster":
		r.upstream = value.Str()
	case "http.url", "url.full":
		r.url = value.Str()
	case "server.address", "grpc.authority":
		r.authority = value.Str()
	case "response_flags", "envoy.response.flags":
		r.flags = value.Str()
	case "http.status_code", "http.response.status_code":
		r.statusCode, r.hasCode = value, true
	case "grpc.status_code", "rpc.grpc.status_code":
		r.status, r.hasGRPC = value, true
	}
}

// proxy tells where the proxy stands, as the mesh_topology processor decided when it stamped: by what the proxy is,
// then by where it sent the call, then by the kind of the span.
func (r *reading) proxy(f *pairing.Facts, kind ptrace.SpanKind) {
	node, err := envoy.ParseNodeID(r.nodeID)
	// With its new names alone, Envoy writes no node id, but still a URL on spans of requests and on no others.
	f.Named = err == nil || r.url != ""
	f.Gateway = node.Type == "router"
	cluster, _ := envoy.ParseClusterName(r.upstream)
	if node.Type == "waypoint" || node.Type == "ztunnel" || strings.HasPrefix(r.upstream, "outbound_.") {
		f.Side = pairing.Carrier
		return
	}
	switch cluster.Direction {
	case envoy.Inbound, envoy.InboundPassthrough:
		f.Side = pairing.Callee
		return
	case envoy.InboundVIP:
		f.Side = pairing.Carrier
		return
	case envoy.Outbound, envoy.Passthrough, envoy.BlackHole:
		f.Side = pairing.Caller
		return
	}
	switch {
	case f.Gateway || kind == ptrace.SpanKindClient:
		f.Side = pairing.Caller
	case kind == ptrace.SpanKindServer:
		f.Side = pairing.Callee
	}
}

// shadowSuffix is what Envoy adds to the host of a copied request.
const shadowSuffix = "-shadow"

func (r *reading) host(store *pairing.Store, f *pairing.Facts) {
	host := hostOf(r.url)
	if host == "" {
		host = withoutPort(r.authority)
	}
	f.Host = store.Hash(host)
	if original, ok := strings.CutSuffix(host, shadowSuffix); ok {
		f.ShadowOf = store.Hash(original)
	}
}

// hostOf returns the host of a URL without its port, "" if it has none.
func hostOf(url string) string {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	return withoutPort(rest)
}

// withoutPort takes the port off "host:port" and "[address]:port". An IPv6 address without brackets has none.
func withoutPort(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.IndexByte(host[i:], ']') >= 0 {
		return host
	}
	if !strings.HasPrefix(host, "[") && strings.IndexByte(host[:i], ':') >= 0 {
		return host
	}
	return host[:i]
}

// outcome reads how the call ended.
func (r *reading) outcome(f *pairing.Facts) {
	f.GRPC = -1
	if code, ok := number(r.statusCode, r.hasCode); ok && code >= 100 && code < 1000 {
		f.Code = uint16(code)
	}
	if status, ok := number(r.status, r.hasGRPC); ok && status >= 0 && status < 100 {
		f.GRPC = int8(status)
	}
	for flags := r.flags; flags != ""; {
		var flag string
		flag, flags, _ = strings.Cut(flags, ",")
		flag = strings.TrimSpace(flag)
		f.Local = f.Local || (flag != "" && flag != "-")
		switch flag {
		case "URX":
			f.Exhausted = true
		case "UF", "UH", "UO", "NR", "NC", "NFCF", "DF":
			f.NoTarget = true
		case "DC":
			f.CutOff = true
		}
	}
}

func number(value pcommon.Value, there bool) (n int64, ok bool) {
	if !there {
		return 0, false
	}
	switch value.Type() {
	case pcommon.ValueTypeInt:
		return value.Int(), true
	case pcommon.ValueTypeStr:
		n, err := strconv.ParseInt(value.Str(), 10, 64)
		return n, err == nil
	}
	return 0, false
}
