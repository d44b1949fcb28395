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

	// Names that are understood together with others only.
	peerAddress, networkPeer, clientAddress  string
	downstream, downstreamDirect             string
	upstreamAddress, upstreamHost, statsName string
	networkPeerPort                          uint16
}

// attributes reads a map.
func (r *reading) attributes(attrs pcommon.Map) {
	for key, value := range attrs.All() {
		switch {
		case strings.HasPrefix(key, "mesh."):
			r.meshAttribute(key, value)
		case strings.HasPrefix(key, "istio."):
			r.istioAttribute(key[len("istio."):], value.Str())
		case strings.HasPrefix(key, "envoy."):
			r.proxy = true
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
	case "upstream_address":
		r.upstreamAddress = value.Str()
	case "upstream_host":
		r.upstreamHost = value.Str()
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
	case "downstream_local_address":
		r.call.DownstreamLocal = value.Str()
	case "response_flags":
		r.call.NoUpstream = rules.NoUpstream(value.Str())
	case "requested_server_name":
		r.call.SNI = value.Str()
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
		r.nodeID = value
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
		r.call.PeerSAN, r.tls = value, true
	case "tls.local.san":
		r.tls = true
	default:
		if key == "custom_tag.mesh.upstream.workload" {
			r.call.EndpointMetadata = value
		} else if name, ok := strings.CutPrefix(key, "upstream_peer."); ok {
			setPeer(&r.call.UpstreamPeer, name, value)
		} else if name, ok := strings.CutPrefix(key, "downstream_peer."); ok {
			setPeer(&r.call.DownstreamPeer, name, value)
		}
	}
}

// setPeer reads a field of Istio's peer metadata.
func setPeer(end *mesh.End, name, value string) {
	if value == "unknown" || value == "-" || value == "" {
		return
	}
	switch name {
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
			setTag(&r.call.SourceTag, name, value)
		} else if name, ok := strings.CutPrefix(key, "destination_"); ok {
			setTag(&r.call.DestinationTag, name, value)
		}
	}
}

func setTag(end *mesh.End, name, value string) {
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
	}
}

// meshAttribute reads what an earlier mesh_topology processor stamped, and the two tags that the guide tells users to
// configure.
func (r *reading) meshAttribute(key string, value pcommon.Value) {
	switch key {
	case "mesh.upstream.host":
		r.upstreamHost = value.Str()
	case "mesh.upstream.workload":
		r.call.EndpointMetadata = value.Str()
	case staleKey:
		r.call.Stamped.Stale = value.Bool()
	default:
		readStamped(&r.call.Stamped, key, value.Str())
	}
}

// readStamped reads one attribute of a verdict.
func readStamped(v *rules.Verdict, key, value string) {
	switch key {
	case sourceResolutionKey:
		v.SourceBy, _ = mesh.ParseResolution(value)
	case destinationResolutionKey:
		v.DestinationBy, _ = mesh.ParseResolution(value)
	case viaKey:
		v.Via = value
	case tlsKey:
		v.TLS = value
	default:
		var field *string
		if name, ok := strings.CutPrefix(key, sourcePrefix); ok {
			field = endField(&v.Source, name)
		} else if name, ok := strings.CutPrefix(key, destinationPrefix); ok {
			field = endField(&v.Destination, name)
		}
		if field != nil {
			*field = value
		}
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
	switch {
	case dash(r.upstreamAddress) != "":
		c.UpstreamAddress = r.upstreamAddress
	case dash(r.upstreamHost) != "":
		c.UpstreamAddress = r.upstreamHost
	case kind == rules.ClientKind && r.networkPeer != "":
		c.UpstreamAddress, c.UpstreamPort, c.UpstreamMayBeOwn = r.networkPeer, r.networkPeerPort, true
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
