// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"slices"
	"sync"
	"time"
)

// pending are the requests that were tried and are neither delivered nor given up. The zero value is empty.
type pending struct {
	mu       sync.Mutex
	requests map[*request]time.Time
}

// add says that an attempt at the request begins.
func (p *pending) add(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.requests == nil {
		p.requests = map[*request]time.Time{}
	}
	p.requests[r] = r.batch.Accepted()
}

// remove says that there will be no other attempt.
func (p *pending) remove(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.requests, r)
}

// oldest returns when the oldest item of all was taken over; zero if there is none.
func (p *pending) oldest() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	var oldest time.Time
	for _, t := range p.requests {
		if !t.IsZero() && (oldest.IsZero() || t.Before(oldest)) {
			oldest = t
		}
	}
	return oldest
}

// all returns the requests, the oldest first.
func (p *pending) all() []*request {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*request, 0, len(p.requests))
	for r := range p.requests {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *request) int { return p.requests[a].Compare(p.requests[b]) })
	return all
}
