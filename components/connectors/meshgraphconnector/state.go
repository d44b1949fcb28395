// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/emit"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/keep"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/ledger"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

// The parts of a state.
const (
	partGraph     = "graph"
	partSeen      = "seen"
	partSeed      = "seed"
	partDetector  = "detector"
	partEndpoints = "endpoints"
	partWindow    = "window"
	partLedger    = "ledger"
	partHistory   = "history"
	partMinute    = "minute"
	partUnsent    = "unsent"
	partCost      = "cost"
	partEvents    = "events"
	partNumber    = "number"
)

// lockName is the file of the directory that keeps a second process, or connector, away.
const lockName = "mesh_graph.lock"

func encodeEvents(list []failover.Event) ([]byte, error) { return json.Marshal(list) }

// encode adds the parts that only one goroutine changes.
func (e *engine) encode(parts map[string][]byte) error {
	var errs []error
	put := func(name string, b []byte, err error) {
		parts[name] = b
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	b, err := e.detector.Encode()
	put(partDetector, b, err)
	b, err = e.watcher.Encode()
	put(partEndpoints, b, err)
	put(partLedger, e.ledger.Encode(), nil)
	put(partHistory, e.history.Encode(), nil)
	put(partNumber, binary.AppendUvarint(nil, e.number), nil)
	b, err = e.minute.Encode()
	put(partMinute, b, err)
	if e.unsent != nil {
		b, err = e.unsent.Encode()
		put(partUnsent, b, err)
	}
	if e.unsentCost != nil {
		put(partCost, e.unsentCost.Encode(), nil)
	}
	if len(e.waiting) > 0 {
		b, err = encodeEvents(e.waiting)
		put(partEvents, b, err)
	}
	return errors.Join(errs...)
}

// open finds what an earlier process left and goes on from there. An error means that the directory is of no use.
func (e *engine) open(now time.Time) error {
	defer func() { e.refreshPosture(e.graph.Snapshot()) }()
	e.doubt(e.table, now)
	if e.config.Directory == "" {
		return nil
	}
	lock, err := disk.Lock(filepath.Join(e.config.Directory, lockName))
	if errors.As(err, new(*disk.InUseError)) {
		return fmt.Errorf("'directory' %s is %w: give each hub, and each mesh_graph of another name, a directory of its own", e.config.Directory, err)
	}
	if err == nil {
		err = e.openDirectory(now)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("'directory' %s is of no use: write one that this process may write to and that survives a restart, "+
			"or leave it out: %w", e.config.Directory, err), lock.Release())
	}
	e.lock = lock
	return nil
}

func (e *engine) openDirectory(now time.Time) error {
	directory, err := keep.Open(e.config.Directory, e.disk)
	if err != nil {
		return err
	}
	if !directory.Empty() {
		e.restore(directory, now)
	}
	e.directory = directory
	// Now, so that the seed is on disk before anything is in the journal.
	c := e.close(now, 0, true)
	e.announce(e.judge(c.snapshot))
	if c.state != nil {
		e.save(&c, lastPatience)
	}
	return nil
}

