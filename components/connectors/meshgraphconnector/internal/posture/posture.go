// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

const (
	// Recent is how long ago plain text may have been told to count as what is.
	Recent = time.Hour
	// Fresh is how long ago an identity may have been told to be judged: a workload's account may have been changed since.
	Fresh = 10 * time.Minute
	// Confirm is how long ago something has to have been found before, to be a finding. Reports and inventories are under way for different times:
	// while an account is changed, or pods come and go, an identity may not fit for a while.
	Confirm = 15 * time.Minute
)

// Store has the newest report. One goroutine at a time may update it, any number may read.
type Store struct {
	current atomic.Pointer[Report]
	// found is when something was found, forgotten where that is longer than [Recent] ago.
	found map[subject]span
}

// span is from the first to the last time.
type span struct{ first, last time.Time }

// New returns a store with an empty report.
func New() *Store {
	s := &Store{found: map[subject]span{}}
	s.current.Store(empty(time.Time{}))
	return s
}

// Report returns the newest report, never nil. It takes no lock, and nobody changes what it returns.
func (s *Store) Report() *Report { return s.current.Load() }

// Update judges an interval by the topology, nil for none, and publishes the report. It visits all edges: once a minute is
// often enough.
func (s *Store) Update(snapshot *graph.Snapshot, known *topology.Snapshot) *Report {
	r := empty(snapshot.End)
	j := newJudge(snapshot, known, &r.Summary)
	var mutual, plain uint64
	for i := range snapshot.Edges {
		e := &snapshot.Edges[i]
		if e.Overflow {
			continue
		}
		mutual, plain = plus(mutual, e.Total.MutualTLS), plus(plain, e.Total.Plaintext)
		r.take(e, j)
	}
	r.Summary.Share = share(mutual, plain)
	r.Summary.Identities = len(j.parsed)
	r.Identities = j.several()
	for i := range r.Identities {
		r.Summary.SeveralClusters[r.Identities[i].Sharing]++
	}
	r.Findings, r.Summary.Unconfirmed, r.Summary.FindingsLeftOut = s.confirm(j)
	for i := range r.Findings {
		r.Summary.Findings[r.Findings[i].Kind]++
	}
	r.trim()
	s.current.Store(r)
	return r
}

func empty(at time.Time) *Report {
	r := &Report{
		SchemaVersion: Version, At: at.UTC(), Findings: []Finding{}, Plaintext: []PlaintextEdge{}, Identities: []Identity{},
		Edges: []Edge{}, Summary: Summary{
			Edges: map[State]int{}, Unjudged: map[Unjudged]int{}, Findings: map[Kind]int{}, SeveralClusters: map[Sharing]int{},
		},
	}
	// All names are there, also with 0: who reads finds out what there may be.
	for _, v := range states {
		r.Summary.Edges[v] = 0
	}
	for _, v := range reasons {
		r.Summary.Unjudged[v] = 0
	}
	for _, v := range Kinds {
		r.Summary.Findings[v] = 0
	}
	for _, v := range sharings {
		r.Summary.SeveralClusters[v] = 0
	}
	return r
}

