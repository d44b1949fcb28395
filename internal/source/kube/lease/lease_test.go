// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// running is a replica whose Run is under way.
type running struct {
	*replica
	terms  chan Term
	ends   chan time.Time
	cancel context.CancelFunc
	done   chan struct{}
	leads  atomic.Bool
}

// run starts a replica. Its work waits for the term's end, and then for hold to be closed if it is not nil.
func (r *replica) run(t *testing.T, leaders *atomic.Int64, hold <-chan struct{}) *running {
	ctx, cancel := context.WithCancel(t.Context())
	x := &running{
		replica: r, cancel: cancel, terms: make(chan Term, 100), ends: make(chan time.Time, 100), done: make(chan struct{}),
	}
	go func() {
		defer close(x.done)
		r.elector.Run(ctx, func(ctx context.Context, term Term) {
			if leaders.Add(1) > 1 {
				t.Error("two lead at a time")
			}
			x.leads.Store(true)
			x.terms <- term
			<-ctx.Done()
			x.leads.Store(false)
			leaders.Add(-1)
			x.ends <- time.Now()
			if hold != nil {
				<-hold
			}
		})
	}()
	t.Cleanup(x.stop)
	return x
}

func (x *running) stop() {
	x.cancel()
	<-x.done
}

func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("it did not happen")
		panic("unreachable")
	}
}

func TestOneLeadsAndHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, leaders := &leaseServer{}, &atomic.Int64{}
		// They share an identity, as two pods on one node's network would by their host name.
		a := server.replica(t, "node-1").run(t, leaders, nil)
		first := next(t, a.terms)
		require.True(t, first.Held())
		require.Equal(t, a.elector.Holder(), server.holder())

		b := server.replica(t, "node-1").run(t, leaders, nil)
		require.Never(t, b.leads.Load, 10*time.Second, 20*time.Millisecond, "the lease's duration passed, and its leader renewed it")

		began := time.Now()
		a.stop()
		require.False(t, first.Held())
		second := next(t, b.terms)
		require.Less(t, time.Since(began), 800*time.Millisecond, "released, not run out")
		require.Greater(t, second.Epoch, first.Epoch)
		require.Zero(t, a.errs.Load()+b.errs.Load())
	})
}

func TestCutOffLeaderStopsBeforeAnotherLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, leaders := &leaseServer{}, &atomic.Int64{}
		a := server.replica(t, "a").run(t, leaders, nil)
		first := next(t, a.terms)
		b := server.replica(t, "b").run(t, leaders, nil)

		a.wire.cut.Store(true)
		second := next(t, b.terms)
		select {
		case <-a.ends:
		default:
			t.Error("the old leader still worked when the new one began")
		}
		require.Greater(t, second.Epoch, first.Epoch)
		require.Positive(t, a.errs.Load())

		a.wire.cut.Store(false)
		b.stop()
		third := next(t, a.terms)
		require.Greater(t, third.Epoch, second.Epoch, "a term of its own after it was lost")
	})
}

// TestHeldEndsBeforeAnotherLeads cuts a leader off at the end of a second: others see that it renewed once in each, and
// count from there.
func TestHeldEndsBeforeAnotherLeads(t *testing.T) {
	for _, ms := range []time.Duration{0, 100, 500, 900, 990} {
		synctest.Test(t, func(t *testing.T) {
			server, leaders := &leaseServer{}, &atomic.Int64{}
			a := server.replica(t, "a").run(t, leaders, nil)
			first := next(t, a.terms)
			b := server.replica(t, "b").run(t, leaders, nil)
			now := time.Now()
			time.Sleep(now.Truncate(time.Second).Add(5*time.Second + ms*time.Millisecond).Sub(now))
			require.True(t, first.Held())
			a.wire.cut.Store(true)
			next(t, b.terms)
			require.False(t, first.Held(), "cut off %d ms into a second", ms)
		})
	}
}

func TestEpochGrowsWhateverTheClocksSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, leaders := &leaseServer{}, &atomic.Int64{}
		var last int64
		for _, offset := range []time.Duration{time.Hour, 0, -time.Hour, time.Minute, 2 * time.Hour} {
			r := server.replica(t, "r")
			r.clock.offset.Store(int64(offset))
			x := r.run(t, leaders, nil)
			term := next(t, x.terms)
			require.Greater(t, term.Epoch, last, "clock ahead by %v", offset)
			last = term.Epoch
			x.stop()
		}
		require.InDelta(t, time.Now().Add(2*time.Hour).UnixNano(), last, float64(time.Minute), "the clock counts where it can")
	})
}

func TestSameProcessBeginsANewEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, leaders := &leaseServer{}, &atomic.Int64{}
		a := server.replica(t, "a").run(t, leaders, nil)
		first := next(t, a.terms)
		// Nobody else is there, so the lease still has its name when it comes back.
		a.wire.cut.Store(true)
		next(t, a.ends)
		require.Equal(t, a.elector.Holder(), server.holder())
		a.wire.cut.Store(false)
		require.Greater(t, next(t, a.terms).Epoch, first.Epoch)
	})
}

func TestReleaseWaitsForTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, leaders := &leaseServer{}, &atomic.Int64{}
		hold := make(chan struct{})
		a := server.replica(t, "a").run(t, leaders, hold)
		next(t, a.terms)
		a.cancel()
		next(t, a.ends)
		require.Never(t, func() bool { return server.holder() == "" }, 200*time.Millisecond, 10*time.Millisecond)
		close(hold)
		<-a.done
		require.Empty(t, server.holder())
	})
}

func TestHeldEndsWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, leaders := &leaseServer{}, &atomic.Int64{}
		a := server.replica(t, "a").run(t, leaders, nil)
		term := next(t, a.terms)
		require.True(t, term.Held())
		// As if the process had been stopped for a while.
		a.wire.cut.Store(true)
		a.clock.offset.Store(int64(2 * time.Second))
		require.False(t, term.Held())
	})
}

func TestWorkThatReturnsReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &leaseServer{}
		a := server.replica(t, "a")
		ctx, cancel := context.WithCancel(t.Context())
		var epochs []int64
		var mu sync.Mutex
		done := make(chan struct{})
		go func() {
			defer close(done)
			a.elector.Run(ctx, func(_ context.Context, term Term) {
				mu.Lock()
				defer mu.Unlock()
				if epochs = append(epochs, term.Epoch); len(epochs) == 3 {
					cancel()
				}
			})
		}()
		next(t, done)
		require.Len(t, epochs, 3)
		require.IsIncreasing(t, epochs)
		require.Empty(t, server.holder())
	})
}

func TestNewRefusesTimesThatDoNotFit(t *testing.T) {
	settings := Settings{
		Namespace: "mesh", Name: "inventory", Identity: "a",
		Duration: 2 * time.Second, RenewDeadline: 1001 * time.Millisecond, RetryPeriod: time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	}
	config := &rest.Config{Host: "http://localhost:1", Transport: http.DefaultTransport}
	_, err := New(config, settings)
	require.ErrorIs(t, err, errTooShort)
	settings.RenewDeadline = time.Second
	_, err = New(config, settings)
	require.NoError(t, err)
	settings.RetryPeriod = time.Second
	_, err = New(config, settings)
	require.ErrorContains(t, err, "renewDeadline must be greater than")
}