func (e *engine) restore(directory *keep.Directory, now time.Time) {
	state, err := directory.Load(keep.Main)
	if err != nil {
		e.log.Error("The state of the graph cannot be read; the graph begins anew with what the journal has.", zap.Error(err))
	}
	if !state.At.IsZero() {
		// As of the state, so that what the journal has comes after it; not after now, where a graph would stand still until the
		// clock that was set back is there again.
		at := earlier(state.At, now)
		if err := e.begin(at); err != nil {
			e.log.Error("The graph cannot begin at the time of its state.", zap.Error(err))
		}
		window, failed := directory.Load(keep.Window)
		if !window.At.After(state.At) {
			state.Parts[partWindow] = window.Parts[partWindow]
		}
		err = errors.Join(err, failed, e.decode(state, at, now))
	}
	e.count.loaded(err)
	r := &replay{engine: e, now: now}
	r.agree()
	e.replaying = true
	report := directory.Replay(state.Begin, r)
	e.replaying = false
	r.end()
	// Senders come back one after the other: what waits for another reporter waits for longer now.
	e.graph.Hold(now)
	if err := directory.Hold(now); err != nil {
		e.count.journalFailed(err)
	}
	e.count.replayed(&report)
	e.log.Info("The graph goes on where it was.", zap.Time("state", state.At), zap.Int("points_of_the_journal", report.Points),
		zap.Int("edges", e.graph.Stats().Edges), zap.Int64("torn_bytes", report.TornBytes))
	if report.DamagedFiles > 0 {
		e.log.Error("The journal of the graph is damaged: some points that were counted are lost.",
			zap.Int64("bytes", report.DamagedBytes), zap.Error(report.Err))
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// decode takes the parts of a state, as of a moment. What cannot be read begins anew.
func (e *engine) decode(state *keep.State, at, now time.Time) error {
	var errs []error
	for _, part := range []struct {
		name string
		take func([]byte) error
	}{
		{partGraph, func(b []byte) error { _, err := e.graph.Restore(b, at); return err }},
		{partSeen, func(b []byte) error { return e.seen.Restore(b, now) }},
		{partSeed, e.takeSeed},
		{partDetector, e.detector.Restore},
		{partEndpoints, func(b []byte) error { return e.watcher.Restore(b, at) }},
		{partWindow, e.window.Restore},
		{partLedger, e.ledger.Restore},
		{partHistory, e.history.Restore},
		{partMinute, func(b []byte) (err error) { return e.takeMinute(&e.minute, b) }},
		{partUnsent, func(b []byte) (err error) { return e.takeMinute(&e.unsent, b) }},
		{partCost, func(b []byte) (err error) { e.unsentCost, err = ledger.DecodeDelta(b); return err }},
		{partEvents, func(b []byte) error { return json.Unmarshal(b, &e.waiting) }},
		{partNumber, func(b []byte) error { e.number, _ = binary.Uvarint(b); return nil }},
	} {
		b := state.Parts[part.name]
		if b == nil {
			continue
		}
		if err := part.take(b); err != nil {
			e.log.Error("A part of the graph's state cannot be read and begins anew.", zap.String("part", part.name), zap.Error(err))
			errs = append(errs, fmt.Errorf("%s: %w", part.name, err))
		}
	}
	return errors.Join(errs...)
}

func (e *engine) takeSeed(b []byte) error {
	if len(b) != len(e.seed) {
		return fmt.Errorf("a seed has %d bytes, this one %d", len(e.seed), len(b))
	}
	copy(e.seed[:], b)
	e.useSeed()
	return nil
}

func (e *engine) takeMinute(to **emit.Minute, b []byte) error {
	m, err := emit.Decode(b, e.config.MaxEdges)
	if err == nil {
		*to = m
	}
	return err
}

// replay goes through what the journal has as if it happened now.
type replay struct {
	*engine
	now time.Time
	// guessed are the events that the latest interval has without the endpoints of its time. That process knew them, so the
	// journal's own take their place. If it has none, nothing happened that needs to be told: the detector goes back to
	// what it was when both agreed, agreed.
	guessed []failover.Event
	agreed  []byte
}

func (r *replay) Point(id *keep.ID, p *graph.Point) {
	if r.seen.Add(id) {
		// What cannot be read of a latency was counted when it came.
		_ = r.graph.Add(p)
	}
}

func (r *replay) Roll(at time.Time) {
	r.end()
	r.guessed = r.judge(r.graph.Roll(earlier(at, r.now)))
}

func (r *replay) Hold(at time.Time)             { r.graph.Hold(earlier(at, r.now)) }
func (r *replay) Flush(number uint64)           { r.flush(number) }
func (r *replay) Sent(number uint64, edges int) { r.sent(number, edges) }
func (r *replay) EventsSent(n int)              { r.end(); r.eventsSent(n) }

func (r *replay) Events(raw []byte) {
	var list []failover.Event
	if err := json.Unmarshal(raw, &list); err != nil {
		r.log.Error("Events of the journal cannot be read.", zap.Error(err))
		return
	}
	r.detector.Adopt(r.guessed, list)
	r.guessed = nil
	r.announce(list)
	r.agree()
}

func (r *replay) agree() {
	var err error
	if r.agreed, err = r.detector.Encode(); err != nil {
		r.log.Error("The failovers cannot be written down.", zap.Error(err))
	}
}

// end forgets the events that the journal does not have.
func (r *replay) end() {
	if len(r.guessed) > 0 {
		r.guessed = nil
		if err := r.detector.Restore(r.agreed); err != nil {
			r.log.Error("The failovers cannot be read.", zap.Error(err))
		}
	}
	r.announce(nil)
}
