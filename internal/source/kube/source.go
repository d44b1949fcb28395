// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Source reads one cluster. Make it with [New].
type Source struct {
	settings  Settings
	client    rest.Interface
	closeIdle func()
	meter     *meter
	discovery *discovery
	counters  counters
	status    status
	once      findingsOnce
	outage    outage
	reach     *reach
}

// New returns a source that has not asked the API server anything yet. The errors are those of the settings, and of a
// kubeconfig or service account that cannot be read.
func New(settings Settings) (*Source, error) {
	if err := settings.check(); err != nil {
		return nil, err
	}
	s := &Source{settings: settings}
	s.meter, s.reach = newMeter(settings.Now), newReach(settings.Scope, settings.Now)
	client, closeIdle, err := newClient(&settings.Client, s.meter, s.reach)
	if err != nil {
		return nil, err
	}
	s.client, s.closeIdle = client, closeIdle
	s.discovery = &discovery{client: client, reach: s.reach, now: settings.Now, groups: map[string]servedGroup{}}
	return s, nil
}

// messageBuffer decouples decoding from merging. Trimmed objects are small.
const messageBuffer = 256

// Run reads the cluster until the context ends, and returns its error. Emit is called from this goroutine: first with a
// full delta, or with the pieces of one while the pods are listed, of which the last comes once everything that may be
// read was read; then with what changed in the last 100 ms; and at least every
// ten seconds with a confirmation, as long as all watches are live. The source does not use a delta after emitting it.
// Call Run once.
func (s *Source) Run(ctx context.Context, emit func(*topology.Delta)) error {
	outer := ctx
	// The client's own messages go where the source's go.
	ctx = klog.NewContext(ctx, logr.FromSlogHandler(s.settings.Logger.Handler()))
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer s.closeIdle()
	defer group.Wait()
	defer cancel()
	e := newEngine(s, emit)
	e.start = func(w *watcher) { group.Go(func() { w.run(ctx) }) }
	for _, r := range s.resources() {
		e.follow(r, true)
	}
	group.Go(func() { s.identify(ctx, e.messages) })
	group.Go(func() { s.repeat(ctx) })
	e.run(ctx)
	return outer.Err()
}

// State is how a source fares.
type State struct {
	// Synced says that the full delta was emitted, all of its pieces.
	Synced bool
	// Confirmed is up to when everything that happened is known; zero if never.
	Confirmed time.Time
	// Watches is how many resources are followed, Live how many of them have a watch now. Resources that the cluster does
	// not have, or does not allow, do not count.
	Watches, Live int
	// LastError is the newest failure to reach the API server; empty since it was reached again.
	LastError string
}

type status struct{ state atomic.Pointer[State] }

// State returns how the source fares. It may be called at any time, from any goroutine.
func (s *Source) State() State {
	var state State
	if p := s.status.state.Load(); p != nil {
		state = *p
	}
	state.LastError = s.outage.text()
	return state
}

// Counters are totals since the source was made.
type Counters struct {
	// Requests to lists and watches; Lists and Watches are the listings begun and the watches established.
	Requests, Lists, Watches uint64
	// Events that watches brought, bookmarks included.
	Events uint64
	// Deltas emitted.
	Deltas uint64
	// Failures of requests and watches other than being refused.
	Failures uint64
	// Invalid objects and addresses, left out.
	Invalid uint64
	// BytesRead and BytesWritten are those of the connections to the API server, encryption included.
	BytesRead, BytesWritten uint64
}

type counters struct {
	requests, lists, watches, events, deltas, failures, invalid atomic.Uint64
}

// Counters returns the totals. It may be called at any time, from any goroutine.
func (s *Source) Counters() Counters {
	c := &s.counters
	return Counters{
		Requests: c.requests.Load(), Lists: c.lists.Load(), Watches: c.watches.Load(), Events: c.events.Load(),
		Deltas: c.deltas.Load(), Failures: c.failures.Load(), Invalid: c.invalid.Load(),
		BytesRead: s.meter.read.Load(), BytesWritten: s.meter.written.Load(),
	}
}
