// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	backoffStart = 200 * time.Millisecond
	// backoffLimit is for agents, of which there are as many as nodes; leaderLimit is for the one reader of a whole cluster,
	// without whom nobody knows anything of it.
	backoffLimit = 30 * time.Second
	leaderLimit  = 5 * time.Second
	// rarely is how often something that the cluster does not have, or does not allow, is asked for again.
	rarely = 2 * time.Minute
	// refusalStart is the first wait after a refusal. What a server that has just started refuses it may allow soon.
	refusalStart = time.Second
)

// backoff doubles from its start to its limit. Each wait is drawn from its upper half, so that agents that
// lost the same server do not come back together.
type backoff struct{ last, start, limit time.Duration }

func newBackoff(scope Scope) backoff {
	if scope == ScopeCluster {
		return backoff{start: backoffStart, limit: leaderLimit}
	}
	return backoff{start: backoffStart, limit: backoffLimit}
}

// newRefusal returns the waits of a resource that is refused.
func newRefusal(r *resource, scope Scope) backoff {
	refusal := backoff{start: refusalStart, limit: rarely}
	if r.required {
		refusal.limit = newBackoff(scope).limit
	}
	return refusal
}

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, b.start), b.limit)
	return jitter(b.last)
}

func (b *backoff) reset() { b.last = 0 }

// again makes the next wait a short one, but no shorter than a server can bear that has just come back.
func (b *backoff) again() { b.last = min(b.last, refusalStart/2) }

// jitter returns a random duration of at least half of d and at most d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// sleep waits, and tells whether the context lives on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
