// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/journal"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

const (
	// journalSuffix ends the name of the journal, before the numbers of its files.
	journalSuffix = ".journal"
	// journalPatience is how long a message waits for the disk. One that hangs is one that fails: the hub goes on without it.
	journalPatience = 2 * time.Second
	// The subject of findings about the journal.
	journalSubject = "journal"
)

var errJournalFull = errors.New("the journal of the topology is full until a disk copy is written; send the message again")

// messageJournal holds what was taken since the last disk copy. Its methods are the engine's goroutine's, unless they
// say otherwise.
type messageJournal struct {
	engine *engine
	files  *journal.Journal
	// limit is how large the journal may get before a copy is made early. At twice that it takes no more. What waited at the
	// last rotation, base, does not count: no copy makes it superfluous.
	limit, base int64
	// failing says that messages were not written since the last rotation.
	failing bool
	// wanted says that a copy is, though nothing changed since the start: the journal has what no copy has.
	wanted atomic.Bool
	// unsynced says that the disk did not take what was written, and that it was logged.
	unsynced atomic.Bool

	sync    chan struct{}
	syncing sync.WaitGroup
}

// openJournal returns nil if the configuration wants none.
func openJournal(e *engine, config *InventoryConfig, path string) (*messageJournal, error) {
	files, err := journal.Open(path+journalSuffix, journal.Options{Patience: journalPatience})
	if err != nil {
		return nil, fmt.Errorf("'inventory::directory': %w", err)
	}
	return &messageJournal{engine: e, files: files, limit: int64(config.MaxJournalMiB) << 20, sync: make(chan struct{}, 1)}, nil
}

// replay takes the messages again that no disk copy has, in the order and at the times at which they came.
func (j *messageJournal) replay() {
	e := j.engine
	var refused int
	report := j.files.Replay(func(m *inventory.Message, received time.Time) {
		e.replaying = received
		actions, err := e.assembler.Replay(m, received)
		e.perform(actions)
		if err != nil {
			refused++
		}
	})
	e.replaying = time.Time{}
	if report.Files == 0 {
		return
	}
	e.perform(e.assembler.Replayed(e.now()))
	j.wanted.Store(true)
	outcome := succeeded
	if report.Damaged() {
		outcome = failed
		e.report(topology.Finding{
			Kind: kindDiskCopy, Subject: "damage of the journal", At: e.now(),
			Detail: fmt.Sprintf("%d of %d files of the journal are damaged (%d bytes): %d messages were read, the clusters whose messages are missing are stale until their next complete inventory; the newest damaged file is kept as ….journal.damaged once a disk copy is written%s",
				report.DamagedFiles, report.Files, report.DamagedBytes, report.Messages, reason(report.Err)),
		})
	}
	e.telemetry.ExtensionMeshTopologyJournalLoads.Add(context.Background(), 1, outcome)
	e.logger.Info("journal of the topology read; it has what came after the disk copy", zap.Int("messages", report.Messages),
		zap.Int("refused", refused), zap.Int64("torn_bytes", report.TornBytes), zap.Int64("damaged_bytes", report.DamagedBytes))
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// room says whether a message can be taken now. While a copy is being written that will make room, its sender waits:
// what is neither in the copy nor in the journal would be lost with the process. If copies cannot be written, the hub
// goes on without a journal.
func (j *messageJournal) room(m *inventory.Message) (write bool, err error) {
	if _, total := j.files.Size(); total+int64(len(m.Body)) <= 2*j.limit+j.base {
		return true, nil
	}
	c := j.engine.copy
	if c.again.Load() || j.failing {
		return false, nil
	}
	if c.pending.Load() == 0 {
		j.engine.save()
	}
	return false, errJournalFull
}

// append writes a message that was taken, and asks for a copy if the journal is large.
func (j *messageJournal) append(m *inventory.Message, write bool) {
	e := j.engine
	err := errJournalFull
	if write {
		err = j.files.Append(m, e.now())
	}
	if err != nil {
		j.failed(err)
	}
	current, total := j.files.Size()
	if e.copy.again.Load() || j.failing {
		// It would not help, and is tried again after each interval.
		return
	}
	if current-j.base >= j.limit || (total-j.base >= j.limit && j.wanted.Load()) {
		e.save()
	}
}

func (j *messageJournal) failed(err error) {
	e := j.engine
	j.failing = true
	e.telemetry.ExtensionMeshTopologyJournalFailures.Add(context.Background(), 1)
	e.report(topology.Finding{
		Kind: kindDiskCopy, Subject: journalSubject, At: e.now(),
		Detail: fmt.Sprintf("messages are taken that are not in the journal, so that a hub which is killed before the next disk copy would not know them: %v; see whether 'inventory::directory' is full or not writable",
			err),
	})
}

// rotate begins anew for a copy of what was taken so far. It returns up to which file the copy makes the journal
// superfluous.
func (j *messageJournal) rotate() uint64 {
	e := j.engine
	if e.copy.again.Load() {
		// Each rotation writes what waits once more, which copies that fail would pile up. The files before the one at hand
		// can go in any case: what waits is in that one.
		j.wanted.Store(true)
		return j.files.Before()
	}
	through, err := j.files.Rotate(e.assembler.WaitingMessages(), e.now())
	if err != nil {
		j.failed(err)
		j.wanted.Store(true)
		return 0
	}
	j.base, _ = j.files.Size()
	j.wanted.Store(false)
	if j.failing {
		j.failing = false
		if e.findings.Resolve(kindDiskCopy, "", journalSubject) {
			e.logger.Info("the journal of the topology is written again")
		}
	}
	return through
}

// tick asks for what was written to be brought to the disk.
func (j *messageJournal) tick() {
	select {
	case j.sync <- struct{}{}:
	default:
		// The disk is busy with that.
	}
}

// run brings what was written to the disk, from a goroutine of its own.
func (j *messageJournal) run() {
	for range j.sync {
		j.flush()
	}
}

// flush may be called from any goroutine.
func (j *messageJournal) flush() {
	err := j.files.Sync()
	if err == nil {
		j.unsynced.Store(false)
	} else if !j.unsynced.Swap(true) {
		j.engine.logger.Warn("the journal of the topology may not survive a loss of power", zap.Error(err))
	}
}

// remove forgets what a copy has. It returns false if some of that stays: it is read again at the next start, and known
// to be old, but it takes room. Any goroutine may call it.
func (j *messageJournal) remove(through uint64) bool {
	err := j.files.Remove(through)
	if err != nil {
		j.engine.logger.Warn("a file of the journal stays", zap.Error(err))
	}
	return err == nil
}

// finish closes the journal. The engine has ended.
func (j *messageJournal) finish() {
	close(j.sync)
	j.syncing.Wait()
	if err := j.files.Close(); err != nil {
		j.engine.logger.Warn("closing the journal", zap.Error(err))
	}
}
