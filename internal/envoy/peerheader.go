// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"encoding/base64"
	"strings"
)

// ParseHeader reads the value of the header x-envoy-peer-metadata: a google.protobuf.Struct in base64, with or without
// padding, as Envoy takes both (envoyproxy/envoy contrib/istio/filters/http/peer_metadata, MXMethod::lookup). It
// allocates what it decodes. A header proves nothing by itself: outside the mesh any client can write one.
func (p *Peer) ParseHeader(s string) error {
	p.reset()
	if len(s) > base64.StdEncoding.EncodedLen(maxPeerSize) {
		return ErrPeerTooLarge
	}
	if s == "" {
		return ErrPeerEmpty
	}
	if strings.ContainsAny(s, "\r\n") {
		return ErrPeerMalformed // Go's decoder passes over line breaks, which no header can hold.
	}
	text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return ErrPeerMalformed
	}
	return p.ParseStruct(string(text))
}
