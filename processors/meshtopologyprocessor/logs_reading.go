// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-mesh/otelcol-mesh/internal/accesslog"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// The names of the events of access logs, as the envoy receiver and the envoy_semconv processor give them.
const (
	envoyEvent   = "envoy.access"
	ztunnelEvent = "ztunnel.access"
)

// record reads an access log record: its attributes, and its body where the attributes do not tell both addresses. It
// reports whether the record is Envoy's or ztunnel's.
func (r *reading) record(record plog.LogRecord) (proxy bool) {
	attrs := record.Attributes()
	r.attributes(attrs)
	event := record.EventName()
	r.proxy = r.proxy || strings.HasPrefix(event, envoyEvent)
	if event == ztunnelEvent {
		r.translatedZtunnel(attrs)
		return r.proxy
	}
	if r.upstreamAddress == "" && r.upstreamHost == "" && !r.call.NoHost {
		// Written as nothing, be it "-", an empty text or JSON's null.
		host, told := attrs.Get(accesslog.UpstreamHost.String())
		r.call.NoHost = told && dash(scalar(host)) == ""
	}
	if r.tellsAddresses() {
		return r.proxy
	}
	if !r.proxy && r.ztunnelAttributes(attrs) {
		return true
	}
	switch body := record.Body(); body.Type() {
	case pcommon.ValueTypeMap:
		r.bodyMap(body.Map())
	case pcommon.ValueTypeStr:
		r.bodyText(body.Str())
	}
	return r.proxy
}

// tellsAddresses says whether the attributes tell whom the proxy called and who called it, so that the body need not be
// read.
func (r *reading) tellsAddresses() bool {
	return r.call.UpstreamCluster != "" && (r.upstreamAddress != "" || r.upstreamHost != "" || r.call.NoHost) &&
		(r.downstream != "" || r.downstreamDirect != "")
}

// bodyText reads a body in a format of Istio's or ztunnel's. Of a line whose beginning is the user's own, the end tells
// the addresses.
func (r *reading) bodyText(text string) {
	var e accesslog.Entry
	format, err := accesslog.Parse(text, &e)
	switch {
	case err != nil && format == accesslog.Text, err == nil && format == accesslog.NotAccessLog:
		tail, ok := accesslog.ParseTail(text)
		if !ok {
			return
		}
		e.Reset()
		tail.Set(&e.Envoy)
		r.envoyBody(&e.Envoy)
	case err != nil:
	case format == accesslog.ZtunnelText, format == accesslog.ZtunnelJSON:
		r.ztunnel(&e.Ztunnel)
	default:
		r.envoyBody(&e.Envoy)
	}
	if err == nil && (format == accesslog.JSON || format == accesslog.ZtunnelJSON) {
		r.inBody = true
		accesslog.EachKey(text, func(key, value string) {
			if isLabel(key) {
				r.label(key, pcommon.NewValueStr(value))
			}
		})
	}
}

// bodyMap reads a body that is a map in the keys of a JSON format.
func (r *reading) bodyMap(body pcommon.Map) {
	var e accesslog.Entry
	takeFields(body, &e)
	switch {
	case e.Ztunnel.IsAccessLog():
		r.ztunnel(&e.Ztunnel)
	case e.Envoy.IsAccessLog():
		r.envoyBody(&e.Envoy)
	default:
		return
	}
	r.inBody = true
	for key, value := range body.All() {
		if isLabel(key) {
			r.label(key, value)
		}
	}
}

// takeFields notes the fields of a map under the names of either format.
func takeFields(fields pcommon.Map, e *accesslog.Entry) {
	for key, value := range fields.All() {
		if f := accesslog.FieldOf(key); f != accesslog.FieldNone {
			e.Envoy.Set(f, scalar(value))
		}
		if f := accesslog.ZtunnelFieldOf(key); f != accesslog.ZtunnelNone {
			e.Ztunnel.Set(f, scalar(value))
		}
	}
}

// scalar returns a value as a proxy would write it; empty for a list and the like.
func scalar(value pcommon.Value) string {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return value.Str()
	case pcommon.ValueTypeInt:
		return strconv.FormatInt(value.Int(), 10)
	case pcommon.ValueTypeDouble:
		return strconv.FormatFloat(value.Double(), 'f', -1, 64)
	}
	return ""
}

// envoyBody takes from the body what the attributes leave open.
func (r *reading) envoyBody(body *accesslog.Record) {
	r.proxy = true
	c := &r.call
	fill(&c.UpstreamCluster, body.Get(accesslog.UpstreamCluster))
	if r.upstreamAddress == "" && r.upstreamHost == "" {
		r.upstreamHost = body.Get(accesslog.UpstreamHost)
		c.NoHost = c.NoHost || (body.Has(accesslog.UpstreamHost) && r.upstreamHost == "")
	}
	if r.downstreamDirect == "" && r.downstream == "" {
		r.downstreamDirect = body.Get(accesslog.DownstreamDirect)
		r.downstream = body.Get(accesslog.DownstreamRemote)
	}
	fill(&c.DownstreamLocal, body.Get(accesslog.DownstreamLocal))
	fill(&c.SNI, body.Get(accesslog.ServerName))
	c.NoUpstream = c.NoUpstream || rules.NoUpstream(body.Get(accesslog.ResponseFlags))
	if c.PeerSAN == "" && body.Get(accesslog.PeerSAN) != "" {
		r.setPeerSAN(body.Get(accesslog.PeerSAN))
	}
}

func fill(field *string, value string) {
	if dash(*field) == "" {
		*field = value
	}
}

// isLabel says whether a key of a body is one that users add for this processor: who the proxy is, and whom it called.
// What is not Envoy's own format is the sender's word, so nothing that an earlier processor stamped is among them.
func isLabel(key string) bool {
	switch key {
	case "node_id", "pod_name", "pod_namespace", "k8s.pod.name", "k8s.namespace.name", "k8s.cluster.name", "upstream_peer_uri_san":
		return true
	}
	return strings.HasPrefix(key, "mesh.upstream.") || strings.HasPrefix(key, "mesh.downstream.") || strings.HasPrefix(key, "istio.")
}

// label reads a key that [isLabel].
func (r *reading) label(key string, value pcommon.Value) {
	switch {
	case strings.HasPrefix(key, "mesh."):
		r.meshAttribute(key, value)
	case strings.HasPrefix(key, "istio."):
		r.istioAttribute(key[len("istio."):], value.Str())
	default:
		r.attribute(key, value)
	}
}

// mayHoldLabels says whether a body can name the proxy that wrote it: JSON can, with keys that users add.
func mayHoldLabels(body pcommon.Value) bool {
	switch body.Type() {
	case pcommon.ValueTypeMap:
		return true
	case pcommon.ValueTypeStr:
		return strings.HasPrefix(body.Str(), "{")
	}
	return false
}

// labeledProxy returns the proxy that the labels in the body name.
func (r *reading) labeledProxy() proxyKey {
	if isNodeID(r.nodeID) {
		return proxyKey{nodeID: r.nodeID, cluster: r.tagCluster}
	}
	if r.podName == "" {
		return proxyKey{}
	}
	return proxyKey{nodeID: r.podName, namespace: r.podNamespace, cluster: r.podCluster}
}

// noHost says whether the access log service's record says by its silence that no endpoint was chosen. The one that
// Envoy sends at the begin of a call is silent in any case.
func noHost(attrs pcommon.Map) bool {
	kind, ok := attrs.Get("envoy.access_log.type")
	return !ok || strings.HasSuffix(kind.Str(), "End")
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}
