// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// between is how many items are to be taken over between two changes.
const between = 1200

// TestReplicas scales the hub from one replica to three and back to two, and then upgrades everything, under load. The two
// spans of a call may end at different replicas only if the call was under way while the routers learned of a change.
func TestReplicas(t *testing.T) {
	s := newScaled(t)
	total, cancel := context.WithTimeout(t.Context(), lasts(t)+4*within)
	defer cancel()
	sending, enough := context.WithCancel(total)
	defer enough()
	began := time.Now()
	l := startLoad(sending, total, t, map[string]string{west: s.services[west].address(), north: s.services[north].address()}, 400)
	s.joined(s.hubs[0])
	rounds, from := 0, s.releases[0]
	for ; rounds < 1 || time.Since(began) < lasts(t); rounds++ {
		to := s.releases[(rounds+1)%2]
		flow(t, l, between)
		s.scaleUp(3, from)
		flow(t, l, between)
		s.scaleDown(rounds%2 == 1)
		flow(t, l, between)
		s.upgrade(to)
		flow(t, l, between)
		s.scaleDownInAnOutage()
		flow(t, l, between)
		from = to
	}
	enough()
	l.wait()
	t.Logf("%d rounds in %s", rounds, time.Since(began).Round(time.Second))
	s.deliver(total, l)
	s.verdict(l, s.ledger)
	s.judge(l)
}

// upgrade replaces everything, as docs/upgrades.md says: from the endpoint's end to the senders'.
func (s *scaled) upgrade(to release) {
	s.t.Helper()
	for ordinal := range slices.Backward(s.hubs) {
		s.replaceHub(ordinal, to)
	}
	for range s.routers {
		s.replaceRouter(to)
	}
	for _, cluster := range []string{west, north} {
		s.replaceOther("inventory-"+cluster, to)
		s.replaceOther(cluster, to)
	}
}

// scaleDownInAnOutage takes the last replica away without notice while the endpoint takes nothing: what it has not delivered
// stays on its volume.
func (s *scaled) scaleDownInAnOutage() {
	s.t.Helper()
	require.NoError(s.t, s.ledger.server.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: 503, Times: ingestiontest.Forever}))
	s.scaleDown(true)
	s.ledger.server.ClearFaults()
}

// deliver waits until no more is delivered, brings the replicas back that were taken away, to which nobody sends, and waits
// for what they have on their volumes.
func (s *scaled) deliver(ctx context.Context, l *load) {
	began, last, since := time.Now(), uint64(0), time.Now()
	missing := func() bool {
		n, _ := l.missing(s.ledger.server)
		if n != last {
			last, since = n, time.Now()
		}
		return n == 0
	}
	_ = until(ctx, func() bool { return missing() || time.Since(since) > 4*time.Second })
	s.t.Logf("%s after the load ended %d items are left, on volumes of replicas that were taken away", time.Since(began).Round(time.Millisecond), last)
	if last > 0 {
		for ordinal := len(s.hubs); ordinal < 3; ordinal++ {
			s.startHub(ordinal, s.releases[0])
		}
	}
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := until(limited, missing)
	_, which := l.missing(s.ledger.server)
	assert.NoError(s.t, err, "lost: "+which)
}

// judge compares the replicas that the two spans of each call ended at.
func (s *scaled) judge(l *load) {
	t := s.t
	t.Helper()
	s.ledger.take()
	var complete, split, named, unexplained int
	during := make([]struct{ under, split int }, len(s.windows))
	shares := map[uint8]int{}
	for call := range l.calls() {
		server, ok := s.ledger.of(traces, 2*call)
		client, also := s.ledger.of(traces, 2*call+1)
		if !ok || !also {
			continue
		}
		complete++
		if server.resolved && client.resolved {
			named++
		}
		apart := server.replicas&client.replicas == 0
		if apart {
			split++
		} else {
			shares[server.replicas&client.replicas]++
		}
		from, to := l.since(call), server.first
		if client.first.After(to) {
			to = client.first
		}
		underway := false
		for i, w := range s.windows {
			if from.Before(w.to) && to.After(w.from) {
				underway = true
				during[i].under++
				if apart {
					during[i].split++
				}
			}
		}
		if apart && !underway {
			unexplained++
			t.Logf("call %d: %03b and %03b, from %s to %s", call, client.replicas, server.replicas, from.Format(time.StampMilli), to.Format(time.StampMilli))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "calls %d, their spans at different replicas %d, of these not under way at a change %d; both ends named on both spans %d\n", complete, split, unexplained, named)
	for i, w := range s.windows {
		fmt.Fprintf(&b, "%-16s known to all routers after %s; calls under way %d, split %d\n", w.what, w.known.Round(time.Millisecond), during[i].under, during[i].split)
	}
	fmt.Fprintf(&b, "calls by replicas (a bit each) %v\n", shares)
	t.Log("\n" + b.String())
	assert.Zero(t, unexplained, "calls that were split without a change")
	for i := range 3 {
		assert.Positive(t, shares[1<<i], "calls whole at replica %d", i)
	}
}
