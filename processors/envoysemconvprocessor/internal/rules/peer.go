// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
)

// peer sorts out the addresses of a span. Envoy's peer.address has two meanings: on the span of a request it is who
// sent the request to this proxy, also when the span's kind is CLIENT; on the span of an attempt to an upstream it
// repeats the upstream's address. Only upstream_address is ever the callee.
func peer(c *Call, out *Output) {
	upstream := c.text[KeyUpstreamAddress]
	portInPeer := c.portInPeerAddress() && (upstream == "" || sameAddress(upstream, c.semconv.peerAddress))
	calleeKnown := c.Kind == KindClient && writeAddress(out, upstream, networkPeerAddress, networkPeerPort, false)
	if !calleeKnown {
		out.move("envoy.upstream.address", c, KeyUpstreamAddress)
	}
	downstream := c.text[KeyPeerAddress]
	switch {
	case c.Kind == KindServer:
		client(c, out, downstream)
	case sameAddress(downstream, upstream):
	default:
		out.move("envoy.downstream.address", c, KeyPeerAddress)
	}
	switch {
	case networkPeerIsDownstream(c):
		out.DropNetworkPeer = true
		out.derive("envoy.downstream.address", c.networkPeer())
	case portInPeer:
		// It is written again in two attributes.
		out.DropNetworkPeer = true
		if !calleeKnown {
			writeAddress(out, c.semconv.peerAddress, networkPeerAddress, networkPeerPort, false)
		}
	}
}

// portInPeerAddress reports whether network.peer.address holds a port, as Envoy writes it on the span of an attempt.
func (c *Call) portInPeerAddress() bool {
	if c.semconv.peerAddress == "" || c.semconv.peerPort != "" {
		return false
	}
	_, port, ok := envoy.ParseAddress(c.semconv.peerAddress)
	return ok && port > 0
}

// networkPeer returns network.peer.address with its port, if known.
func (c *Call) networkPeer() string {
	if c.semconv.peerAddress == "" || c.semconv.peerPort == "" {
		return c.semconv.peerAddress
	}
	return net.JoinHostPort(c.semconv.peerAddress, c.semconv.peerPort)
}

// client writes the caller of a SERVER span. client.address may be taken by an address further away, which came in a
// header; that is no conflict, and who called this proxy is kept under another name.
func client(c *Call, out *Output, address string) {
	peer := c.networkPeer()
	if peer != "" {
		if address != "" && !sameAddress(address, peer) {
			out.Conflicts++
		}
		address = peer
	}
	if taken := c.semconv.clientAddress; taken != "" && peer == "" && !sameAddress(taken, address) {
		out.rename("envoy.downstream.address", address)
		return
	}
	first := len(out.Attributes)
	if !writeAddress(out, address, clientAddress, clientPort, true) {
		out.derive(clientAddress, address)
	}
	if len(out.Attributes) > first && out.Attributes[first].Text == c.text[KeyPeerAddress] {
		out.Attributes[first].Source = KeyPeerAddress
	}
}

// networkPeerIsDownstream reports whether network.peer.address names the caller although the span's kind is CLIENT:
// with the new names Envoy says there what it says in peer.address. A legacy peer.address that differs proves that
// somebody else wrote it, so it stays.
func networkPeerIsDownstream(c *Call) bool {
	if c.Kind != KindClient || c.semconv.peerAddress == "" || c.text[KeyUpstreamAddress] != "" {
		return false
	}
	if legacy := c.text[KeyPeerAddress]; legacy != "" {
		return sameAddress(c.semconv.peerAddress, legacy)
	}
	return c.startsAtDownstream()
}

// writeAddress writes an IP and, if known, a port. It reports false for texts that are no address, such as the path
// of a Unix socket.
func writeAddress(out *Output, text, addressName, portName string, derived bool) bool {
	ip, port, ok := envoy.ParseAddress(text)
	if !ok {
		return false
	}
	out.Attributes = append(out.Attributes, Attribute{Name: addressName, Text: ip, Derived: derived})
	if port > 0 {
		out.Attributes = append(out.Attributes,
			Attribute{Name: portName, Type: Int, Int: int64(port), Derived: derived, Follows: true})
	}
	return true
}

// sameAddress reports whether two texts name one address; a port that only one of them has does not matter.
func sameAddress(a, b string) bool {
	if a == b {
		return true
	}
	ipA, portA, okA := envoy.ParseAddress(a)
	ipB, portB, okB := envoy.ParseAddress(b)
	return okA && okB && ipA == ipB && (portA == portB || portA == 0 || portB == 0)
}
