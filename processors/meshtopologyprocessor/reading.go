// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// reading is what one span or log record says, read in a single pass over its attributes. Envoy's own names, those of
// the envoy_semconv processor, and the keys of Istio's JSON access log are all understood.
type reading struct {
	call rules.Call
	// stamped is what else the item tells of an earlier verdict.
	stamped stamped
	// inBody says that the body of a log record is being read.
	inBody bool
	// proxy says that the item is Envoy's.
	proxy bool
	// tls says that the item tells of TLS on the connection the call came on.
	tls bool
	// nodeID and the tags name the reporting proxy.
	nodeID, tagCluster, tagNamespace, tagService, tagRevision string
	// zone is the availability zone that the proxy says it is in.
	zone string
	// podName, podNamespace and podCluster are labels of an access log about the reporting proxy.
	podName, podNamespace, podCluster string

	// request says that the item is about a request, and not about one attempt to send it on. translated says that the
	// envoy_semconv processor has been at it.
	request, translated bool

	// Names that are understood together with others only.
	peerAddress, networkPeer, clientAddress  string
	downstream, downstreamDirect             string
	upstreamAddress, upstreamHost, statsName string
	networkPeerPort                          uint16
}

// attributes reads a map.
func (r *reading) attributes(attrs pcommon.Map) {
	for key, value := range attrs.All() {
		var first byte
		if key != "" {
			first = key[0]
		}
		// By the first byte first: most keys begin with none of these.
		switch {
		case first == 'm' && strings.HasPrefix(key, "mesh."):
			r.meshAttribute(key, value)
		case first == 'i' && strings.HasPrefix(key, "istio."):
			r.istioAttribute(key[len("istio."):], value.Str())
		case first == 'e' && strings.HasPrefix(key, "envoy."):
			r.proxy, r.translated = true, true
			r.envoyAttribute(key[len("envoy."):], value.Str())
		default:
			r.attribute(key, value)
		}
	}
}

// attribute reads the names of Envoy's spans, of semantic conventions and of Istio's JSON access log.
func (r *reading) attribute(key string, value pcommon.Value) {
	switch key {
	case "component":
		r.proxy = r.proxy || value.Str() == "proxy"
	case "node_id":
		r.nodeID = value.Str()
		r.proxy = r.proxy || isNodeID(r.nodeID)
	case "zone":
		// Read only where the item names its proxy: other instrumentations have a zone of their own.
		r.zone = value.Str()
	case "upstream_cluster":
		r.call.UpstreamCluster = value.Str()
		r.proxy = r.proxy || r.call.UpstreamCluster != ""
	case "upstream_cluster.name":
		r.statsName = value.Str()
	case "http.method", "http.request.method", "http.url", "url.full", "user_agent", "user_agent.original", "guid:x-request-id":
		r.request = true
	case "upstream_address":
		r.upstreamAddress = value.Str()
	case "upstream_host":
		r.setUpstreamHost(value.Str())
	case "network.peer.address":
		r.networkPeer = value.Str()
	case "network.peer.port":
		r.networkPeerPort = port(value)
	case "peer.address":
		r.peerAddress = value.Str()
	case "client.address":
		r.clientAddress = value.Str()
	case "downstream_remote_address":
		r.downstream = value.Str()
	case "downstream_direct_remote_address":
		r.downstreamDirect = dash(value.Str())
	case "downstream_local_address":
		r.call.DownstreamLocal = value.Str()
	case "response_flags":
		r.call.NoUpstream = rules.NoUpstream(value.Str())
	case "requested_server_name":
		r.call.SNI = value.Str()
	case "downstream_peer_uri_san":
		r.setPeerSAN(value.Str())
	case "upstream_peer_uri_san":
		r.call.UpstreamSAN = spiffeOf(value.Str())
	case "k8s.pod.name", "pod_name":
		r.podName = value.Str()
	case "k8s.namespace.name", "pod_namespace":
		r.podNamespace = value.Str()
	case "k8s.cluster.name":
		r.podCluster = value.Str()
	case "tls.protocol.version", "tls.cipher":
		r.tls = true
	}
}

