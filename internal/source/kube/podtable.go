// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/binary"
	"hash/maphash"
	"time"
	"unique"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// podRow is all that stays of a pod that was told.
type podRow struct {
	uid topology.UID
	// hash is of all that is told, addresses of the addresses alone.
	hash, addresses uint64
	// seen is the first Seen of the addresses, in Unix nanoseconds.
	seen int64
	// workload names gateways, service the canonical service.
	workload, service unique.Handle[string]
	listing           uint32
	ended             bool
	// unseen says that nobody watched when the pod got its addresses: another may have had them shortly before.
	unseen bool
}

// podTable tells what changed about pods. It has one for pods and one for WorkloadEntries.
type podTable struct {
	rows map[topology.ObjectName]podRow
	// endings are, for the few pods that somebody asked to delete, the earliest moment at which they may have given up
	// their addresses, in Unix nanoseconds.
	endings map[topology.ObjectName]int64
	seed    maphash.Seed
	// none is the hash of no addresses.
	none uint64
	// salt changes when what is told of all pods may have.
	salt uint64
	// listed is when the newest listing was seen: before, nobody watched.
	listed time.Time
	// upsert and end tell.
	upsert func(*topology.PodState)
	end    func(topology.PodEnd)
}

func newPodTable(upsert func(*topology.PodState), end func(topology.PodEnd)) *podTable {
	t := &podTable{rows: map[topology.ObjectName]podRow{}, endings: map[topology.ObjectName]int64{}, seed: maphash.MakeSeed(), upsert: upsert, end: end}
	_, t.none = t.hash(&topology.PodState{})
	return t
}

func (t *podTable) put(m *message, item *podItem) {
	state := &item.state
	old, known := t.rows[m.name]
	held := known && !old.ended
	if held && old.uid != state.UID {
		// Another pod of the name, and the end of the first was missed.
		t.end(t.missed(m.name, &old, m.observed))
		held = false
	}
	if old.uid != state.UID {
		delete(t.endings, m.name)
	}
	now := podRow{uid: state.UID, listing: m.listing, ended: item.ended, workload: unique.Make(state.Workload), service: unique.Make(state.Service)}
	if item.ended {
		if held {
			t.end(topology.PodEnd{
				Namespace: m.name.Namespace, Name: m.name.Name, UID: old.uid, Earliest: item.earliest, Latest: item.latest,
				// Who learns it from a listing did not see who had the addresses since.
				Gap: m.listed,
			})
		}
		delete(t.endings, m.name)
		t.rows[m.name] = now
		return
	}
	if _, ending := t.endings[m.name]; !ending && !item.ending.IsZero() {
		t.endings[m.name] = item.ending.UnixNano()
	}
	now.hash, now.addresses = t.hash(state)
	if m.listed && m.observed.After(t.listed) {
		t.listed = m.observed
	}
	if held && m.listed && old.addresses != now.addresses && old.addresses != t.none {
		// It moved while nobody watched, and others may have had the addresses that it left.
		t.end(t.missed(m.name, &old, m.observed))
		held = false
	}
	// Kubernetes tells whole seconds: one that was seen to come may have had its addresses since before the listing, as far as
	// anybody knows, and so may another have that came and went.
	unwatched := m.listed || state.Since.Before(t.listed)
	if now.bound(state, &old, held, unwatched) {
		now.hash, _ = t.hash(state)
	}
	if !held || old.hash != now.hash {
		t.upsert(state)
	}
	t.rows[m.name] = now
}

// bound narrows the time at which the pod got its addresses by what the row of before knows, and by whether anybody
// watched. It says whether it changed the state.
func (r *podRow) bound(state *topology.PodState, old *podRow, held, unwatched bool) (changed bool) {
	same := held && old.addresses == r.addresses
	r.unseen = same && old.unseen || !same && unwatched
	r.seen = state.Seen.UnixNano()
	if same && len(state.Addresses) > 0 && old.seen < r.seen {
		r.seen = old.seen
		state.Seen = time.Unix(0, old.seen)
		if state.Since.After(state.Seen) {
			state.Since = state.Seen
		}
		changed = true
	}
	if r.unseen && state.Seen.Sub(state.Since) <= granularity {
		// The condition's second may have begun with a pod that came and went between two listings.
		state.Unseen, changed = true, true
	}
	return changed
}

func (t *podTable) drop(m *message) {
	old, known := t.rows[m.name]
	if !known {
		return
	}
	ending, asked := t.endings[m.name]
	delete(t.rows, m.name)
	delete(t.endings, m.name)
	if old.ended {
		return
	}
	end := topology.PodEnd{Namespace: m.name.Namespace, Name: m.name.Name, UID: old.uid, Earliest: m.observed, Latest: m.observed}
	if gone, ok := m.value.(podGone); ok {
		end.Earliest, end.Latest = gone.earliest, gone.latest
	}
	// The last event tells when the pod was taken out of the API server, which a kubelet asks for when the sandbox is gone
	// for a while; the first one told when the end began.
	if asked {
		end.Earliest = earlier(end.Earliest, time.Unix(0, ending))
	}
	t.end(end)
}

// sweep ends the pods that a listing did not bring. They ended while nobody watched, and so may others have that held
// their addresses after them.
func (t *podTable) sweep(m *message) {
	for name, row := range t.rows {
		if row.listing == m.listing {
			continue
		}
		end := t.missed(name, &row, m.observed)
		delete(t.rows, name)
		delete(t.endings, name)
		if !row.ended {
			t.end(end)
		}
	}
}

// missed is the end of a pod that ended while nobody watched.
func (t *podTable) missed(name topology.ObjectName, row *podRow, observed time.Time) topology.PodEnd {
	end := topology.PodEnd{Namespace: name.Namespace, Name: name.Name, UID: row.uid, Latest: observed, Gap: true}
	if ending, asked := t.endings[name]; asked {
		end.Earliest = time.Unix(0, ending)
	}
	return end
}

// hash leaves out Seen: it is new each time a pod is seen, and that is no news.
func (t *podTable) hash(p *topology.PodState) (all, addresses uint64) {
	var h maphash.Hash
	h.SetSeed(t.seed)
	for _, a := range p.Addresses {
		b := a.As16()
		h.Write(b[:])
	}
	addresses = h.Sum64()
	for _, text := range [...]string{
		p.Name, p.Namespace, p.Node, p.Network, p.Region, p.Zone, p.Workload, p.Kind, p.Service, p.Version, p.ServiceAccount,
		p.Revision,
	} {
		h.WriteString(text)
		h.WriteByte(0)
	}
	var b [8]byte
	if len(p.Addresses) > 0 && p.Since != p.Seen {
		binary.LittleEndian.PutUint64(b[:], uint64(p.Since.Unix()))
		h.Write(b[:])
	}
	binary.LittleEndian.PutUint64(b[:], t.salt)
	h.Write(b[:])
	if p.HostNetwork {
		h.WriteByte(1)
	}
	if p.Unseen {
		h.WriteByte(2)
	}
	if p.Waypoint {
		h.WriteByte(3)
	}
	return h.Sum64(), addresses
}
