// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"strings"
	"sync"
	"time"
)

const (
	// maxUIDs is how many uids are remembered; further ones are not held to their first cluster.
	maxUIDs = 4096
	// uidHeld is for how long a cluster that fell silent keeps its uid: one that was renamed comes back with the same.
	uidHeld = time.Hour
)

// uids holds whose each uid is. The hub takes a cluster that comes under another one's uid for that one renamed, and
// forgets the old name, so that a uid is a claim too. Safe for concurrent use.
type uids struct {
	pinned map[string]string
	owners map[string]string

	mu   sync.Mutex
	seen map[string]uidHolder
}

type uidHolder struct {
	cluster string
	last    time.Time
}

func newUIDs(pinned map[string]string) *uids {
	u := &uids{pinned: pinned, owners: map[string]string{}, seen: map[string]uidHolder{}}
	for cluster, uid := range pinned {
		u.owners[uid] = cluster
	}
	return u
}

// mine says whether the cluster may have the uid; other clusters may not from now on. speaks says whether the sender may
// speak for another cluster, whose uid it may then use.
func (u *uids) mine(cluster, uid string, speaks func(string) bool, now time.Time) bool {
	if uid == "" {
		return true
	}
	if want, ok := u.pinned[cluster]; ok {
		return want == uid
	}
	if _, ok := u.owners[uid]; ok {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	held, known := u.seen[uid]
	switch {
	case known && held.cluster != cluster && now.Sub(held.last) < uidHeld && !speaks(held.cluster):
		return false
	case !known && len(u.seen) >= maxUIDs:
		return true
	case known && held.cluster == cluster:
		u.seen[uid] = uidHolder{held.cluster, now}
	default:
		// Copies: what came is the batch's memory.
		u.seen[strings.Clone(uid)] = uidHolder{strings.Clone(cluster), now}
	}
	return true
}
