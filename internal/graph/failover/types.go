// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Place is where calls are answered.
type Place struct {
	Region  string `json:"region"`
	Cluster string `json:"cluster"`
}

func comparePlaces(a, b Place) int {
	return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.Cluster, b.Cluster))
}

// Service is what is called.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Flow is what went from some callers to one version of a service in one place, in one interval.
type Flow struct {
	// From is the calling region, Caller the calling workload as namespace/name.
	From, Caller string
	Service      Service
	// To is who answered. Without a region the call reached nobody: it is evidence, and no shift.
	To      Place
	Version string
	// Requests ended in the interval, each counted once; Errors are those of them that failed.
	Requests, Errors uint64
	// Flagged are requests with a response flag of [EvidenceFlag], Flags their names.
	Flagged uint64
	Flags   []string
}

// EvidenceFlag says whether a response flag is one of a callee that failed: no healthy host, connection failure, overflow,
// retries exhausted, time-out, connection broken, failed health check, name not resolved, no cluster.
func EvidenceFlag(flag string) bool {
	switch flag {
	case "UH", "UF", "UO", "URX", "UT", "UC", "LH", "DF", "NC":
		return true
	}
	return false
}

// Endpoints is what is known of the endpoints of a service in a place. Nothing has to be: leave it out then.
type Endpoints struct {
	Service Service
	Place   Place
	// Total are the endpoints, Healthy those that are ready.
	Total, Healthy int
	// New are those of Total that were never ready: they have not failed.
	New int
	// Desired is how many there should be, -1 if nobody told.
	Desired int
	// Ejected are those that callers' outlier detection took out.
	Ejected int
	// Ending are those that are being deleted; they are not in Total. 0 if nobody told.
	Ending int
	// Rollout says that a deployment is under way.
	Rollout bool
	// Rolled is when a deployment that is over was still under way for certain; zero if nobody told of one. It may be some time
	// after the calls that broke off by it, and should not be before.
	Rolled time.Time
	// Replaced says that the deployment, which is under way or over, left nothing between: all endpoints of before were gone when those
	// of now came.
	Replaced bool
	// Since is when the service first had endpoints there; zero if nobody told.
	Since time.Time
}

// Ejection is what outlier detection of the callers of a region took out of use. Envoy does not tell in which place that was.
type Ejection struct {
	// From is the calling region.
	From    string
	Service Service
	// Hosts is the greatest number that a proxy has out of use, Proxies how many proxies have any.
	Hosts, Proxies int
}

// Observation is one interval.
type Observation struct {
	// At is its end.
	At    time.Time
	Flows []Flow
	// Endpoints must not be changed after the step. The same list as in the step before costs nothing.
	Endpoints []Endpoints
	// Ejections have at most one entry for a calling region and service.
	Ejections []Ejection
	// Pending are clusters of which nothing is in Endpoints, or nothing new, and of which an inventory is expected at any moment. A
	// shift from or to one of them waits until it is not among them any more. Whoever fills it sees to it that this comes soon.
	Pending []string
}

// Kind is what a shift is.
type Kind string

// The kinds.
const (
	// Failover is a shift for which there is evidence.
	Failover Kind = "failover"
	// Unexpected is a shift for which there is none, and no explanation.
	Unexpected Kind = "unexpected_shift"
	// Deployment is a shift from a place in which a deployment deleted all endpoints before the new ones were ready.
	Deployment Kind = "deployment_shift"
)

// Phase is what an event says about a shift.
type Phase string

// The phases.
const (
	Started Phase = "started"
	// Updated means that its scope changed.
	Updated Phase = "updated"
	Ended   Phase = "ended"
)

// Scope is how much of a region failed over.
type Scope string

// The scopes.
const (
	// Partial means that other services of the region answer.
	Partial Scope = "partial"
	// Whole means that most of the services that the region answers for have failed over.
	Whole Scope = "whole_region"
)

// Evidence is one sign that a place failed.
type Evidence struct {
	// Kind is response_flags, endpoints_unhealthy, endpoints_gone, outlier_ejections or errors_before.
	Kind string `json:"kind"`
	// Detail is a sentence for people.
	Detail string    `json:"detail"`
	At     time.Time `json:"at"`

	// place is where it was seen; zero for calls that reached nobody. A state does not keep it.
	place Place
}

