// SPDX-License-Identifier: Apache-2.0

// Package lease elects one leader among replicas by a Lease of coordination.k8s.io. The election itself is client-go's.
// This package adds what publishing needs on top of it:
//
//   - Each term has an epoch that is greater than that of every term before it, whatever the replicas' clocks say. It is
//     kept in the lease itself, as spec.acquireTime.
//   - A term ends for the one who leads before another can begin: its context is canceled when the lease cannot be
//     renewed in time, and [Term.Held] turns false even if the process was stopped meanwhile.
//   - At an orderly end the lease is released only once the leader's work has returned.
package lease

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// Settings say which lease, and how fast it changes hands.
type Settings struct {
	// Namespace and Name are the lease's. Both required.
	Namespace, Name string
	// Identity names this replica to people who look at the lease. Required. What is written is the identity with a
	// random ending, so that two processes that were given one identity still exclude each other.
	Identity string
	// Duration is how long others wait for a leader that has stopped renewing: whole seconds, as the lease has no room for
	// less, and at least a second more than RenewDeadline, as client-go compares leases in whole seconds: others may count
	// from a second before the last renewal.
	Duration time.Duration
	// RenewDeadline is how long the leader tries to renew before it steps down.
	RenewDeadline time.Duration
	// RetryPeriod is the pause between two tries; less than RenewDeadline / 1.2.
	RetryPeriod time.Duration
	// Logger is required.
	Logger *slog.Logger
	// Observe hears what came of each request to the API server: nil if it answered. May be nil. It is called from one
	// goroutine at a time.
	Observe func(error)
	// Now tells the time; nil stands for time.Now.
	Now func() time.Time
}

// Elector takes part in one election. Make one with [New]; [Elector.Run] may be called once.
type Elector struct {
	settings Settings
	holder   string
	client   coordinationv1.LeasesGetter
	http     *http.Client
}

// Term is one time of leading.
type Term struct {
	// Epoch is when the term began, in Unix nanoseconds, by this replica's clock; or a microsecond after the epoch before
	// it if the clock is behind.
	Epoch int64

	lock *lock
}

// Held says whether nobody else can lead at this moment. It guards what a canceled context cannot: a process that was
// stopped by a signal, and goes on before its timers fire.
func (t Term) Held() bool { return t.lock == nil || t.lock.held() }

// Slack is what a lease must last longer than its leader tries to renew it.
const Slack = time.Second

var errTooShort = errors.New("the lease must last a second longer than its leader tries to renew it, or two could lead at a time")

// New prepares an election; times that could let two lead at a time are refused. The settings of the connection are copied and left alone. It does not talk to the API server.
func New(config *rest.Config, s Settings) (*Elector, error) {
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Duration < s.RenewDeadline+Slack {
		return nil, errTooShort
	}
	own := rest.AddUserAgent(rest.CopyConfig(config), "leader-election")
	// One request that hangs must not use up the time there is to renew.
	own.Timeout = max(time.Second, s.RenewDeadline/2)
	// Nor must waiting for leave to send one; RetryPeriod bounds how many there are.
	own.QPS = -1
	connections, err := rest.HTTPClientFor(own)
	if err != nil {
		return nil, fmt.Errorf("making the client of the lease: %w", err)
	}
	client, err := coordinationv1.NewForConfigAndClient(own, connections)
	if err != nil {
		return nil, fmt.Errorf("making the client of the lease: %w", err)
	}
	ending := make([]byte, 4)
	// It never fails: crypto/rand says so.
	_, _ = rand.Read(ending)
	e := &Elector{settings: s, client: client, http: connections, holder: s.Identity + "_" + hex.EncodeToString(ending)}
	// The library checks the durations against each other; a wrong one must show now, not at the first term.
	if _, err := leaderelection.NewLeaderElector(e.election(e.newLock(), func(context.Context) {})); err != nil {
		return nil, fmt.Errorf("the times of the lease do not fit: %w", err)
	}
	return e, nil
}

// Holder returns what this replica writes into the lease.
func (e *Elector) Holder() string { return e.holder }

