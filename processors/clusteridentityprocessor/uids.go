// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxUIDs is how many uids are remembered; further ones are not held to their first cluster. A cluster has one, and a few
	// after it was made anew: of more than maxOfCluster the oldest is forgotten, so that no sender can fill the memory with
	// uids that it makes up, and then take another cluster's.
	maxUIDs      = 4096
	maxOfCluster = 4
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
	// of are the uids of each cluster that are in seen, the oldest first.
	of map[string][]string
	// swept is when silent ones were last forgotten.
	swept time.Time
}

type uidHolder struct {
	cluster string
	last    time.Time
}

func newUIDs(pinned map[string]string) *uids {
	u := &uids{pinned: pinned, owners: map[string]string{}, seen: map[string]uidHolder{}, of: map[string][]string{}}
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
	case known && held.cluster == cluster:
		u.seen[uid] = uidHolder{held.cluster, now}
		return true
	case known && now.Sub(held.last) < uidHeld && !speaks(held.cluster):
		return false
	case known:
		u.forget(uid, held.cluster)
	}
	if mine := u.of[cluster]; len(mine) >= maxOfCluster {
		u.forget(mine[0], cluster)
	}
	if len(u.seen) < maxUIDs || u.sweep(now) {
		// Copies: what came is the batch's memory.
		uid, cluster = strings.Clone(uid), strings.Clone(cluster)
		u.seen[uid], u.of[cluster] = uidHolder{cluster, now}, append(u.of[cluster], uid)
	}
	return true
}

func (u *uids) forget(uid, cluster string) {
	delete(u.seen, uid)
	rest := slices.DeleteFunc(u.of[cluster], func(other string) bool { return other == uid })
	if u.of[cluster] = rest; len(rest) == 0 {
		delete(u.of, cluster)
	}
}

// sweep forgets what fell silent, now and then, and says whether there is room.
func (u *uids) sweep(now time.Time) bool {
	if now.Sub(u.swept) < uidHeld/16 {
		return false
	}
	u.swept = now
	for uid, held := range u.seen {
		if now.Sub(held.last) >= uidHeld {
			u.forget(uid, held.cluster)
		}
	}
	return len(u.seen) < maxUIDs
}
