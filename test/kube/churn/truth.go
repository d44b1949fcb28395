// SPDX-License-Identifier: Apache-2.0

// Package churn makes the pods of a cluster come and go, gives their addresses to others on purpose, and keeps the truth:
// who held which address, and which name, at what time. What watches the cluster can then be judged at any past moment.
// The entry points are [Driver.Fill], [Driver.Run], and [Truth.Holder] with [Answer.Judge].
package churn

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// PodID names one pod, as opposed to its successor of the same name.
type PodID struct{ Cluster, Namespace, Name, UID string }

// Tenancy is the time for which a pod held an address. The driver plays the node: an address is the pod's from the moment
// at which the driver decides so, which it then tells to the API server.
type Tenancy struct {
	Pod     PodID
	Network string
	Address netip.Addr
	// Start is the true start. Early is what Kubernetes tells of it: the API has whole seconds, rounded down. Started is
	// when the API server had answered to what tells of it.
	Early, Start, Started time.Time
	// End is the true end, Told when the API server had answered to what tells of it. Zero while there is none.
	End, Told time.Time
}

type place struct {
	network string
	address netip.Addr
}

type name struct{ cluster, namespace, name string }

// Truth is the record of one or several drivers. It is safe for concurrent use.
type Truth struct {
	mu     sync.RWMutex
	all    []*Tenancy
	places map[place][]*Tenancy
	names  map[name][]*Tenancy
}

// NewTruth returns an empty record.
func NewTruth() *Truth {
	return &Truth{places: map[place][]*Tenancy{}, names: map[name][]*Tenancy{}}
}

// begin records that a pod has an address from now on. It returns an error if another pod has it: the driver is wrong.
func (t *Truth) begin(network string, address netip.Addr, pod PodID, now time.Time) (*Tenancy, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := place{network, address}
	if held := t.places[at]; len(held) > 0 {
		if last := held[len(held)-1]; last.End.IsZero() || last.End.After(now) {
			return nil, fmt.Errorf("%s in network %q has two pods: %v and %v", address, network, last.Pod, pod)
		}
	}
	n := &Tenancy{Pod: pod, Network: network, Address: address, Early: now.Truncate(time.Second), Start: now}
	named := name{pod.Cluster, pod.Namespace, pod.Name}
	t.all = append(t.all, n)
	t.places[at] = append(t.places[at], n)
	t.names[named] = append(t.names[named], n)
	return n, nil
}

// update changes a tenancy that the record has.
func (t *Truth) update(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
}

// Tenancies returns a copy of the record, in the order of its starts.
func (t *Truth) Tenancies() []Tenancy {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]Tenancy, len(t.all))
	for i, n := range t.all {
		all[i] = *n
	}
	return all
}

// Places returns all addresses that any pod ever had, in order, one per network.
func (t *Truth) Places() []Moment {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var all []Moment
	for at := range t.places {
		all = append(all, Moment{Network: at.network, Address: at.address})
	}
	slices.SortFunc(all, func(a, b Moment) int { return cmp.Or(cmp.Compare(a.Network, b.Network), a.Address.Compare(b.Address)) })
	return all
}

// Answer is the truth about an address, or a name, at a moment.
type Answer struct {
	// Holder is the one pod that held it; the zero value if nobody did.
	Holder PodID
	// Settled says that whoever watches the API server must know it. Otherwise the answer was in transition: a pod's
	// start or end was near, within the whole second that Kubernetes tells, between a request and its answer, or within
	// the slack.
	Settled bool
	// Near are the pods that the transition is about, other than the holder.
	Near []PodID
}

// Verdict judges what somebody else says.
type Verdict int

const (
	// Right says that the holder was named, or nobody where nobody held it.
	Right Verdict = iota
	// Undecided says that the answer was in transition and that what was said is one of the possible answers.
	Undecided
	// Missed says that nobody was named although it was settled who held it.
	Missed
	// Wrong says that a pod was named which did not hold it, and could not be taken for the holder.
	Wrong
)