// Run takes part in the election until ctx ends, and calls lead for each term won, one at a time. The context that lead
// gets ends with the term; lead must return soon after, for only then is the lease released or fought for again. If
// lead returns before, the lease is released and the election goes on. When Run returns, lead has returned.
func (e *Elector) Run(ctx context.Context, lead func(context.Context, Term)) {
	// The library logs by the context it is given.
	defer e.closeIdle()
	logging := klog.NewContext(context.WithoutCancel(ctx), logr.FromSlogHandler(e.settings.Logger.Handler()))
	for {
		e.term(ctx, logging, lead)
		select {
		case <-ctx.Done():
			return
		case <-time.After(e.settings.RetryPeriod):
		}
	}
}

// term waits until the lease is won, and leads until it is lost. ctx ends the work, electing the election: the work must
// have returned before the lease is let go.
func (e *Elector) term(ctx, electing context.Context, lead func(context.Context, Term)) {
	electing, stop := context.WithCancel(electing)
	defer stop()
	lock, won := e.newLock(), make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(e.election(lock, func(context.Context) { close(won) }))
	if err != nil {
		e.settings.Logger.Error("Cannot take part in the election", "error", err) // New has made the same one
		return
	}
	lost := make(chan struct{})
	go func() {
		defer close(lost)
		elector.Run(electing)
	}()
	select {
	case <-won:
		e.work(ctx, lost, lock, lead)
	case <-lost:
	case <-ctx.Done():
	}
	stop()
	<-lost
	e.release(electing, lock)
}

// work leads until the lease is lost, ctx ends, or lead returns by itself.
func (e *Elector) work(ctx context.Context, lost <-chan struct{}, lock *lock, lead func(context.Context, Term)) {
	leading, cancel := context.WithCancel(ctx)
	defer cancel()
	term := Term{Epoch: lock.epochNanos(), lock: lock}
	e.settings.Logger.Info("Leading", "lease", lock.Describe(), "holder", e.holder, "epoch", term.Epoch)
	done := make(chan struct{})
	go func() {
		defer close(done)
		lead(leading, term)
	}()
	select {
	case <-lost:
		e.settings.Logger.Warn("Lost the lease", "lease", lock.Describe(), "holder", e.holder)
	case <-ctx.Done():
	case <-done:
	}
	cancel()
	<-done
}

func (e *Elector) newLock() *lock {
	return &lock{
		inner: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: e.settings.Namespace, Name: e.settings.Name},
			Client:     e.client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: e.holder},
		},
		duration: e.settings.Duration,
		now:      e.settings.Now,
		observe:  e.observe,
	}
}

// observe passes on what came of a request. After one that nobody answered, the next takes a new connection: the library
// would wait for most of a minute before it gives up a silent one.
func (e *Elector) observe(err error) {
	if status := apierrors.APIStatus(nil); err != nil && !errors.As(err, &status) {
		e.closeIdle()
	}
	if e.settings.Observe != nil {
		e.settings.Observe(err)
	}
}

func (e *Elector) closeIdle() { utilnet.CloseIdleConnectionsFor(e.http.Transport) }

func (e *Elector) election(l *lock, won func(context.Context)) leaderelection.LeaderElectionConfig {
	return leaderelection.LeaderElectionConfig{
		Lock:          l,
		Name:          e.settings.Name,
		LeaseDuration: e.settings.Duration,
		RenewDeadline: e.settings.RenewDeadline,
		RetryPeriod:   e.settings.RetryPeriod,
		// The library would release before the work has returned, and, after a failure to renew, keep the work going
		// while it tries to. So release is ours.
		ReleaseOnCancel: false,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: won,
			OnStoppedLeading: func() {},
			OnNewLeader: func(holder string) {
				if holder != "" && holder != e.holder {
					e.settings.Logger.Info("Another replica leads", "lease", l.Describe(), "holder", holder)
				}
			},
		},
	}
}

// release lets others lead at once. If it cannot, they wait until the lease has run out.
func (e *Elector) release(ctx context.Context, l *lock) {
	if !l.acquired() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(time.Second, e.settings.RetryPeriod))
	defer cancel()
	if err := l.release(ctx); err != nil {
		e.settings.Logger.Warn("Could not release the lease; another replica leads when it has run out",
			"lease", l.Describe(), "after", e.settings.Duration, "error", err)
	}
}
