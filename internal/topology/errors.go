// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of errors that [Builder.Add] returns, to be told apart with [errors.Is].
var (
	// ErrInvalid marks a description that cannot be used as it is.
	ErrInvalid = errors.New("invalid topology")
	// ErrConflict marks two descriptions that cannot both be true.
	ErrConflict = errors.New("contradictory topology")
	// ErrLimit marks a topology above a ceiling.
	ErrLimit = errors.New("topology too large")
)

// Position says which part of a cluster description an error is about.
type Position struct {
	// Cluster is the number of clusters added before.
	Cluster int
	// List is the list within the cluster: "nodes", "gateways", "services" or "workloads"; empty for the cluster.
	List string
	// Index within List.
	Index int
	// Pod is the index within the workload's pods, -1 for none.
	Pod int
	// Field is the key within that part; empty for the whole part.
	Field string
}

// String returns the position as a path, such as "clusters[0].workloads[1].pods[2].addresses".
func (p Position) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "clusters[%d]", p.Cluster)
	if p.List != "" {
		fmt.Fprintf(&b, ".%s[%d]", p.List, p.Index)
	}
	if p.Pod >= 0 {
		fmt.Fprintf(&b, ".pods[%d]", p.Pod)
	}
	if p.Field != "" {
		b.WriteString("." + p.Field)
	}
	return b.String()
}

// ValidationError says what is wrong with a description, where, and what to write instead.
type ValidationError struct {
	At      Position
	Problem string
	kind    error
}

// Error returns the position and the problem.
func (e *ValidationError) Error() string { return e.At.String() + ": " + e.Problem }

// Unwrap returns [ErrInvalid], [ErrConflict] or [ErrLimit].
func (e *ValidationError) Unwrap() error { return e.kind }

// Invalid returns an [ErrInvalid] error for a source that cannot even fill a description.
func Invalid(at Position, problem string) error {
	return &ValidationError{At: at, Problem: problem, kind: ErrInvalid}
}
