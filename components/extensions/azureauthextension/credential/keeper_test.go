// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// issuer is what a keeper asks, with times and failures of the test.
type issuer struct {
	asked   atomic.Int32
	mu      sync.Mutex
	takes   time.Duration
	life    time.Duration
	refresh time.Duration
	err     error
	// fixed is a token that comes again and again.
	fixed  *Token
	events []event
}

type event struct {
	failed bool
	next   time.Duration
}

func (i *issuer) fetch(ctx context.Context) (Token, error) {
	n := i.asked.Add(1)
	i.mu.Lock()
	takes, life, refresh, err, fixed := i.takes, i.life, i.refresh, i.err, i.fixed
	i.mu.Unlock()
	select {
	case <-ctx.Done():
		return Token{}, ctx.Err()
	case <-time.After(takes):
	}
	if err != nil {
		return Token{}, err
	}
	if fixed != nil {
		return *fixed, nil
	}
	token := Token{Value: strconv.Itoa(int(n)), Expires: time.Now().Add(life)}
	if refresh > 0 {
		token.Refresh = time.Now().Add(refresh)
	}
	return token, nil
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *issuer) TokenFetched(_ Token, err error, _, next time.Duration) {
	i.set(func() { i.events = append(i.events, event{err != nil, next}) })
}

func keep(t *testing.T, i *issuer) *Keeper {
	t.Helper()
	k := NewKeeper(i.fetch, i)
	k.Start()
	t.Cleanup(k.Shutdown)
	return k
}

func value(t *testing.T, k *Keeper) string {
	t.Helper()
	token, err := k.Token(t.Context())
	require.NoError(t, err)
	return token.Value
}

func TestKeeperRefreshesAhead(t *testing.T) {
	for name, tc := range map[string]struct{ life, refresh, want time.Duration }{
		"after half its time":               {life: time.Hour, want: 30 * time.Minute},
		"when its issuer wants":             {life: 24 * time.Hour, refresh: 12 * time.Hour, want: 12 * time.Hour},
		"five minutes before, at the least": {life: time.Hour, refresh: 59 * time.Minute, want: 55 * time.Minute},
		"not all the time":                  {life: 70 * time.Second, want: 30 * time.Second},
		"not after its end":                 {life: time.Hour, refresh: 2 * time.Hour, want: 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := &issuer{life: tc.life, refresh: tc.refresh, takes: time.Second}
				k := keep(t, i)
				assert.Equal(t, "1", value(t, k), "the first who asks waits for it")
				time.Sleep(tc.want - time.Millisecond)
				synctest.Wait()
				assert.EqualValues(t, 1, i.asked.Load())
				time.Sleep(2 * time.Millisecond)
				synctest.Wait()
				assert.EqualValues(t, 2, i.asked.Load())
				assert.Equal(t, "1", value(t, k), "the old one goes on while the new one is asked for")
				time.Sleep(time.Second)
				synctest.Wait()
				assert.Equal(t, "2", value(t, k))
			})
		})
	}
}

func TestKeeperConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{life: time.Hour, takes: 3 * time.Second}
		k := keep(t, i)
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				if token, err := k.Token(t.Context()); err != nil || token.Value != "1" {
					t.Error(token.Value, err)
				}
			})
		}
		all.Wait()
		assert.EqualValues(t, 1, i.asked.Load(), "one request for all of them")
	})
}

func TestKeeperThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		i := &issuer{life: time.Hour}
		k := keep(t, i)
		assert.Equal(t, "1", value(t, k))
		i.set(func() { i.err = down })
		// From the 30th minute on requests fail; the token goes on until shortly before its end.
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		assert.Equal(t, "1", value(t, k))
		_, err := k.Last()
		require.ErrorIs(t, err, down)
		asked := i.asked.Load()
		assert.Greater(t, asked, int32(29))
		assert.Less(t, asked, int32(60), "once a minute at most, after the first few")
		time.Sleep(time.Minute)
		begin := time.Now()
		_, err = k.Token(t.Context())
		require.ErrorIs(t, err, down)
		assert.Zero(t, time.Since(begin), "nobody waits for what just failed")
		i.set(func() { i.err = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.NotEmpty(t, value(t, k))
		_, err = k.Last()
		require.NoError(t, err)
	})
}

func TestKeeperPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{err: errors.New("no")}
		keep(t, i)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		i.set(func() {
			for n, e := range i.events {
				want := lastPause
				if n < 6 {
					want = firstPause << n
				}
				assert.True(t, e.failed)
				assert.LessOrEqual(t, e.next, want)
				assert.GreaterOrEqual(t, e.next, want*3/4)
			}
			i.err = &Failure{After: 5 * time.Minute}
		})
		before := i.asked.Load()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		assert.LessOrEqual(t, i.asked.Load(), before+1, "the other side asked to wait")
	})
}

func TestNothingShortensAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{life: time.Hour}
		k := keep(t, i)
		first := Token{Value: value(t, k)}
		i.set(func() { i.err = &Failure{After: 10 * time.Minute} })
		time.Sleep(30*time.Minute + time.Second)
		synctest.Wait()
		require.EqualValues(t, 2, i.asked.Load())
		k.Reject(first)
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		assert.EqualValues(t, 2, i.asked.Load(), "the other side asked to wait")
	})
}

func TestKeeperGivesUpWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{takes: time.Hour}
		k := keep(t, i)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := k.Token(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, errAllWaiting)
		begin := time.Now()
		k.Shutdown()
		assert.Zero(t, time.Since(begin), "a shutdown does not wait for the request's end")
		_, err = k.Token(t.Context())
		require.ErrorIs(t, err, errNotRunning)
	})
}

func TestKeeperBeforeItsStart(t *testing.T) {
	k := NewKeeper((&issuer{}).fetch, nil)
	_, err := k.Token(t.Context())
	require.ErrorIs(t, err, errNotRunning)
	k.Shutdown()
}

func TestKeeperRejects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{life: time.Hour}
		k := keep(t, i)
		first := Token{Value: value(t, k)}
		k.Reject(first)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.EqualValues(t, 1, i.asked.Load(), "it just came")
		time.Sleep(rejectPause)
		k.Reject(Token{Value: "another"})
		synctest.Wait()
		assert.EqualValues(t, 1, i.asked.Load(), "it is not the newest")
		for range 10 {
			k.Reject(first)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		assert.EqualValues(t, 2, i.asked.Load(), "once, however many say so")
		assert.Equal(t, "2", value(t, k))
	})
}

// A token that ended while the machine slept is not sent, and one that is always the same is not asked for in a loop.
func TestKeeperWithTimesThatAreWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{fixed: &Token{Value: "old", Expires: time.Now().Add(5 * time.Second)}}
		k := keep(t, i)
		synctest.Wait()
		for range 1000 {
			_, err := k.Token(t.Context())
			require.ErrorIs(t, err, errShort)
		}
		assert.EqualValues(t, 1, i.asked.Load())
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		assert.LessOrEqual(t, i.asked.Load(), int32(21))
	})
}
