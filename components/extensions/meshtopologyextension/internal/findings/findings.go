// SPDX-License-Identifier: Apache-2.0

// Package findings keeps what was found wrong with the mesh, for people: each thing once, however often it is reported.
//
//   - [Table.Report] takes a finding, [Table.Resolve] says that what it was about is over.
//   - [Table.List] and [Table.Counts] read it.
package findings

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Limits of a [Table].
const (
	// Max is the most findings kept.
	Max = 1000
	// MaxText is the longest subject and cluster in bytes, MaxDetail the longest detail: findings quote what others wrote.
	MaxText   = 512
	MaxDetail = 2048
	// KeepResolved is how long a finding stays after it was resolved.
	KeepResolved = time.Hour
	// Forget is how long a finding stays that nobody reports again. Nobody says when a conflict of two pods or a wrong
	// locality is over: it is when it is not seen any more.
	Forget = 24 * time.Hour
)

// Entry is what the table knows of one thing.
type Entry struct {
	topology.Finding
	// First and Last are when it was reported first and last.
	First, Last time.Time
	// Count is how often it was reported.
	Count uint64
	// Resolved is when it was over; zero while it is not.
	Resolved time.Time
}

type key struct{ kind, cluster, subject string }

// Table is the list. Make it with [New]. Safe for concurrent use.
type Table struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[key]*Entry
	evicted uint64
}

// New returns an empty table.
func New(now func() time.Time) *Table {
	return &Table{now: now, entries: map[key]*Entry{}}
}

// conditions are the kinds that someone resolves when they are over. The others are forgotten when nobody reports them.
var conditions = map[string]bool{
	topology.KindDuplicateClusterName: true, topology.KindOverlappingPodCIDRs: true, topology.KindTrustDomainClash: true,
	topology.KindClusterStale: true, topology.KindInventoryGap: true, topology.KindKubernetesForbidden: true,
	topology.KindKubernetesUnreachable: true,
}

// Report takes a finding. It returns true if the thing is news: not known, or known and over.
func (t *Table) Report(f topology.Finding) bool {
	f.Cluster, f.Subject, f.Detail = clip(f.Cluster, MaxText), clip(f.Subject, MaxText), clip(f.Detail, MaxDetail)
	now := t.now()
	if f.At.IsZero() || f.At.After(now) {
		f.At = now
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := key{f.Kind, f.Cluster, f.Subject}
	e := t.entries[k]
	if e == nil {
		t.makeRoom()
		e = &Entry{First: f.At}
		t.entries[k] = e
	}
	news := e.Count == 0 || !e.Resolved.IsZero()
	if !e.Resolved.IsZero() {
		// It is back. What was before is over and counted, and does not tell how long it has lasted now.
		e.First, e.Resolved = f.At, time.Time{}
	}
	e.Finding, e.Last = f, f.At
	e.Count++
	return news
}

// Resolve says that something is over. It returns true if it was known and was not over.
func (t *Table) Resolve(kind, cluster, subject string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[key{kind, clip(cluster, MaxText), clip(subject, MaxText)}]
	if e == nil || !e.Resolved.IsZero() {
		return false
	}
	e.Resolved = t.now()
	return true
}

// ResolveCluster says that everything of this kind about the cluster is over, and returns how much that was.
func (t *Table) ResolveCluster(kind, cluster string) (resolved int) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, e := range t.entries {
		if k.kind == kind && k.cluster == cluster && e.Resolved.IsZero() {
			e.Resolved = now
			resolved++
		}
	}
	return resolved
}

// ResolveIf ends what goes on of this kind and is over.
func (t *Table) ResolveIf(kind string, over func(*Entry) bool) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, e := range t.entries {
		if k.kind == kind && e.Resolved.IsZero() && over(e) {
			e.Resolved = now
		}
	}
}

// Prune forgets what was over long ago.
func (t *Table) Prune() {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, e := range t.entries {
		switch {
		case !e.Resolved.IsZero():
			if now.Sub(e.Resolved) >= KeepResolved {
				delete(t.entries, k)
			}
		case !conditions[k.kind] && now.Sub(e.Last) >= Forget:
			delete(t.entries, k)
		}
	}
}

// makeRoom removes one entry of a full table: one that is over if there is one, else the one that was not reported for
// longest.
func (t *Table) makeRoom() {
	if len(t.entries) < Max {
		return
	}
	var victim key
	var oldest *Entry
	for k, e := range t.entries {
		over := !e.Resolved.IsZero()
		if oldest == nil || over && oldest.Resolved.IsZero() || over == !oldest.Resolved.IsZero() && e.Last.Before(oldest.Last) {
			victim, oldest = k, e
		}
	}
	delete(t.entries, victim)
	t.evicted++
}

// List returns all entries: what goes on first, warnings before information, then the latest first.
func (t *Table) List() []Entry {
	t.mu.Lock()
	out := make([]Entry, 0, len(t.entries))
	for _, e := range t.entries {
		out = append(out, *e)
	}
	t.mu.Unlock()
	slices.SortFunc(out, func(a, b Entry) int {
		return cmp.Or(
			compare(!a.Resolved.IsZero(), !b.Resolved.IsZero()), cmp.Compare(a.Severity, b.Severity), b.Last.Compare(a.Last),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Subject, b.Subject),
		)
	})
	return out
}

func compare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// Counts returns how many findings go on, by kind, and how many were pushed out of the full table since the start.
func (t *Table) Counts() (ongoing map[string]int, evicted uint64) {
	ongoing = map[string]int{}
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, e := range t.entries {
		if e.Resolved.IsZero() {
			ongoing[k.kind]++
		}
	}
	return ongoing, t.evicted
}

// clip shortens text to n bytes without cutting a letter in two.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
