// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// compareUIDs finds clusters that have several names.
func (a *Assembler) compareUIDs(now time.Time) {
	names := make(map[string]int, len(a.clusters))
	for _, c := range a.clusters {
		names[c.uid]++
	}
	for _, uid := range slices.Sorted(maps.Keys(names)) {
		if names[uid] > 1 {
			a.sameUID(uid, nil, now)
		}
	}
}

// sameUID forgets the names that the cluster of a uid had before, as all of its addresses would be ambiguous, and reports
// names that it has at the same time. The stream that begins, if one does, is not forgotten.
func (a *Assembler) sameUID(uid string, begins *stream, now time.Time) {
	if uid == "" || a.replaying {
		return
	}
	var speak, silent []*stream
	for _, name := range slices.Sorted(maps.Keys(a.clusters)) {
		switch c := a.clusters[name]; {
		case c.uid != uid || !c.known:
		case c != begins && now.Sub(c.heard) >= a.settings.StaleAfter:
			silent = append(silent, c)
		case !c.restored:
			speak = append(speak, c)
		}
	}
	for _, old := range silent {
		if i := slices.IndexFunc(speak, old.became); i >= 0 {
			a.rename(old, speak[i], now)
		}
	}
	if len(speak) < 2 {
		return
	}
	if c := speak[1]; due(&c.names, now) {
		a.find(topology.KindDuplicateClusterName, c.name, "uid "+clip(uid), now, fmt.Sprintf(
			"one cluster, two names: the inventories of %q and %q have the same uid %s, so that all of its addresses are "+
				"ambiguous; let its mesh_inventory receivers agree on one name (key 'cluster'). A name that is no longer used "+
				"is forgotten after a silence of %s", speak[0].name, c.name, clip(uid), a.settings.StaleAfter))
	}
}

// became says whether the silent cluster goes on as the other one. Two that spoke at the same time for long are two
// clusters, one of which is a copy of the other with its uid.
func (c *stream) became(other *stream) bool {
	both := c.began
	if other.began.After(both) {
		both = other.began
	}
	return c.heard.Sub(both) < c.a.settings.StaleAfter
}

// rename forgets the name that a cluster had before.
func (a *Assembler) rename(old, c *stream, now time.Time) {
	old.drop()
	delete(a.clusters, old.name)
	a.act(Action{Kind: ActionRemove, Cluster: old.name})
	a.find(topology.KindDuplicateClusterName, c.name, "uid "+clip(c.uid), now, fmt.Sprintf(
		"cluster %q was renamed to %q: its uid %s is the same, and the old name, silent for %s, is forgotten; if both "+
			"clusters exist, one is a copy of the other, and needs a namespace kube-system with a uid of its own",
		old.name, c.name, clip(c.uid), now.Sub(old.heard).Round(time.Second)))
}
