// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

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
		r.look(key, value)
	}
}

// weight says what of an attribute's value the reading depends on. It follows from the key alone.
type weight uint8

const (
	// weightless: nothing, at most on whether the attribute is there.
	weightless weight = iota
	// whole: all of it.
	whole
	// caller: the address of who called, without its port, see [callerOf].
	caller
	// peerPort: all of it, if the item is a CLIENT span.
	peerPort
	// aboutReporter: all of it, but only for the question who reported the item.
	aboutReporter
)

// look reads an attribute.
func (r *reading) look(key string, value pcommon.Value) weight {
	var first byte
	if key != "" {
		first = key[0]
	}
	// By the first byte first: most keys begin with none of these.
	switch {
	case first == 'm' && strings.HasPrefix(key, "mesh."):
		return r.meshAttribute(key, value)
	case first == 'i' && strings.HasPrefix(key, "istio."):
		return r.istioAttribute(key[len("istio."):], value.Str())
	case first == 'e' && strings.HasPrefix(key, "envoy."):
		r.proxy, r.translated = true, true
		return r.envoyAttribute(key[len("envoy."):], value.Str())
	default:
		return r.attribute(key, value)
	}
}

// attribute reads the names of Envoy's spans, of semantic conventions and of Istio's JSON access log.
func (r *reading) attribute(key string, value pcommon.Value) weight {
	switch key {
	case "component":
		r.proxy = r.proxy || value.Str() == "proxy"
	case "node_id":
		r.nodeID = value.Str()
		r.proxy = r.proxy || isNodeID(r.nodeID)
	case "zone":
		// Read only where the item names its proxy: other instrumentations have a zone of their own.
		r.zone = value.Str()
		return aboutReporter
	case "upstream_cluster":
		r.call.UpstreamCluster = value.Str()
		r.proxy = r.proxy || r.call.UpstreamCluster != ""
	case "upstream_cluster.name":
		r.statsName = value.Str()
	case "http.method", "http.request.method", "http.url", "url.full", "user_agent", "user_agent.original", "guid:x-request-id":
		r.request = true
		return weightless
	case "upstream_address":
		r.upstreamAddress = value.Str()
	case "upstream_host":
		r.setUpstreamHost(value.Str())
	case "network.peer.address":
		r.networkPeer = value.Str()
	case "network.peer.port":
		r.networkPeerPort = port(value)
		return peerPort
	case "peer.address":
		r.peerAddress = value.Str()
	case "client.address":
		r.clientAddress = value.Str()
	case "downstream_remote_address":
		r.downstream = value.Str()
		return caller
	case "downstream_direct_remote_address":
		r.downstreamDirect = dash(value.Str())
		return caller
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
		return aboutReporter
	case "k8s.namespace.name", "pod_namespace":
		r.podNamespace = value.Str()
		return aboutReporter
	case "k8s.cluster.name":
		r.podCluster = value.Str()
		return aboutReporter
	case "tls.protocol.version", "tls.cipher":
		r.tls = true
		return weightless
	default:
		return weightless
	}
	return whole
}

func (r *reading) envoyAttribute(key, value string) weight {
	switch key {
	case "node.id":
		if r.nodeID == "" {
			r.nodeID = value
		}
	case "zone":
		r.zone = value
		return aboutReporter
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
		return weightless
	default:
		if name, ok := strings.CutPrefix(key, "upstream_peer."); ok {
			setPeer(&r.call.UpstreamPeer, &r.call.UpstreamPod, name, value)
		} else if name, ok := strings.CutPrefix(key, "downstream_peer."); ok {
			setPeer(&r.call.DownstreamPeer, &r.call.DownstreamPod, name, value)
		} else if name, ok := strings.CutPrefix(key, "custom_tag.mesh."); ok {
			return r.recommendedTag(name, value)
		} else {
			return weightless
		}
	}
	return whole
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

// recommendedTag reads the custom tags that the guide tells users to configure, less their prefix "mesh.". It returns
// weightless for a name that is none of them.
func (r *reading) recommendedTag(name, value string) weight {
	switch name {
	case "upstream.host":
		r.setUpstreamHost(value)
	case "upstream.workload":
		r.call.EndpointMetadata = dash(value)
	case "upstream.principal":
		r.call.UpstreamSAN = spiffeOf(value)
	case "downstream.host":
		r.downstreamDirect = dash(value)
		return caller
	case "downstream.principal":
		r.setPeerSAN(value)
	default:
		return weightless
	}
	return whole
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
func (r *reading) istioAttribute(key, value string) weight {
	switch key {
	case "cluster_id":
		r.tagCluster = value
	case "namespace":
		r.tagNamespace = value
		return aboutReporter
	case "canonical_service":
		r.tagService = value
		return aboutReporter
	case "canonical_revision":
		r.tagRevision = value
		return aboutReporter
	default:
		if name, ok := strings.CutPrefix(key, "source_"); ok {
			setTag(&r.call.SourceTag, &r.call.SourceName, name, value)
		} else if name, ok := strings.CutPrefix(key, "destination_"); ok {
			setTag(&r.call.DestinationTag, &r.call.DestinationName, name, value)
		} else {
			return weightless
		}
	}
	return whole
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
func (r *reading) meshAttribute(key string, value pcommon.Value) weight {
	if w := r.recommendedTag(key[len("mesh."):], value.Str()); w != weightless {
		return w
	}
	// What the body of a record says is the sender's word, and not what a processor stamped.
	if !r.inBody && r.stamped.read(&r.call.Stamped, key, value) {
		return whole
	}
	return weightless
}
