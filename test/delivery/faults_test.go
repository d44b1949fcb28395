// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// update writes docs/delivery-faults.md, with outages as long as it takes the upstream exporter to give up.
var update = flag.Bool("update", false, "write docs/delivery-faults.md; takes about two minutes")

const (
	// within bounds each wait of ours; it only matters when something is broken.
	within = 60 * time.Second
	// upstreamPatience is how long the upstream exporter gets after health has returned: its second attempt comes after 10 s.
	upstreamPatience = 13 * time.Second
)

// outcome is what became of the items of one case.
type outcome struct {
	sent, lost, dead int
	duplicates       uint64
	// counter is what the exporter's own counters said.
	counter, note string
	notRun        bool
}

// book collects the outcomes by case and exporter.
type book struct {
	mu  sync.Mutex
	all map[string]outcome
}

func (b *book) set(c *faultCase, exporter string, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all[exporter+"\n"+c.name] = o
}

func (b *book) get(c *faultCase, exporter string) outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o, ok := b.all[exporter+"\n"+c.name]; ok {
		return o
	}
	return outcome{notRun: true}
}

// TestFaults puts every fault to both exporters. Ours has to deliver or set aside every item, of each signal; of upstream,
// which gets one signal by turns, it is only told what became of them.
func TestFaults(t *testing.T) {
	cases := allCases()
	outcomes := &book{all: map[string]outcome{}}
	theNames = startNameServer(t)
	shared := startChild(t)
	t.Run("faults", func(t *testing.T) {
		for i := range cases {
			c := &cases[i]
			signals := []string{traces, logs, metrics}
			told := signals[i%3]
			if c.signal != "" {
				told, signals = c.signal, []string{c.signal}
			}
			for n, signal := range signals {
				t.Run(c.name+"/ours/"+signal, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, c, i, byte(10+n))
					o := w.runOurs(c, w.spec(c, ours, signal))
					if signal == told {
						outcomes.set(c, ours, o)
					}
				})
			}
			if c.outage && !*update {
				continue // a fixed hundred seconds
			}
			t.Run(c.name+"/upstream", func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, c, i, upstreamSide)
				outcomes.set(c, upstream, w.runUpstream(c, w.spec(c, upstream, told), shared))
			})
		}
	})
	table := markdown(cases, outcomes)
	t.Log("\n" + table)
	if *update {
		require.NoError(t, os.WriteFile("../../docs/delivery-faults.md", []byte(table), 0o644))
	}
}

// theNames is the name server of all cases: a process can ask only one.
var theNames *nameServer

// outageOver tells that the outage has lasted long enough: for ours some rounds of attempts with its pauses cut to a
// fraction, or what OTELCOL_MESH_DELIVERY_OUTAGE says (10m for the real thing), for upstream all attempts it makes.
func outageOver(w *world) bool {
	seen := w.server.Requests()
	if len(seen) == 0 {
		return false
	}
	if long := os.Getenv("OTELCOL_MESH_DELIVERY_OUTAGE"); long != "" && w.patient {
		d, err := time.ParseDuration(long)
		require.NoError(w.t, err, "OTELCOL_MESH_DELIVERY_OUTAGE")
		return time.Since(seen[0].Received) >= d
	}
	if w.patient {
		return len(seen) >= 12
	}
	return time.Since(seen[0].Received) >= 105*time.Second
}

