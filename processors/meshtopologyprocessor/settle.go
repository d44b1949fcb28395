// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

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
