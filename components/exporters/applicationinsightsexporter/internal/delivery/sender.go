// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// Destination is one Application Insights resource: what is known of it, and shared by all that send to it. Make one for
// each route, and a [Sender] of it for each signal. It is safe for concurrent use, and it has no goroutines.
type Destination struct {
	settings  Settings
	client    http.Client
	gate      gate
	clock     serverClock
	redirects redirects
	sizes     sizeLimit
	press     *press
	scratch   sync.Pool
}

// NewDestination returns a destination, or the errors of [Settings.Validate].
func NewDestination(settings Settings) (*Destination, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	d := &Destination{settings: settings.withDefaults()}
	d.client = *settings.Client
	d.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	d.gate.settings = &d.settings
	d.press = newPress(d.settings.CompressionLevel)
	d.scratch.New = func() any { return &scratch{} }
	return d, nil
}

// Blocked returns why nothing is sent to the destination now, since when, and until when at least. The cause is empty if
// it is not blocked.
func (d *Destination) Blocked() (cause Cause, since, until time.Time) {
	cause, since, until, _ = d.gate.look()
	return cause, since, until
}

// BlockedFor returns for how long in all nothing was sent to the destination, up to now.
func (d *Destination) BlockedFor() time.Duration {
	_, _, _, total := d.gate.look()
	return total
}

// ClockSkew returns by how much the clock of the endpoint is ahead of this machine's, and whether that is known.
func (d *Destination) ClockSkew() (time.Duration, bool) { return d.clock.skew() }

// Sender returns a sender to the destination that tells the observer what it does. A nil observer is told nothing.
func (d *Destination) Sender(observer Observer) *Sender {
	if observer == nil {
		observer = Ignore{}
	}
	return &Sender{destination: d, observer: observer, health: health{value: 0.5}}
}

// Sender sends the batches of one signal to a destination. It is safe for concurrent use.
type Sender struct {
	destination *Destination
	observer    Observer
	// passes counts the requests that brought something.
	passes atomic.Uint64
	health health
}

// Send makes one attempt at delivering a batch, with as many requests as that takes, and returns the fate of every item.
// It does not panic, and it changes nothing in the batch but its note of failures. When ctx ends, what was accepted stays accepted, and the rest is
// left. While the destination is blocked it returns at once, but that it waits, until ctx ends, for another Send that
// finds out whether the destination is back.
func (s *Sender) Send(ctx context.Context, b *items.Batch) (result Result) {
	if b == nil || b.Len() == 0 {
		return Result{}
	}
	a := newAttempt(ctx, s, b)
	// What panics is the transport of somebody else, if anything.
	defer func() {
		if p := recover(); p != nil {
			a.panicked(p)
		}
		result = a.finish()
	}()
	a.sort()
	for len(a.stack) > 0 && a.step() {
	}
	return result
}

// sizeLimit remembers that bodies of some size got 413, so that not each batch has to find out again.
type sizeLimit struct {
	mu    sync.Mutex
	bytes int
	until time.Time
	// timely is the size from which on requests took too long; 0 if none did. quick counts those that passed since.
	timely, quick int
}

// sizeMemory is for how long a limit is remembered.
const sizeMemory = time.Hour

func (l *sizeLimit) lower(bytes int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bytes = max(bytes, minBodyBytes)
	if l.bytes == 0 || !now.Before(l.until) || bytes < l.bytes {
		l.bytes = bytes
	}
	l.until = now.Add(sizeMemory)
}

// quickEnough is after how many requests that passed in a row a larger size is tried again.
const quickEnough = 32

// slow says that a request took too long, and what size to try instead. Requests under way together count once.
func (l *sizeLimit) slow(bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bytes = max(bytes, minBodyBytes)
	if l.timely == 0 || bytes < l.timely {
		l.timely = bytes
	}
	l.quick = 0
}

// passed says that a request was done in time.
func (l *sizeLimit) passed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timely == 0 {
		return
	}
	if l.quick++; l.quick < quickEnough {
		return
	}
	l.quick = 0
	if l.timely *= 2; l.timely > maxBodyBytes {
		l.timely = 0
	}
}

func (l *sizeLimit) apply(bytes int, now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timely != 0 {
		bytes = min(bytes, l.timely)
	}
	if l.bytes == 0 || !now.Before(l.until) {
		return bytes
	}
	return min(bytes, l.bytes)
}