// limited bounds one wait, and not a case: how long all of it takes depends on what else the machine does.
func (w *world) limited(c *faultCase, do func(ctx context.Context) error) error {
	limit := within
	if long, err := time.ParseDuration(os.Getenv("OTELCOL_MESH_DELIVERY_OUTAGE")); err == nil && c.outage {
		limit += long
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	return do(ctx)
}

// runOurs runs our exporter in this process and holds it to its promise.
func (w *world) runOurs(c *faultCase, s spec) outcome {
	t := w.t
	limited := func(do func(ctx context.Context) error) error { return w.limited(c, do) }
	come := func(what func() bool) error {
		return limited(func(ctx context.Context) error { return until(ctx, what) })
	}
	w.patient = true
	counters := map[string]int64{}
	run, err := startSession(t.Context(), s)
	require.NoError(t, err)
	// tally is what all runs so far counted, with the one that goes on.
	tally := func() map[string]int64 {
		sum, err := run.counters(t.Context())
		require.NoError(t, err)
		for name, n := range counters {
			sum[name] += n
		}
		return sum
	}
	end := func() {
		require.NoError(t, limited(run.stop))
		counters = tally()
	}
	sent := make(chan error, 1)
	go func() { sent <- limited(run.send) }()
	if !c.gated {
		require.NoError(t, <-sent)
	}
	if c.sick != nil {
		require.NoError(t, come(func() bool { return c.sick(w) }), "the fault was not met")
	}
	if c.gated {
		w.writeFile(s.Gate, "")
		require.NoError(t, <-sent)
	}
	if c.restart {
		end()
		c.heal(w)
		s.Items = 0
		run, err = startSession(t.Context(), s)
		require.NoError(t, err)
	} else if c.heal != nil {
		c.heal(w)
	}
	// All may be at the endpoint before the exporter knows.
	done := func() bool {
		if int(w.server.Ledger(s.Signal).Unique)+c.sampledOut+c.dead < c.items() {
			return false
		}
		now := tally()
		known := now["items_accepted"] + now["items_sampled_out"] + now["items_dead_lettered"] + now["items_lost"]
		return int(known) >= c.items()
	}
	if err := come(done); err != nil {
		t.Errorf("items are missing: %+v\ncounters: %v", w.server.Ledger(s.Signal), tally())
	}
	end()
	return w.judge(c, s, counters)
}

// judge compares what the endpoint has, what the dead letters hold, and what the exporter says.
func (w *world) judge(c *faultCase, s spec, counters map[string]int64) outcome {
	t := w.t
	ledger, letters := w.server.Ledger(s.Signal), w.letters()
	o := outcome{
		sent: c.items(), dead: len(letters), duplicates: ledger.Duplicates,
		lost:    c.items() - c.sampledOut - int(ledger.Unique) - len(letters),
		counter: fmt.Sprintf("%d accepted", counters["items_accepted"]),
	}
	if o.dead > 0 {
		o.counter += fmt.Sprintf(", %d dead-lettered", counters["items_dead_lettered"])
	}
	if n := counters["items_uncertain"]; n > 0 {
		o.counter += fmt.Sprintf(", %d uncertain", n)
	}
	assert.Zero(t, o.lost, "lost")
	assert.Len(t, letters, c.dead, "dead letters")
	for number, l := range letters {
		assert.Contains(t, c.reasons, l.Reason, "item %d: %s", number, l.Message)
	}
	// The counters, to the item.
	assert.EqualValues(t, c.items(), counters["items_received"], "received")
	assert.EqualValues(t, ledger.Unique, counters["items_accepted"], "accepted")
	assert.EqualValues(t, c.sampledOut, counters["items_sampled_out"], "sampled out")
	assert.EqualValues(t, len(letters), counters["items_dead_lettered"], "dead-lettered")
	assert.Zero(t, counters["items_lost"], "counted as lost")
	// A shutdown may end a request that the endpoint never saw, as a lost name or certificate does.
	if !c.restart && !c.unreached {
		assert.EqualValues(t, len(w.server.Requests()), counters["requests"], "requests")
	}
	// What came twice is what the exporter could not know.
	assert.LessOrEqual(t, ledger.Duplicates, uint64(c.duplicates), "duplicates")
	assert.LessOrEqual(t, int64(ledger.Duplicates), counters["items_uncertain"], "duplicates that were not counted as uncertain")
	if c.check != nil {
		note, ok := c.check(w)
		assert.True(t, ok, note)
		o.note = note
	}
	return o
}

// runUpstream runs the upstream exporter in a child and tells what became of the items.
func (w *world) runUpstream(c *faultCase, s spec, process *child) outcome {
	t := w.t
	ctx, cancel := context.WithTimeout(t.Context(), 3*within)
	defer cancel()
	if c.restart || c.crashes {
		process = startChild(t)
	}
	require.NoError(t, process.tell(command{Start: &s}))
	// What the child says may also be that the exporter does not start, or nothing any more.
	heard := func(done func(report) bool) func() bool {
		return func() bool { return process.isGone() || done(process.report(s.Name)) }
	}
	sent := heard(func(r report) bool { return r.Sent || r.Error != "" })
	if !c.gated {
		require.NoError(t, until(ctx, sent))
	}
	if c.sick != nil && process.report(s.Name).Error == "" {
		require.NoError(t, until(ctx, heard(func(report) bool { return c.sick(w) })), "the fault was not met")
	}
	if c.gated {
		w.writeFile(s.Gate, "")
		require.NoError(t, until(ctx, sent))
	}
	var stopped []report
	stop := func() {
		if process.tell(command{Stop: s.Name}) == nil {
			require.NoError(t, until(ctx, heard(func(r report) bool { return r.Stopped })))
		}
		stopped = append(stopped, process.report(s.Name))
	}
	if c.restart {
		stop()
		process.end()
		c.heal(w)
		process = startChild(t)
		s.Items = 0
		require.NoError(t, process.tell(command{Start: &s}))
	} else if c.heal != nil {
		c.heal(w)
	}
	patience, cancelPatience := context.WithTimeout(ctx, upstreamPatience)
	defer cancelPatience()
	// All may be there at once, and come a second time.
	_ = until(patience, func() bool {
		complete := int(w.server.Ledger(s.Signal).Unique)+c.sampledOut >= c.items()
		return process.isGone() || complete && c.duplicates == 0
	})
	stop()
	return w.told(c, s, process, stopped)
}

func (w *world) told(c *faultCase, s spec, process *child, stopped []report) outcome {
	ledger := w.server.Ledger(s.Signal)
	o := outcome{sent: c.items(), lost: c.items() - c.sampledOut - int(ledger.Unique), duplicates: ledger.Duplicates}
	var sent, failed int64
	for _, r := range stopped {
		for _, noun := range []string{"spans", "log_records", "metric_points"} {
			sent += r.Counters["sent_"+noun]
			failed += r.Counters["send_failed_"+noun]
		}
		o.note += r.Error
	}
	o.counter = fmt.Sprintf("%d sent, %d failed", sent, failed)
	if process.isGone() && c.crashes {
		o.counter = "none"
		o.note = "the process died: " + firstLine(process.tail.String())
	}
	if c.check != nil {
		note, _ := c.check(w)
		o.note += note
	}
	return o
}
