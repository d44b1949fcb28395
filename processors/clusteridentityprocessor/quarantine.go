// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// What a quarantined resource gets.
const (
	quarantineKey = ownPrefix + "quarantine"
	senderKey     = ownPrefix + "sender"
	claimedPrefix = ownPrefix + "claimed."
)

// quarantine puts a resource under the sender's own cluster, marked with the reason and the sender. What it and its items
// claim stands beside that as mesh.identity.claimed.*, which nobody takes for a place.
func (b *batch) quarantine(resource pcommon.Map, f finding, aside func(moving)) {
	resource.RemoveIf(func(key string, _ pcommon.Value) bool { return strings.HasPrefix(key, ownPrefix) })
	m := moving{}
	m.attributes(resource)
	aside(m)
	resource.PutStr(quarantineKey, reasonWords[f.reason])
	resource.PutStr(senderKey, b.id.Name)
	resource.PutStr(clusterKey, b.id.Sole())
}

// moving moves claims aside.
type moving struct{}

// isClaim says whether a key names a cluster, or looks like one that does.
func isClaim(key string) bool {
	switch key {
	case clusterKey, uidKey, istioKey, "source_cluster", "destination_cluster", "istio.source_cluster_id", "istio.destination_cluster_id",
		"src.cluster", "dst.cluster", "ztunnel.source.cluster", "ztunnel.destination.cluster":
		return true
	}
	// All that an earlier verdict says of the two ends goes with their clusters.
	return strings.HasPrefix(key, "mesh.source.") || strings.HasPrefix(key, "mesh.destination.") || strings.HasPrefix(key, "mesh.resolution.") ||
		disguised(key)
}

func (moving) attributes(attrs pcommon.Map) {
	type claim struct{ key, value string }
	var claims []claim
	attrs.RemoveIf(func(key string, value pcommon.Value) bool {
		if !isClaim(key) {
			return false
		}
		claims = append(claims, claim{key, value.AsString()})
		return true
	})
	for _, c := range claims {
		attrs.PutStr(claimedPrefix+c.key, c.value)
	}
}

// body moves the claims of a log record's body. A text is moved whole: no other part of it is worth more than its words.
func (m moving) body(body pcommon.Value, attrs pcommon.Map) {
	switch body.Type() {
	case pcommon.ValueTypeMap:
		m.attributes(body.Map())
	case pcommon.ValueTypeStr:
		if mayClaim(body.Str()) {
			attrs.PutStr(claimedPrefix+"body", body.Str())
			body.SetStr("")
		}
	}
}