func (r *reading) envoyAttribute(key, value string) {
	switch key {
	case "node.id":
		if r.nodeID == "" {
			r.nodeID = value
		}
	case "zone":
		r.zone = value
	case "upstream.cluster":
		r.call.UpstreamCluster = value
	case "upstream.cluster.name":
		r.statsName = value
	case "upstream.address":
		r.upstreamAddress = value
	case "downstream.address":
		r.downstream = value
	case "downstream.direct_address":
		r.downstreamDirect = value
	case "downstream.local_address":
		r.call.DownstreamLocal = value
	case "response.flags":
		r.call.NoUpstream = rules.NoUpstream(value)
	case "tls.sni":
		r.call.SNI, r.tls = value, true
	case "tls.peer.san":
		r.setPeerSAN(value)
	case "tls.upstream.peer.san":
		r.call.UpstreamSAN = spiffeOf(value)
	case "tls.local.san":
		r.tls = true
	default:
		if name, ok := strings.CutPrefix(key, "upstream_peer."); ok {
			setPeer(&r.call.UpstreamPeer, &r.call.UpstreamPod, name, value)
		} else if name, ok := strings.CutPrefix(key, "downstream_peer."); ok {
			setPeer(&r.call.DownstreamPeer, &r.call.DownstreamPod, name, value)
		} else if name, ok := strings.CutPrefix(key, "custom_tag.mesh."); ok {
			r.recommendedTag(name, value)
		}
	}
}

// setUpstreamHost reads the endpoint under a name that Envoy writes whether or not one was chosen.
func (r *reading) setUpstreamHost(value string) {
	r.upstreamHost = dash(value)
	r.call.NoHost = value == "-"
}

// setPeerSAN reads the identities in the certificate of the downstream peer: any of them proves that there was one.
func (r *reading) setPeerSAN(value string) {
	if r.call.PeerSAN = spiffeOf(value); r.call.PeerSAN != "" {
		r.tls = true
	}
}

// spiffeOf returns the SPIFFE id among names that are joined by commas, as Envoy prints a certificate that has several;
// without one, or with several, all of the names; empty for Envoy's word for nothing.
func spiffeOf(names string) string {
	if strings.IndexByte(names, ',') < 0 {
		return dash(names)
	}
	found := ""
	for rest := names; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ",")
		if name = strings.TrimSpace(name); strings.HasPrefix(name, "spiffe://") {
			if found != "" {
				return names
			}
			found = name
		}
	}
	if found == "" {
		return names
	}
	return found
}

// recommendedTag reads the custom tags that the guide tells users to configure, less their prefix "mesh.". It reports
// whether the name is one of them.
func (r *reading) recommendedTag(name, value string) bool {
	switch name {
	case "upstream.host":
		r.setUpstreamHost(value)
	case "upstream.workload":
		r.call.EndpointMetadata = dash(value)
	case "upstream.principal":
		r.call.UpstreamSAN = spiffeOf(value)
	case "downstream.host":
		r.downstreamDirect = dash(value)
	case "downstream.principal":
		r.setPeerSAN(value)
	default:
		return false
	}
	return true
}

// setPeer reads a field of Istio's peer metadata.
func setPeer(end *mesh.End, pod *string, name, value string) {
	if value == "unknown" || value == "-" || value == "" {
		return
	}
	switch name {
	case "name":
		*pod = value
	case "availability_zone":
		end.Zone = value
	case "identity":
		end.Principal = value
	case "revision":
		if value != "latest" {
			end.Version = value
		}
	case "label.service.istio.io/canonical-name":
		end.Service = value
	case "label.service.istio.io/canonical-revision":
		if value != "latest" {
			end.Version = value
		}
	case "version":
		// The revision is the canonical name of the version and wins, whichever comes first.
		if end.Version == "" {
			end.Version = value
		}
	case "network", "principal", "zone":
	default:
		if field := endField(end, name); field != nil {
			*field = value
		}
	}
}

// istioAttribute reads the tags of Istio's proxies: about themselves, and those that waypoints add about both ends.
func (r *reading) istioAttribute(key, value string) {
	switch key {
	case "cluster_id":
		r.tagCluster = value
	case "namespace":
		r.tagNamespace = value
	case "canonical_service":
		r.tagService = value
	case "canonical_revision":
		r.tagRevision = value
	default:
		if name, ok := strings.CutPrefix(key, "source_"); ok {
			setTag(&r.call.SourceTag, &r.call.SourceName, name, value)
		} else if name, ok := strings.CutPrefix(key, "destination_"); ok {
			setTag(&r.call.DestinationTag, &r.call.DestinationName, name, value)
		}
	}
}

