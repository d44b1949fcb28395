// SPDX-License-Identifier: Apache-2.0

package window

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// MaxRows is the most rows of a list in [Versions].
const MaxRows = 1000

// Place is who answers: a version in a cluster.
type Place struct {
	Version, Cluster, Region string
}

// VersionRow is what a version answered in a cluster. The row without a version is of calls that reached nobody, and of
// callees that told none.
type VersionRow struct {
	Place
	Totals
	// First is the first minute of the version that is known, in any cluster. Since says that it is new: the service was
	// called before.
	First time.Time
	Since bool
}

// CallerRow is what callers of a cluster asked a version.
type CallerRow struct {
	CallerCluster, CallerRegion string
	Place
	Totals
}

// Versions is the traffic of a service by version and cluster.
type Versions struct {
	Span
	// Service is all of it.
	Service Counts
	Rows    []VersionRow
	Callers []CallerRow
	// RowsLeftOut and CallersLeftOut are rows beyond [MaxRows]; those with the most calls are there.
	RowsLeftOut, CallersLeftOut int
	// Pattern says what the traffic looks like.
	Pattern Pattern
	// MissedRequests and NamelessRequests are as in [Answer].
	MissedRequests, NamelessRequests uint64
}

type callerKey struct {
	cluster, region string
	place           Place
}

// Versions answers how a service's traffic is shared. The window is as in [Query].
func (s *Store) Versions(namespace, name string, window time.Duration) Versions {
	v := s.view.Load()
	key := service{namespace, name}
	minutes := v.since(window)
	out := Versions{Span: v.span(minutes)}
	out.MissedRequests, out.NamelessRequests = incomplete(minutes, key)
	rows, callers := map[Place]*VersionRow{}, map[callerKey]*CallerRow{}
	history := newHistory(minutes)
	var buffer []uint64
	for _, x := range v.services[key] {
		place := Place{Version: x.Version, Cluster: x.Cluster, Region: x.Region}
		for i, m := range v.minutes {
			r := m.of(x.id)
			if r == nil {
				continue
			}
			history.seen(x.Version, m.start)
			at := i - (len(v.minutes) - len(minutes))
			if at < 0 {
				continue
			}
			row := rows[place]
			if row == nil {
				row = &VersionRow{Place: place}
				rows[place] = row
			}
			c := callerKey{x.CallerCluster, x.CallerRegion, place}
			if callers[c] == nil {
				callers[c] = &CallerRow{CallerCluster: x.CallerCluster, CallerRegion: x.CallerRegion, Place: place}
			}
			out.Service.add(&r.counts)
			row.add(&r.counts)
			callers[c].add(&r.counts)
			buffer = row.measure(r, buffer)
			buffer = callers[c].measure(r, buffer)
			history.add(at, x.Cluster, x.Version, &r.counts)
		}
	}
	out.Pattern = history.pattern()
	out.Rows, out.RowsLeftOut = busiest(rows, func(r *VersionRow) *Counts { return &r.Counts }, func(a, b *VersionRow) int { return comparePlaces(a.Place, b.Place) })
	out.Callers, out.CallersLeftOut = busiest(callers, func(r *CallerRow) *Counts { return &r.Counts }, func(a, b *CallerRow) int {
		return cmp.Or(cmp.Compare(a.CallerRegion, b.CallerRegion), cmp.Compare(a.CallerCluster, b.CallerCluster), comparePlaces(a.Place, b.Place))
	})
	for i := range out.Rows {
		r := &out.Rows[i]
		r.First, r.Since = history.first(r.Version)
		// Calls that reached nobody are no new version.
		r.Since = r.Since && r.Version != ""
	}
	return out
}

func comparePlaces(a, b Place) int {
	return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Cluster, b.Cluster))
}

// busiest keeps the rows with the most calls, in order.
func busiest[K comparable, R any](m map[K]*R, counts func(*R) *Counts, compare func(a, b *R) int) (rows []R, left int) {
	all := slices.SortedFunc(maps.Values(m), compare)
	if left = len(all) - MaxRows; left > 0 {
		slices.SortStableFunc(all, func(a, b *R) int { return cmp.Compare(counts(b).calls(), counts(a).calls()) })
		all = all[:MaxRows]
		slices.SortFunc(all, compare)
	}
	rows = make([]R, len(all))
	for i, r := range all {
		rows[i] = *r
	}
	return rows, max(0, left)
}
