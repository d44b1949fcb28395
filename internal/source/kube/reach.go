// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// probeLimit and leaderProbeLimit are the longest pause between two requests of one source to an API server that does
	// not answer. 1 000 agents ask it up to 200 times a second in sum.
	probeLimit       = 10 * time.Second
	leaderProbeLimit = 2 * time.Second
	// turnLimit is how long one may wait for an answer before the next one asks, too.
	turnLimit = 5 * time.Second
	// spread and leaderSpread are over how long a source's other requests come after the first that was answered.
	spread       = 2 * time.Second
	leaderSpread = 200 * time.Millisecond
	// doubtful is how long after an outage a refusal is doubted, and doubts how often in a row.
	doubtful = time.Minute
	doubts   = 4
)

// reach is whether the API server answers, for all who ask it through one client. While it does not, one of them asks for
// all, each in its turn: one resource that alone cannot be had keeps nobody waiting. The first answer, whatever it is,
// lets all go on. Safe for concurrent use.
type reach struct {
	now    func() time.Time
	spread time.Duration

	mu sync.Mutex
	// away says that the last request had no answer, and that no watch lives.
	away bool
	// live counts the watches that live.
	live    int
	backoff backoff
	// turn is that of who asks, nil if nobody does; waiting are the others', in their order.
	turn    *turn
	waiting []*turn
	// since is when the last outage ended; zero if there was none. outages counts those that ended.
	since   time.Time
	outages int
	// back is closed when the outage ends.
	back chan struct{}
}

// turn is the right to ask for all.
type turn struct {
	// mine is closed when it begins.
	mine chan struct{}
	// late ends it when the answer takes too long, so that the next one may ask, too.
	late *time.Timer
}

func newReach(scope Scope, now func() time.Time) *reach {
	r := &reach{now: now, spread: spread, backoff: backoff{start: backoffStart, limit: probeLimit}, back: make(chan struct{})}
	if scope == ScopeCluster {
		r.spread, r.backoff.limit = leaderSpread, leaderProbeLimit
	}
	return r
}

// enter waits until the server may be asked. It is false if the context ended. leave must be called when the attempt is
// over.
func (r *reach) enter(ctx context.Context) (leave func(), ok bool) {
	r.mu.Lock()
	if !r.away {
		r.mu.Unlock()
		return func() {}, true
	}
	own, back := &turn{mine: make(chan struct{})}, r.back
	r.waiting = append(r.waiting, own)
	r.next()
	r.mu.Unlock()
	leave = func() { r.leave(own) }
	select {
	case <-own.mine:
	case <-back:
		return func() {}, r.follow(ctx)
	case <-ctx.Done():
		leave()
		return nil, false
	}
	switch pause(ctx, r.pause(own), back) {
	case paused:
		return leave, true
	case cameBack:
		return func() {}, r.follow(ctx)
	default:
		leave()
		return nil, false
	}
}

// follow waits until one may ask whom the answer to another has woken.
func (r *reach) follow(ctx context.Context) bool { return sleep(ctx, rand.N(r.spread)) }

// next gives the turn to who waits longest. The lock is held.
func (r *reach) next() {
	if r.turn != nil || len(r.waiting) == 0 {
		return
	}
	r.turn, r.waiting = r.waiting[0], r.waiting[1:]
	close(r.turn.mine)
}

// pause returns how long who has the turn is to wait.
func (r *reach) pause(own *turn) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.backoff.next()
	own.late = time.AfterFunc(d+turnLimit, func() { r.leave(own) })
	return d
}

// leave gives the turn to the next one. It does nothing for one that has none, or no more.
func (r *reach) leave(own *turn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if own.late != nil {
		own.late.Stop()
	}
	if r.turn == own {
		r.turn = nil
	}
	r.waiting = slices.DeleteFunc(r.waiting, func(other *turn) bool { return other == own })
	if r.away {
		r.next()
	}
}

// answered notes an answer of the server.
func (r *reach) answered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.away {
		return
	}
	if r.turn != nil && r.turn.late != nil {
		r.turn.late.Stop()
	}
	r.away, r.since, r.turn, r.waiting = false, r.now(), nil, nil
	r.outages++
	close(r.back)
	r.back = make(chan struct{})
}

// failed notes a request without an answer.
func (r *reach) failed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away || r.live > 0 {
		return
	}
	r.away = true
	if r.since.IsZero() || r.now().Sub(r.since) >= steady {
		r.backoff.reset()
	}
}

// lives counts watches that live.
func (r *reach) lives(more int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live += more
}

// outage returns how many outages ended, and a channel that is closed at the end of the next one.
func (r *reach) outage() (ended int, back <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outages, r.back
}

// fresh says that an outage ended a short while ago: an API server refuses some of what it will allow, and does not have some of
// what it will have, until it has read its own objects.
func (r *reach) fresh() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.since.IsZero() && r.now().Sub(r.since) < doubtful
}

// doubts says whether a refusal is not believed yet, and counts it then.
func (r *reach) doubts(doubted *int) bool {
	if *doubted >= doubts || !r.fresh() {
		return false
	}
	*doubted++
	return true
}

// gone says whether the server does not answer.
func (r *reach) gone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away
}

// observer tells a reach what becomes of requests.
type observer struct {
	base  http.RoundTripper
	reach *reach
}

// RoundTrip is [http.RoundTripper.RoundTrip].
func (o *observer) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := o.base.RoundTrip(r)
	switch {
	case err == nil && !substitute(response):
		o.reach.answered()
	case r.Context().Err() == nil:
		o.reach.failed()
	}
	return response, err
}

// substitute says whether an answer is that of somebody who stands before an API server that does not answer. An API server
// that is busy says when to come again.
func substitute(r *http.Response) bool {
	switch r.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return r.Header.Get("Retry-After") == ""
	}
	return false
}

// pauseEnd is why a pause ended.
type pauseEnd int

const (
	paused pauseEnd = iota
	cameBack
	ended
)

// pause waits for a time, or for an outage to end.
func pause(ctx context.Context, d time.Duration, back <-chan struct{}) pauseEnd {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ended
	case <-back:
		return cameBack
	case <-timer.C:
	}
	if ctx.Err() != nil {
		return ended
	}
	return paused
}
