// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lock is the library's lock of one term, with three things added: the time of acquisition is an epoch that only grows,
// the moment until which nobody else can lead is known, and others hear whether the API server answers.
type lock struct {
	inner    resourcelock.Interface
	duration time.Duration
	now      func() time.Time
	observe  func(error)

	mu sync.Mutex
	// last is the newest time of acquisition that was seen in the lease, anyone's.
	last time.Time
	// epoch is our own, zero until the lease is won.
	epoch time.Time
	// until is when others may take the lease if it is not renewed again.
	until time.Time
}

var _ resourcelock.Interface = (*lock)(nil)

func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.inner.Get(ctx)
	l.heard(ctx, err)
	if err != nil {
		return nil, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if record.AcquireTime.After(l.last) {
		l.last = record.AcquireTime.Time
	}
	return record, raw, nil
}

func (l *lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, record, l.inner.Create)
}

func (l *lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, record, l.inner.Update)
}

// write puts our epoch in place of the time that the library takes. What it takes is this replica's clock, and a replica
// that finds its own name in the lease would go on with the time it finds, although it begins anew.
func (l *lock) write(
	ctx context.Context, record resourcelock.LeaderElectionRecord,
	send func(context.Context, resourcelock.LeaderElectionRecord) error,
) error {
	began := l.now()
	epoch := l.nextEpoch(began)
	record.AcquireTime = metav1.NewTime(epoch)
	err := send(ctx, record)
	l.heard(ctx, err)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch, l.last, l.until = epoch, epoch, began.Add(l.duration-unseen(record.RenewTime.Time))
	return nil
}

// unseen is for how long others may have counted already when a renewal that began at renewed is answered: the library
// compares records in whole seconds, so that they see a change once a second, and count from there.
func unseen(renewed time.Time) time.Duration {
	return time.Since(renewed) + renewed.Sub(renewed.Truncate(time.Second))
}

// nextEpoch returns the term's epoch if it has one, or a new one, greater than any seen. The lease keeps microseconds.
func (l *lock) nextEpoch(now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.epoch.IsZero() {
		return l.epoch
	}
	epoch := now.Truncate(time.Microsecond)
	if !epoch.After(l.last) {
		epoch = l.last.Add(time.Microsecond)
	}
	return epoch
}

// heard passes on what came of a request. That somebody was faster, or that there is no lease yet, are answers; that it
// was canceled says nothing.
func (l *lock) heard(ctx context.Context, err error) {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		err = nil
	}
	l.observe(err)
}

// release gives the lease up if it is still ours, keeping the epoch in it.
func (l *lock) release(ctx context.Context) error {
	for {
		record, _, err := l.Get(ctx)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if record.HolderIdentity != l.Identity() {
			return nil
		}
		record.HolderIdentity = ""
		// The shortest there is: older clients wait for it although nobody holds the lease.
		record.LeaseDurationSeconds = 1
		record.RenewTime = metav1.NewTime(l.now())
		err = l.Update(ctx, *record)
		if apierrors.IsConflict(err) {
			continue // our own last renewal, which was canceled on its way, may have arrived
		}
		if err == nil {
			l.mu.Lock()
			l.until = time.Time{}
			l.mu.Unlock()
		}
		return err
	}
}

func (l *lock) acquired() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.epoch.IsZero()
}

func (l *lock) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now().Before(l.until)
}

func (l *lock) epochNanos() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch.UnixNano()
}

func (l *lock) RecordEvent(event string) { l.inner.RecordEvent(event) }

func (l *lock) Identity() string { return l.inner.Identity() }

func (l *lock) Describe() string { return l.inner.Describe() }