// take adds an edge of the graph.
func (r *Report) take(e *graph.Edge, j *judge) {
	edge := Edge{
		Caller: End{
			Cluster: e.Caller.Cluster, Region: e.Caller.Region, Namespace: e.Caller.Namespace, Workload: e.Caller.Workload,
			Version: e.Caller.Version,
		},
		Callee: End{
			Cluster: e.Callee.Cluster, Region: e.Callee.Region, Namespace: e.Callee.Namespace, Service: e.Callee.Service,
			Workload: e.Callee.Workload, Version: e.Callee.Version,
		},
		Protocol: e.Protocol.String(), State: state(e, r.At), MutualTLS: e.Total.MutualTLS, Plaintext: e.Total.Plaintext,
		Share: share(e.Total.MutualTLS, e.Total.Plaintext), OtherIdentities: e.OtherIdentities,
	}
	ends := [...]place{
		graph.CallerEnd: {e.Caller.Cluster, e.Caller.Namespace, e.Caller.Workload, e.Total.MutualTLS > 0},
		graph.CalleeEnd: {e.Callee.Cluster, e.Callee.Namespace, e.Callee.Workload, e.Total.MutualTLS > 0},
	}
	for i := range e.Identities {
		x := &e.Identities[i]
		edge.Identities = append(edge.Identities, EdgeIdentity{
			End: x.End.String(), Principal: x.Principal, Requests: x.Requests, First: x.First, Last: x.Last,
		})
		j.identity(x, ends[x.End])
	}
	r.Summary.Edges[edge.State]++
	r.Summary.OtherIdentities = plus(r.Summary.OtherIdentities, e.OtherIdentities)
	r.Edges = append(r.Edges, edge)
	if edge.State != Plaintext && edge.State != Mixed {
		return
	}
	p := PlaintextEdge{
		Caller: edge.Caller, Callee: edge.Callee, Protocol: edge.Protocol, State: edge.State, Plaintext: edge.Plaintext,
		Bytes: plus(e.Total.RequestBytes, e.Total.ResponseBytes), First: e.Plaintext.First, Last: e.Plaintext.Last,
	}
	if edge.Share != nil {
		p.Share = *edge.Share
	}
	for _, reporter := range e.Plaintext.Reporters {
		p.Reporters = append(p.Reporters, reporter.String())
	}
	r.Plaintext = append(r.Plaintext, p)
}

func state(e *graph.Edge, at time.Time) State {
	plain := e.Plaintext != nil && at.Sub(e.Plaintext.Last) <= Recent
	switch mutual := e.Total.MutualTLS > 0; {
	case plain && mutual:
		return Mixed
	case plain:
		return Plaintext
	case mutual:
		return Mutual
	default:
		return Unknown
	}
}

func share(mutual, plain uint64) *float64 {
	all := float64(mutual) + float64(plain)
	if all == 0 {
		return nil
	}
	v := float64(mutual) / all
	return &v
}

// confirm returns what held for long enough, how much did not, and how much had no room.
func (s *Store) confirm(j *judge) (list []Finding, waiting, leftOut int) {
	for k, held := range s.found {
		if j.at.Sub(held.last) > Recent {
			delete(s.found, k)
		}
	}
	keys := slices.SortedFunc(maps.Keys(j.findings), compareSubjects)
	list = []Finding{}
	for _, k := range keys {
		held, ok := s.found[k]
		if !ok && len(s.found) >= MaxFindings {
			leftOut++
			continue
		}
		if !ok {
			held.first = j.at
		}
		held.last = j.at
		s.found[k] = held
		if j.at.Sub(held.first) < Confirm {
			waiting++
			continue
		}
		f := *j.findings[k]
		f.Since = held.first.UTC()
		list = append(list, f)
	}
	return list, waiting, leftOut
}

func compareSubjects(a, b subject) int {
	return cmp.Or(cmp.Compare(slices.Index(Kinds, a.kind), slices.Index(Kinds, b.kind)), cmp.Compare(a.cluster, b.cluster),
		cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.workload, b.workload), cmp.Compare(a.principal, b.principal))
}

// trim sorts the lists and cuts them at their ceilings.
func (r *Report) trim() {
	slices.SortStableFunc(r.Edges, func(a, b Edge) int {
		return cmp.Compare(slices.Index(states, a.State), slices.Index(states, b.State))
	})
	slices.SortStableFunc(r.Plaintext, func(a, b PlaintextEdge) int { return cmp.Compare(b.Plaintext, a.Plaintext) })
	r.Edges, r.Summary.EdgesLeftOut = cut(r.Edges, MaxEdges)
	r.Plaintext, r.Summary.PlaintextLeftOut = cut(r.Plaintext, MaxPlaintext)
	r.Identities, r.Summary.IdentitiesLeftOut = cut(r.Identities, MaxIdentities)
	if r.Identities == nil {
		r.Identities = []Identity{}
	}
}

func cut[T any](list []T, most int) ([]T, int) {
	if len(list) <= most {
		return list, 0
	}
	return slices.Clone(list[:most]), len(list) - most
}
