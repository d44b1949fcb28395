// SPDX-License-Identifier: Apache-2.0

// Package journal keeps the inventory messages that were taken since the last disk copy, so that a process that is killed
// loses nothing that it told a sender it had.
//
//   - [Open] finds what an earlier process left, and [Journal.Replay] reads it.
//   - [Journal.Append] adds a message, [Journal.Sync] makes what was added survive a loss of power.
//   - [Journal.Rotate] begins anew before a disk copy, [Journal.Remove] forgets what the copy has once it is written.
//
// Its files are those of [journal], with a marker before each frame: after damage, the marker is where reading goes on, and one bad
// byte costs one message.
package journal

import (
	"errors"
	"sync"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk/journal"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

// Journal is the row of files. One goroutine calls Replay, Append and Rotate; the other methods may be called from any.
type Journal struct {
	// mu is held for as long as the disk may take for what Append writes, never for longer than patience.
	mu    sync.Mutex
	files *journal.Journal
	// failed is why the disk does not have what was written since the last rotation.
	failed error

	buffer []byte
}

// Options are what a journal is used with.
type Options struct {
	// Patience is how long Append and Rotate wait for the disk, 0 for as long as it takes; then they return a [disk.ErrHangs].
	Patience time.Duration
	// Create makes a file; nil for one of the operating system.
	Create func(path string) (journal.File, error)
}

// Open finds the files of the journal: their names begin with prefix and a dot. They need not exist.
func Open(prefix string, o Options) (*Journal, error) {
	files, err := journal.Open(journal.Config{Prefix: prefix + ".", Magic: magic, Patience: o.Patience, Create: o.Create})
	if err != nil {
		return nil, err
	}
	return &Journal{files: files}, nil
}

// Append adds a message that was received at now. When it returns, a process that is killed does not lose it. After an
// error the journal is as it was before; after a [disk.ErrHangs] nobody knows.
func (j *Journal) Append(m *inventory.Message, now time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.buffer = appendFrame(j.buffer[:0], m, now)
	err := j.files.Write(j.buffer)
	if errors.Is(err, disk.ErrHangs) {
		j.buffer = nil
	}
	return err
}

// Rotate begins a new file that holds waiting, the messages that were taken and are not in what is about to be saved.
// Everything up to the number that it returns may be removed once that is saved. After an error it returns 0, and the
// journal is as it was, or has the messages that wait a second time.
func (j *Journal) Rotate(waiting []inventory.Message, now time.Time) (through uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	number, err := j.files.Rotate(func(write func([]byte) error) error {
		var frame []byte
		for i := range waiting {
			frame = appendFrame(frame[:0], &waiting[i], now)
			if err := write(frame); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	j.failed = nil
	return number - 1, nil
}

// Before returns the number of the file before the one that is added to; 0 while the disk does not answer.
func (j *Journal) Before() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.files.Busy() {
		return 0
	}
	return j.files.Number() - 1
}

// Remove deletes the files up to the number. One that was damaged is kept as ….damaged instead, over the one before.
func (j *Journal) Remove(through uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.files.Remove(through + 1)
}

// Sync brings what was added to the disk. A file that is complete is closed. After an error each call returns it until
// the next rotation: the system reports that bytes were lost once, and has nothing left of them to write again.
func (j *Journal) Sync() error {
	j.mu.Lock()
	unsynced, err := j.files.Unsynced()
	j.mu.Unlock()
	if err != nil {
		return err
	}
	// Without the lock: the disk may take long, and Append must not.
	err = unsynced.Sync()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.failed = err
	}
	return j.failed
}

// Size returns the bytes of the file that is added to, and of all files. It waits for nothing.
func (j *Journal) Size() (current, total int64) { return j.files.Size() }

// Close brings everything to the disk and closes the files.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.files.Close(), j.failed)
}