// String returns the verdict in lower case.
func (v Verdict) String() string { return [...]string{"right", "undecided", "missed", "wrong"}[v] }

// Judge judges whom somebody names as the holder; the zero PodID stands for nobody, or for not known. The uid is compared
// only if it is given.
func (a Answer) Judge(named PodID) Verdict {
	switch {
	case named == PodID{}:
		if a.Holder == (PodID{}) {
			return Right
		}
		if a.Settled {
			return Missed
		}
		return Undecided
	case a.Holder != PodID{}:
		// While a pod holds an address, its predecessor does not, however near its end is.
		if same(a.Holder, named) {
			return Right
		}
		return Wrong
	case slices.ContainsFunc(a.Near, func(near PodID) bool { return same(near, named) }):
		return Undecided
	}
	return Wrong
}

func same(truth, named PodID) bool {
	if named.UID == "" {
		named.UID = truth.UID
	}
	return truth == named
}

// Holder returns who held an address at a moment. The slack is how long after the API server's answer a watcher may still
// not have heard of it.
func (t *Truth) Holder(network string, address netip.Addr, at time.Time, slack time.Duration) Answer {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return answer(t.places[place{network, address}], at, slack)
}

// Named returns who was the pod of a name, with an address of its own, at a moment; see [Truth.Holder]. A finished pod is
// none.
func (t *Truth) Named(cluster, namespace, podName string, at time.Time, slack time.Duration) Answer {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return answer(t.names[name{cluster, namespace, podName}], at, slack)
}

func answer(tenancies []*Tenancy, at time.Time, slack time.Duration) Answer {
	a := Answer{Settled: true}
	for _, n := range tenancies {
		ended := !n.End.IsZero() && !at.Before(n.End)
		switch {
		case at.Before(n.Early):
		case at.Before(n.Start):
			a.Settled, a.Near = false, append(a.Near, n.Pod)
		case !ended:
			a.Holder = n.Pod
			if n.Started.IsZero() || at.Before(n.Started.Add(slack)) {
				a.Settled = false
			}
		case n.Told.IsZero() || !at.After(n.Told.Add(slack)):
			a.Settled, a.Near = false, append(a.Near, n.Pod)
		}
	}
	return a
}

// Moment is a question about the past.
type Moment struct {
	Network string
	Address netip.Addr
	// Cluster, Namespace and Name are of a pod that held the address at some time, not necessarily then.
	Cluster, Namespace, Name string
	At                       time.Time
}

// Moments returns n questions between two moments, the same for the same seed and record: half of them about any address
// at any time, half within two seconds of a start or an end, where answers go wrong. It returns none for an empty record.
func (t *Truth) Moments(seed uint64, n int, from, to time.Time) []Moment {
	all := t.Tenancies()
	if len(all) == 0 || !from.Before(to) {
		return nil
	}
	// Drivers that run at the same time record in no particular order.
	slices.SortFunc(all, func(a, b Tenancy) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Network, b.Network), a.Address.Compare(b.Address))
	})
	random := rand.New(rand.NewPCG(seed, 1))
	moments := make([]Moment, 0, n)
	for i := range n {
		tenancy := all[random.IntN(len(all))]
		at := from.Add(time.Duration(random.Int64N(int64(to.Sub(from)))))
		if i%2 == 0 {
			edge := tenancy.Start
			if !tenancy.End.IsZero() && random.IntN(2) == 0 {
				edge = tenancy.End
			}
			at = edge.Add(time.Duration(random.Int64N(int64(4*time.Second))) - 2*time.Second)
			if at.Before(from) || at.After(to) {
				at = from.Add(time.Duration(random.Int64N(int64(to.Sub(from)))))
			}
		}
		moments = append(moments, Moment{
			Network: tenancy.Network, Address: tenancy.Address, At: at,
			Cluster: tenancy.Pod.Cluster, Namespace: tenancy.Pod.Namespace, Name: tenancy.Pod.Name,
		})
	}
	return moments
}
