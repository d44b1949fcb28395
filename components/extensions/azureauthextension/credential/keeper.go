// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstPause and lastPause bound the time between a failed request for a token and the next.
	firstPause = time.Second
	lastPause  = time.Minute
	// leastPause is the least time between two tokens that came, so that one which comes expired, or always the same, is
	// not asked for all the time.
	leastPause = 30 * time.Second
	// rejectPause is the least time between a token that came and a new one because an endpoint did not take it.
	rejectPause = time.Minute
	// margin is how long before its end a token is no longer sent: a request takes time to arrive.
	margin = 10 * time.Second
)

// Watcher is told how requests for a token end. It is called by one goroutine.
type Watcher interface {
	// TokenFetched says that a token came, or why none did. next is when the next one is asked for, and took the time of
	// the request.
	TokenFetched(token Token, err error, took, next time.Duration)
}

// Keeper has a token that can be sent, and replaces it long before it ends: at the time its issuer wants, else after
// half its time, so that Entra ID may be out of reach for a while without anybody noticing. Its methods are safe for
// concurrent use; however many ask, one request for a token is under way at a time.
type Keeper struct {
	fetch   func(context.Context) (Token, error)
	watcher Watcher
	state   atomic.Pointer[keeping]
	wake    chan struct{}

	mu     sync.Mutex
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// keeping is what the keeper has. It does not change; a new one takes its place.
type keeping struct {
	token Token
	// failure is why the last request brought none; nil if it brought this token or is the first one.
	failure error
	came    time.Time
	// next is closed when another state takes the place of this one.
	next chan struct{}
}

var (
	errNotRunning = errors.New("the extension does not run")
	errAllWaiting = errors.New("no token has come yet")
	errShort      = errors.New("the token that came has ended already: check this machine's clock")
)

// NewKeeper returns a keeper of what fetch brings. fetch must end by itself.
func NewKeeper(fetch func(context.Context) (Token, error), watcher Watcher) *Keeper {
	k := &Keeper{fetch: fetch, watcher: watcher, wake: make(chan struct{}, 1)}
	k.state.Store(&keeping{failure: errNotRunning, next: make(chan struct{})})
	return k
}

// Start asks for the first token and goes on until [Keeper.Shutdown]. A keeper starts once.
func (k *Keeper) Start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	k.replace(&keeping{})
	k.done.Go(func() { k.run(ctx) })
}

// Shutdown ends the request that is under way and waits for it. There is no token afterwards.
func (k *Keeper) Shutdown() {
	k.mu.Lock()
	cancel := k.cancel
	k.mu.Unlock()
	if cancel == nil {
		return
	}
	cancel()
	k.done.Wait()
}

// Token returns a token that can be sent now. While none has come yet it waits for the first one until the context ends;
// it does not wait if the last request failed, but returns that failure: the next one is under way by itself.
func (k *Keeper) Token(ctx context.Context) (Token, error) {
	for {
		s := k.state.Load()
		if s.usable(time.Now()) {
			return s.token, nil
		}
		if s.failure != nil {
			return Token{}, s.failure
		}
		if s.token.Value != "" {
			if time.Since(s.came) < leastPause {
				return Token{}, errShort
			}
			// It ended before its time to be replaced came, as after a machine slept.
			k.rouse()
		}
		select {
		case <-ctx.Done():
			return Token{}, fmt.Errorf("%w: %w", errAllWaiting, ctx.Err())
		case <-s.next:
		}
	}
}

// Last returns the token that came last, which may have ended, and why the last request failed, if it did. The token is
// empty before the first one.
func (k *Keeper) Last() (Token, error) {
	s := k.state.Load()
	return s.token, s.failure
}

// Reject says that an endpoint did not take a token, which was returned before. A new one is asked for, unless it is
// not the newest or just came.
func (k *Keeper) Reject(token Token) {
	s := k.state.Load()
	if s.token.Value == token.Value && time.Since(s.came) >= rejectPause {
		k.rouse()
	}
}

func (s *keeping) usable(now time.Time) bool {
	return s.token.Value != "" && now.Add(margin).Before(s.token.Expires)
}

func (k *Keeper) rouse() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *Keeper) replace(s *keeping) {
	s.next = make(chan struct{})
	close(k.state.Swap(s).next)
}

func (k *Keeper) run(ctx context.Context) {
	defer func() { k.replace(&keeping{failure: errNotRunning}) }()
	failures := 0
	for ctx.Err() == nil {
		begin := time.Now()
		token, err := k.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		// Without the monotonic reading, which stands still while a machine sleeps.
		now := time.Now().Round(0)
		var pause time.Duration
		if err == nil {
			failures = 0
			pause = refreshIn(token, now)
			k.replace(&keeping{token: token, came: now})
		} else {
			failures++
			pause = pauseAfter(err, failures)
			before := k.state.Load()
			k.replace(&keeping{token: before.token, came: before.came, failure: err})
		}
		if k.watcher != nil {
			k.watcher.TokenFetched(token, err, time.Since(begin), pause)
		}
		k.wait(ctx, pause, err == nil)
	}
}

// wait waits for the time of the next request. While requests fail nothing shortens it.
func (k *Keeper) wait(ctx context.Context, pause time.Duration, rousable bool) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	wake := k.wake
	if rousable {
		// What was wanted before this token came has come.
		select {
		case <-wake:
		default:
		}
	} else {
		wake = nil
	}
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}

// refreshIn is the time until a token is to be replaced.
func refreshIn(token Token, now time.Time) time.Duration {
	left := token.Expires.Sub(now)
	pause := left / 2
	if !token.Refresh.IsZero() && token.Refresh.Before(token.Expires) {
		pause = token.Refresh.Sub(now)
	}
	// Clients of azidentity all over replace tokens five minutes before their end at the latest.
	return max(min(pause, left-5*time.Minute), leastPause)
}

// pauseAfter is the time until the next request after a failure: doubled each time, with some chance in it so that many
// collectors do not ask at once, and at least what the other side asks for.
func pauseAfter(err error, failures int) time.Duration {
	pause := lastPause
	if failures < 7 {
		pause = min(firstPause<<(failures-1), lastPause)
	}
	pause = pause*3/4 + rand.N(pause/4+1)
	if failure, ok := errors.AsType[*Failure](err); ok {
		pause = max(pause, failure.After)
	}
	return pause
}