// Event is the beginning or the end of a shift.
type Event struct {
	Phase   Phase   `json:"phase"`
	Kind    Kind    `json:"kind"`
	Caller  string  `json:"calling_region"`
	Service Service `json:"service"`
	From    Place   `json:"from"`
	To      Place   `json:"to"`
	// Share is the part of the calls that moved, from 0 to 1: in the interval of the event, and for an ended shift the
	// greatest that there was.
	Share float64 `json:"share"`
	// Moved are the requests that went elsewhere since the start.
	Moved uint64 `json:"requests_moved"`
	// Callers are workloads that were seen to call elsewhere, at most [MaxCallers], sorted.
	Callers  []string   `json:"affected_callers"`
	Evidence []Evidence `json:"evidence"`
	Scope    Scope      `json:"scope"`
	Start    time.Time  `json:"start"`
	// End is zero until it ended.
	End time.Time `json:"end,omitzero"`
	// Reason is why it ended: recovered, no_traffic, accepted, evidence_found (another shift that turned out to be a
	// failover), deployment_over (calls still go elsewhere, and it is not for the deployment).
	Reason string `json:"reason,omitempty"`
}

// Name is the name of the event: mesh.failover.started and so on, mesh.shift.started for unexpected shifts,
// mesh.deployment_shift.started for those of deployments.
func (e *Event) Name() string {
	switch e.Kind {
	case Failover:
		return "mesh.failover." + string(e.Phase)
	case Deployment:
		return "mesh.deployment_shift." + string(e.Phase)
	}
	return "mesh.shift." + string(e.Phase)
}

// MaxCallers is the most callers that an event names.
const MaxCallers = 20

// Config says what counts as a shift. [DefaultConfig] is right unless it is proven wrong.
type Config struct {
	// MinMoved is the fewest moved requests of a failover.
	MinMoved uint64
	// MinRequests is the fewest requests by which a shift without evidence is judged; fewer are added up, over EvidenceFor at most.
	MinRequests uint64
	// MinShare is the smallest moved part of a failover, EarlyShare that of one from a place that had all calls until then:
	// the first report of it has few moved requests among many older ones.
	MinShare, EarlyShare float64
	// UnexpectedShare is the smallest moved part of a shift without evidence, and Confirm how long it has to last: the part is one of
	// all calls of that time, too.
	UnexpectedShare float64
	Confirm         time.Duration
	// Learn is how long a pair is watched before it is judged.
	Learn time.Duration
	// HalfLife is how long it takes until half of the baseline is newer.
	HalfLife time.Duration
	// EvidenceFor is how long evidence stays.
	EvidenceFor time.Duration
	// EndAfter is how long the calls have to be back: longer than the agents' reporting interval, for what one agent reports
	// last may be older than what another one reported first.
	EndAfter time.Duration
	// NewFor is how long a version, or a cluster, is new.
	NewFor time.Duration
	// Silence is how long a shift without any calls lasts; Accept after which time a shift is what is usual.
	Silence, Accept time.Duration
	// MaxPairs is the most pairs of calling region and service. Those beyond are not watched, and counted.
	MaxPairs int
	// Deploy is how long a deployment explains that no endpoint of a place is ready.
	Deploy time.Duration
	// Expire is how long a pair without calls is remembered.
	Expire time.Duration
}

// DefaultConfig returns the values that the simulated day is judged with.
func DefaultConfig() Config {
	return Config{
		MinMoved: 5, MinRequests: 20, MinShare: 0.1, EarlyShare: 0.01, UnexpectedShare: 0.2,
		Confirm: 3 * time.Minute, Learn: 10 * time.Minute,
		HalfLife: 30 * time.Minute, EvidenceFor: 5 * time.Minute, EndAfter: 2 * time.Minute, NewFor: time.Hour,
		Silence: 30 * time.Minute, Accept: 24 * time.Hour, MaxPairs: 20_000, Deploy: 10 * time.Minute, Expire: 24 * time.Hour,
	}
}

// Validate says what is wrong, by the keys of the connector.
func (c *Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		key   string
		value float64
	}{{"min_share", c.MinShare}, {"early_share", c.EarlyShare}, {"unexpected_share", c.UnexpectedShare}} {
		if !(f.value > 0 && f.value < 1) {
			errs = append(errs, fmt.Errorf("%s is %v: write a part between 0 and 1, such as 0.1", f.key, f.value))
		}
	}
	for _, f := range []struct {
		key   string
		value int64
	}{
		{"min_moved", int64(c.MinMoved)}, {"min_requests", int64(c.MinRequests)}, {"max_pairs", int64(c.MaxPairs)},
	} {
		if f.value < 1 {
			errs = append(errs, fmt.Errorf("%s is %d: write a number of at least 1", f.key, f.value))
		}
	}
	for _, f := range []struct {
		key   string
		value time.Duration
	}{
		{"confirm", c.Confirm},
		{"learn", c.Learn},
		{"end_after", c.EndAfter},
		{"half_life", c.HalfLife},
		{"evidence_for", c.EvidenceFor},
		{"new_for", c.NewFor},
		{"silence", c.Silence},
		{"deploy", c.Deploy},
		{"accept", c.Accept},
		{"expire", c.Expire},
	} {
		if f.value <= 0 {
			errs = append(errs, fmt.Errorf("%s is %s: write a time above 0, such as 30m", f.key, f.value))
		}
	}
	return errors.Join(errs...)
}
