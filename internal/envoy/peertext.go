// SPDX-License-Identifier: Apache-2.0

package envoy

import "strings"

// textLabel begins the key of a label in the text form.
const textLabel = "labels[]"

// ParseText reads the text of a filter state object, as %FILTER_STATE(upstream_peer_obj:PLAIN)% prints it:
// "type=deployment,workload=reviews-v1,cluster=aks-westeurope,labels[]tier=back" (envoyproxy/envoy
// contrib/istio/filters/common, WorkloadMetadataObject::serializeAsString). Nothing is escaped there, so a value with a
// comma makes the text malformed, or leaves a part of it that has no "=". It does not allocate once p has room for the
// labels.
func (p *Peer) ParseText(s string) error {
	p.reset()
	if len(s) > maxPeerSize {
		return ErrPeerTooLarge
	}
	for s != "" {
		var pair string
		pair, s, _ = strings.Cut(s, ",")
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" || strings.IndexByte(value, '=') >= 0 {
			return p.fail(ErrPeerMalformed)
		}
		var err error
		if label, isLabel := strings.CutPrefix(key, textLabel); isLabel {
			err = p.addLabel(label, value)
		} else {
			err = p.set(key, value)
		}
		if err != nil {
			return p.fail(err)
		}
	}
	return p.finish()
}
