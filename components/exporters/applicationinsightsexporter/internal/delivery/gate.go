// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
)

// probeItems is how many items a probe sends at first; each that fails halves it. Little can be stored twice if it fails
// as well.
const probeItems = 64

// unasked is how many times the longest back-off a block is told of after its end, if no request comes.
const unasked = 2

type gateState uint8

const (
	gateOpen gateState = iota
	gateBlocked
	gateProbing
)

// gate lets requests to a destination pass, or not. While it is blocked nobody passes; at the end one request goes ahead,
// the probe, and the others wait for what becomes of it.
type gate struct {
	settings *Settings

	mu    sync.Mutex
	state gateState
	// epoch counts the blocks: a request that began before the last one says nothing about it.
	epoch uint64
	// failures counts the failures in a row, for the back-off.
	failures int
	failure  *Failure
	since    time.Time
	until    time.Time
	total    time.Duration
	// blocked is the connection that is blocked; another one is worth a try at once.
	blocked *connection.Info
	// probe is closed when the probe ends.
	probe chan struct{}
}

// pass is the leave to send one request. Exactly one of its methods counts, the first.
type pass struct {
	gate  *gate
	info  *connection.Info
	epoch uint64
	probe bool
	// items is how many a probe may send.
	items int
	done  bool
}

// enter returns a pass, or why there is none and how long to wait.
func (g *gate) enter(ctx context.Context, info *connection.Info) (*pass, *Failure, time.Duration) {
	for {
		g.mu.Lock()
		now := g.settings.Now()
		if g.state != gateOpen && !sameConnection(g.blocked, info) {
			g.openLocked(now)
			g.epoch++
		}
		switch g.state {
		case gateOpen:
			p := &pass{gate: g, info: info, epoch: g.epoch}
			g.mu.Unlock()
			return p, nil, 0
		case gateBlocked:
			if wait := g.until.Sub(now); wait > 0 {
				failure := g.failure
				g.mu.Unlock()
				return nil, failure, wait
			}
			g.state, g.probe = gateProbing, make(chan struct{})
			p := &pass{gate: g, info: info, epoch: g.epoch, probe: true, items: max(1, probeItems>>min(30, max(0, g.failures-1)))}
			g.mu.Unlock()
			return p, nil, 0
		default:
			probe := g.probe
			g.mu.Unlock()
			select {
			case <-probe:
			case <-ctx.Done():
				return nil, nil, 0
			}
		}
	}
}

func sameConnection(a, b *connection.Info) bool {
	return a == b || (a != nil && b != nil && a.TrackURL() == b.TrackURL() && a.InstrumentationKey() == b.InstrumentationKey())
}

// openLocked ends a block.
func (g *gate) openLocked(now time.Time) {
	if g.state != gateOpen {
		g.total += max(0, now.Sub(g.since))
	}
	g.endProbeLocked()
	g.state, g.failures, g.failure, g.blocked = gateOpen, 0, nil, nil
}

func (g *gate) endProbeLocked() {
	if g.probe != nil {
		close(g.probe)
		g.probe = nil
	}
}

// succeed says that the endpoint works. It returns how long it was blocked, if this ends a block.
func (p *pass) succeed() (blocked time.Duration) {
	if p.done {
		return 0
	}
	p.done = true
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	// A success that began before the block is older news than the block.
	if p.epoch == g.epoch {
		now := g.settings.Now()
		if g.state != gateOpen {
			blocked = max(1, now.Sub(g.since))
		}
		g.openLocked(now)
	}
	return blocked
}

// release says that nothing was found out about the endpoint. Another request takes the place of the probe.
func (p *pass) release() {
	if p.done {
		return
	}
	p.done = true
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.probe && p.epoch == g.epoch && g.state == gateProbing {
		g.state = gateBlocked
		g.endProbeLocked()
	}
}

// block keeps the requests that follow away for a time, or with 0 for that of the back-off. It returns how long, if that
// is news.
func (p *pass) block(failure *Failure, delay time.Duration) time.Duration {
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.settings.Now()
	if p.done {
		return 0
	}
	p.done = true
	if p.epoch != g.epoch {
		// The block is known already. Only what the endpoint asked for can make it longer.
		if until := now.Add(delay); g.state == gateBlocked && until.After(g.until) {
			g.until, g.failure = until, failure
			return delay
		}
		if g.state != gateOpen || delay == 0 {
			return 0
		}
	}
	g.failures++
	if delay == 0 {
		delay = g.settings.backoff(g.failures)
	}
	if g.state == gateOpen {
		g.since = now
	}
	g.endProbeLocked()
	g.state, g.failure, g.blocked = gateBlocked, failure, p.info
	g.until = now.Add(delay)
	g.epoch++
	return delay
}

// backoff is the wait after so many failures in a row, spread by a quarter so that collectors do not come back together.
func (s *Settings) backoff(failures int) time.Duration {
	delay := s.MaxBackoff
	if shift := failures - 1; shift < 30 && s.MinBackoff<<shift>>shift == s.MinBackoff {
		delay = min(delay, s.MinBackoff<<shift)
	}
	return time.Duration(float64(delay) * (0.75 + 0.5*s.Random()))
}

// remaining is how long the gate stays blocked at least.
func (g *gate) remaining() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != gateBlocked {
		return 0
	}
	return max(0, g.until.Sub(g.settings.Now()))
}

func (g *gate) look() (cause Cause, since, until time.Time, total time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.settings.Now()
	if g.state == gateOpen {
		return "", time.Time{}, time.Time{}, g.total
	}
	if end := g.until.Add(unasked * g.settings.MaxBackoff); g.state == gateBlocked && now.After(end) {
		// Nothing came since that could have found out whether it is back: nobody knows, and nobody waits.
		return "", time.Time{}, time.Time{}, g.total + max(0, g.until.Sub(g.since))
	}
	return g.failure.Cause, g.since, g.until, g.total + max(0, now.Sub(g.since))
}
