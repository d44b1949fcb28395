// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/keep"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
)

// windowEvery is how often the hour of the analysis is written. It may have 130 MB, and a killed process misses this much of it
// at most.
const windowEvery = 5 * time.Minute

const (
	// diskPatience is how long anything waits for the disk. What takes it longer goes on by itself, and counts as failed until it is
	// known.
	diskPatience = 2 * time.Second
	// lastPatience is how long the start and the end wait for a state to be written.
	lastPatience = 30 * time.Second
)

// saving is a state on its way to the disk, with what holds once it is there.
type saving struct {
	*keep.State
	holes int
	told  uint64
	// hourAt is when the hour of the analysis was written before.
	hourAt time.Time
	done   chan outcomeOfSave
}

type outcomeOfSave struct {
	size          int64
	err, inWindow error
}

// mayBegin says whether no state is on its way to the disk. If one is due, and the one before is not there yet, that counts.
func (e *engine) mayBegin(due bool) bool {
	if e.saving != nil && due {
		e.count.saved(disk.ErrStillHangs)
	}
	return e.saving == nil
}

// save writes the state that was begun with the interval, and says whether it is on disk. It waits for a time, 0 for as long as it
// takes. After an error the one before and the journal stay.
func (e *engine) save(c *closed, patience time.Duration) bool {
	if err := e.encode(c.state.Parts); err != nil {
		e.count.saved(err)
		return false
	}
	s := &saving{State: c.state, holes: c.holes, told: e.told, hourAt: e.windowAt, done: make(chan outcomeOfSave, 1)}
	var hour []byte
	if s.At.Sub(e.windowAt) >= windowEvery {
		e.windowAt, hour = s.At, e.window.Encode()
	}
	e.saving = s
	go s.write(e.directory, hour)
	if patience == 0 {
		return e.saved(make(chan time.Time))
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	done := e.saved(timer.C)
	if e.saving != nil {
		e.count.timeout(diskState, disk.ErrHangs)
	}
	return done
}

// write writes the state and, if there is one, the hour of the analysis as of that state.
func (s *saving) write(directory *keep.Directory, hour []byte) {
	var o outcomeOfSave
	o.size, o.err = directory.Save(keep.Main, s.State)
	if o.err == nil && hour != nil {
		_, o.inWindow = directory.Save(keep.Window, &keep.State{At: s.At, Parts: map[string][]byte{partWindow: hour}})
	}
	s.done <- o
}

// saved takes what came of the state that is on its way, and says whether it is on disk now. It waits for that until stop; nil for
// not at all.
func (e *engine) saved(stop <-chan time.Time) bool {
	s := e.saving
	if s == nil {
		return false
	}
	var o outcomeOfSave
	select {
	case o = <-s.done:
	default:
		if stop == nil {
			return false
		}
		select {
		case o = <-s.done:
		case <-stop:
			return false
		}
	}
	e.saving = nil
	e.count.saved(o.err)
	if o.err != nil {
		e.windowAt = s.hourAt
		return false
	}
	if o.inWindow != nil {
		e.count.saved(o.inWindow)
	}
	e.savedAt.Store(s.At.UnixNano())
	e.savedBytes.Store(o.size)
	e.kept = s.told
	e.mu.Lock()
	err := e.directory.Remove(s.Begin)
	e.holes -= s.holes
	e.mu.Unlock()
	e.count.timeout(diskJournal, err)
	if err != nil {
		e.log.Warn("What the state covers of the journal cannot be removed.", zap.Error(err))
	}
	return true
}

// sync brings the journal to the disk.
func (e *engine) sync() {
	if e.directory == nil {
		return
	}
	e.mu.Lock()
	unsynced, err := e.directory.Unsynced()
	e.mu.Unlock()
	if err == nil {
		err = e.directory.Sync(unsynced)
		e.count.timeout(diskSync, err)
	}
	if err != nil {
		e.count.journalFailed(err)
	}
}

// shut writes what is left and closes the files.
func (e *engine) shut(now time.Time) {
	if e.directory == nil {
		e.count.lost(edgesOf(e.minute)+edgesOf(e.unsent), len(e.waiting))
		return
	}
	e.saved(time.After(lastPatience))
	c := e.close(now, 0, e.mayBegin(true))
	e.announce(e.judge(c.snapshot))
	e.windowAt = time.Time{}
	if c.state != nil {
		e.save(&c, lastPatience)
	}
	if e.saving != nil {
		e.log.Warn("The last state of the graph did not get to the disk in time. The journal has what came since the one before.")
	}
	if err := errors.Join(e.directory.Close(), e.lock.Release()); err != nil {
		e.log.Warn("The journal of the graph cannot be closed.", zap.Error(err))
	}
}
