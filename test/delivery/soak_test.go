// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// soak says how long, how much and how rough.
type soak struct {
	lasts, killEvery, drains time.Duration
	perSecond                int
	seed                     uint64
}

// soakOf reads OTELCOL_MESH_SOAK, such as 30m, which is what the figures in the docs were taken with. Without it the run
// is short, with as many kills in less time.
func soakOf(t *testing.T) soak {
	s := soak{lasts: 30 * time.Second, killEvery: 6 * time.Second, drains: 90 * time.Second, perSecond: 5000, seed: uint64(time.Now().UnixNano())}
	if text := os.Getenv("OTELCOL_MESH_SOAK"); text != "" {
		var err error
		s.lasts, err = time.ParseDuration(text)
		require.NoError(t, err, "OTELCOL_MESH_SOAK")
		s.killEvery, s.drains = 20*time.Second, 10*time.Minute
	}
	t.Logf("seed %d", s.seed)
	return s
}

// hubOverlays and agentOverlays are what is merged over the shipped configuration: the file that the variable names, for
// trying another one, and then more.
func hubOverlays(t *testing.T, more ...string) []string {
	return append(overlayOf(t, "OTELCOL_MESH_HUB_OVERLAY"), more...)
}

func agentOverlays(t *testing.T, more ...string) []string {
	return append(overlayOf(t, "OTELCOL_MESH_AGENT_OVERLAY"), more...)
}

func overlayOf(t *testing.T, variable string) []string {
	file := os.Getenv(variable)
	if file == "" {
		return nil
	}
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	return []string{string(raw)}
}

// TestSoak kills hub and agents at random while the endpoint has one fault after the other, and asks in the end for every
// item that an agent had acknowledged.
func TestSoak(t *testing.T) {
	s := soakOf(t)
	r := startRig(t, 20, overlays{hub: hubOverlays(t), agent: agentOverlays(t)})
	total, cancel := context.WithTimeout(t.Context(), s.lasts+s.drains)
	defer cancel()
	rough, calm := context.WithTimeout(total, s.lasts)
	defer calm()

	watching, unwatch := context.WithCancel(total)
	defer unwatch()
	watched, killed, failed := make(chan struct{}), make(chan struct{}), make(chan map[string]int, 1)
	go func() { defer close(watched); r.watch(watching) }()
	l := startLoad(rough, total, t, r.agents, s.perSecond)
	go func() { defer close(killed); r.killAtRandom(rough, s) }()
	go func() { failed <- misbehave(rough, r.server, s.seed) }()
	<-killed
	faults := <-failed
	t.Logf("%d items acknowledged when the rough part ends", l.count())
	l.wait()
	ended := time.Now()
	err := until(total, func() bool { n, _ := l.missing(r.server); return n == 0 })
	drained := time.Since(ended)
	unwatch()
	<-watched
	missing, which := l.missing(r.server)
	assert.NoError(t, err, which)
	r.tell(t, s, l, faults, drained)
	assert.Zero(t, missing, "lost of those that were acknowledged")
	assert.Positive(t, l.count())
	for _, o := range r.roles() {
		assert.Positive(t, o.kills, "kills of "+o.name)
	}
}

// killAtRandom kills one role after the other, in any order, until ctx ends; each comes to its turn.
func (r *rig) killAtRandom(ctx context.Context, s soak) {
	random := rand.New(rand.NewPCG(s.seed, 1))
	ticker := time.NewTicker(s.killEvery)
	defer ticker.Stop()
	for {
		for _, i := range random.Perm(len(r.roles())) {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := r.roles()[i].kill(); err != nil {
				r.t.Logf("%v: it was about to start again", err)
			}
		}
	}
}

// misbehave gives the endpoint one fault after the other until ctx ends, with health in between, and counts them.
func misbehave(ctx context.Context, server *ingestiontest.Server, seed uint64) map[string]int {
	random := rand.New(rand.NewPCG(seed, 2))
	some := []int{0, 3, 4, 10, 11, 12, 50, 51, 99, 300}
	faults := []struct {
		name string
		fault
	}{
		{"429", fault{Kind: ingestiontest.FaultStatus, Status: 429, RetryAfter: time.Second}},
		{"503", fault{Kind: ingestiontest.FaultStatus, Status: 503}},
		{"439", fault{Kind: ingestiontest.FaultStatus, Status: appinsights.StatusQuotaExceeded, RetryAfter: time.Second}},
		{"hang", fault{Kind: ingestiontest.FaultHang}},
		{"206", fault{Kind: ingestiontest.FaultItems, Indexes: some, ItemStatus: 500}},
		{"reset", fault{Kind: ingestiontest.FaultClose}},
		{"reset after storing", fault{Kind: ingestiontest.FaultClose, Store: true}},
	}
	counts := map[string]int{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for sick := false; ; sick = !sick {
		select {
		case <-ctx.Done():
			server.ClearFaults()
			server.DropConnections() // who hangs is let go
			return counts
		case <-timer.C:
		}
		server.ClearFaults()
		if sick {
			server.DropConnections()
			timer.Reset(time.Duration(500+random.IntN(2000)) * time.Millisecond)
			continue
		}
		f := faults[random.IntN(len(faults))]
		counts[f.name]++
		f.Times = ingestiontest.Forever
		if err := server.Fault(f.fault); err != nil {
			panic(err) // the list above is wrong
		}
		timer.Reset(time.Duration(500+random.IntN(2500)) * time.Millisecond)
	}
}

// tell prints what is put into the docs.
func (r *rig) tell(t *testing.T, s soak, l *load, faults map[string]int, drained time.Duration) {
	missing, _ := l.missing(r.server)
	var unique, duplicates uint64
	for _, signal := range []string{traces, logs, metrics} {
		count := r.server.Ledger(signal)
		unique += count.Unique
		duplicates += count.Duplicates
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %d items/s, SIGKILL every %s; faults of the endpoint: %v\n", s.lasts, s.perSecond, s.killEvery, faults)
	fmt.Fprintf(&b, "acknowledged %d (%d attempts refused, %d without an answer, of %d items), delivered %d, lost %d, twice %d (%.2f %%), drained in %s\n",
		l.count(), l.refused.Load(), l.unanswered.Load(), l.unanswered.Load()*perRequest, unique, missing, duplicates, 100*float64(duplicates)/float64(max(unique, 1)), drained.Round(time.Millisecond))
	// What the endpoint stored and did not say comes again by its own doing.
	unsaid := 0
	for _, request := range r.server.Requests() {
		if request.Status == 0 {
			unsaid += request.Accepted
		}
	}
	fmt.Fprintf(&b, "the endpoint stored %d without an answer\n", unsaid)
	for _, o := range r.roles() {
		fmt.Fprintf(&b, "%s: %d kills, peak memory %d MiB, peak disk %.1f MiB\n", o.name, o.kills, o.peak>>10, float64(o.disk)/(1<<20))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, name := range []string{"accepted", "sampled_out", "dead_lettered", "lost", "retried", "uncertain"} {
		if n, ok := r.hub.metric(ctx, "otelcol_exporter_application_insights_items_"+name); ok {
			fmt.Fprintf(&b, "hub since its last start: items_%s %.0f\n", name, n)
		}
	}
	t.Log("\n" + b.String())
}