// setTag reads a tag that waypoints add (istio/istio pilot/pkg/networking/core/tracing.go, since 1.29).
func setTag(end *mesh.End, pod *string, name, value string) {
	if value == "unknown" || value == "-" || value == "" {
		return
	}
	switch name {
	case "workload":
		end.Workload = value
	case "namespace":
		end.Namespace = value
	case "cluster_id":
		end.Cluster = value
	case "canonical_service":
		end.Service = value
	case "canonical_revision":
		if value != "latest" {
			end.Version = value
		}
	case "app_version":
		// The revision is the canonical name of the version and wins, whichever comes first.
		if end.Version == "" {
			end.Version = value
		}
	case "instance_name":
		*pod = value
	}
}

// meshAttribute reads what an earlier mesh_topology processor stamped, and the tags that the guide tells users to
// configure.
func (r *reading) meshAttribute(key string, value pcommon.Value) {
	if r.recommendedTag(key[len("mesh."):], value.Str()) {
		return
	}
	// What the body of a record says is the sender's word, and not what a processor stamped.
	if !r.inBody {
		r.stamped.read(&r.call.Stamped, key, value)
	}
}

// headerPort ends an address that Envoy took from a header, x-forwarded-for most often: connections have a port. Any
// caller can write one, so it tells nothing.
const headerPort = ":0"

// isNodeID says whether the text is the id of an Istio proxy: other instrumentations have a node_id of their own.
func isNodeID(text string) bool {
	_, err := envoy.ParseNodeID(text)
	return err == nil
}

// settle decides which of several names tell the two addresses of the call.
func (r *reading) settle(kind rules.Kind) {
	c := &r.call
	c.Kind = kind
	if c.UpstreamCluster == "" {
		c.UpstreamCluster = r.statsName
	}
	if kind == rules.ClientKind && r.networkPeer != "" && r.peerIsDownstream() {
		r.peerAddress, r.networkPeer = r.networkPeer, ""
	}
	c.Attempt = kind == rules.ClientKind && !r.request && (r.upstreamAddress != "" || r.networkPeer != "")
	switch {
	case dash(r.upstreamAddress) != "":
		c.UpstreamAddress = r.upstreamAddress
	case r.upstreamHost != "":
		c.UpstreamAddress = r.upstreamHost
	case kind == rules.ClientKind && r.networkPeer != "":
		c.UpstreamAddress, c.UpstreamPort, c.UpstreamMayBeOwn = r.networkPeer, r.networkPeerPort, !r.translated
	}
	switch {
	case r.downstreamDirect != "":
		// The remote address may be what a header says; the direct one is the connection's.
		c.DownstreamAddress = r.downstreamDirect
	case r.downstream != "":
		if !strings.HasSuffix(r.downstream, headerPort) {
			c.DownstreamAddress = r.downstream
		}
	case r.peerAddress != "" && r.upstreamAddress == "":
		// Beside an upstream address, Envoy writes the upstream under this name too.
		c.DownstreamAddress = r.peerAddress
	case kind == rules.ServerKind && r.networkPeer != "":
		c.DownstreamAddress = r.networkPeer
	case kind != rules.ClientKind:
		c.DownstreamAddress = r.clientAddress
	}
}

// peerIsDownstream says whether network.peer.address of a CLIENT span is who called the proxy. With its new names, Envoy
// writes that on the span of a request, and the upstream on the span of an attempt, under the same name. What the
// envoy_semconv processor has translated means the upstream always; so does what differs from a legacy name beside it.
func (r *reading) peerIsDownstream() bool {
	return r.request && !r.translated && r.upstreamAddress == "" && (r.peerAddress == "" || r.peerAddress == r.networkPeer)
}

// reporter adds what the item says of who reported it to what the resource says.
func (r *reading) reporter(base rules.Reporter) rules.Reporter {
	if base.NodeID == "" {
		base.NodeID = r.nodeID
	}
	if base.Pod == "" && base.NodeID == "" && r.podName != "" {
		base.Pod = r.podName
		if r.podNamespace != "" {
			base.Namespace = r.podNamespace
		}
	}
	base.TagCluster, base.TagNamespace = r.tagCluster, r.tagNamespace
	if base.TagCluster == "" {
		base.TagCluster = r.podCluster
	}
	base.TagService, base.TagRevision = r.tagService, r.tagRevision
	return base
}

func port(value pcommon.Value) uint16 {
	n := value.Int()
	if value.Type() == pcommon.ValueTypeStr {
		n, _ = strconv.ParseInt(value.Str(), 10, 64)
	}
	if n < 0 || n > 65535 {
		return 0
	}
	return uint16(n)
}
