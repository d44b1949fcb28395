// SPDX-License-Identifier: Apache-2.0

// Package keep writes down what a processor knows together with what it is about to hand over, so that after a kill both
// are what they were: either the hand-over is in what is known and the batch is there to be handed over as it was, or
// neither is.
package keep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
)

// State is what a file holds.
type State struct {
	// Saved is when it was written, in nanoseconds since 1970.
	Saved int64
	// Journal is the number of the first journal whose entries are not in it.
	Journal uint64
	// Known is the caller's.
	Known []byte
	// Batches are handed over after the state was written. Of a state that was read, only those are there that were not
	// taken, and Numbers are their numbers for [Keeper.Mark].
	Batches [][]byte
	Numbers []int
}

// ErrDamaged says that a file was not what was written. It was set aside under the name with .damaged at the end.
var ErrDamaged = errors.New("the state is damaged and was set aside")

const (
	magic    = "meshmet1"
	markSize = 8
	// mostBytes is the largest file that is read.
	mostBytes = 1 << 32
)

var (
	table      = crc64.MakeTable(crc64.ECMA)
	markTable  = crc32.MakeTable(crc32.Castagnoli)
	extensions = struct{ next, damaged, lock string }{".next", ".damaged", ".lock"}
)

// Keeper is the files that one processor writes. But for [Keeper.Append] and [Keeper.Size] it is not for concurrent use.
type Keeper struct {
	path string
	lock *disk.Held
	// file is the one that marks are added to, nil for none.
	file *os.File
	sum  uint64
	size atomic.Int64

	journal journal
	// Step is called before each step that a kill may come before; it is for tests, and nil otherwise.
	Step func()
}

// Open opens the file of that name in a directory, which it makes, and reads what it holds; nothing if there is none. The
// error wraps [ErrDamaged] if it cannot be read; then the keeper can be used. Another keeper of that name, in this process or another
// one, makes it a [disk.InUseError]. Any other error is that of the directory.
func Open(directory, name string) (*Keeper, *State, error) {
	if err := os.MkdirAll(directory, 0o750); err != nil {
		return nil, nil, err
	}
	k := &Keeper{path: filepath.Join(directory, name)}
	var err error
	if k.lock, err = disk.Lock(k.path + extensions.lock); err != nil {
		return nil, nil, err
	}
	state, err := k.read()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return k, nil, nil
	case errors.Is(err, ErrDamaged):
		if aside := k.setAside(); aside != nil {
			return nil, nil, errors.Join(err, aside, k.Close())
		}
		return k, nil, err
	case err != nil:
		return nil, nil, errors.Join(err, k.Close())
	}
	return k, state, nil
}

// setAside renames the state, and the journals, of which it alone says what was taken of them.
func (k *Keeper) setAside() error {
	err := os.Rename(k.path, k.path+extensions.damaged)
	numbers, listed := k.Journals()
	for _, n := range numbers {
		listed = errors.Join(listed, os.Rename(k.journalPath(n), k.journalPath(n)+extensions.damaged))
	}
	return errors.Join(err, listed)
}

func (k *Keeper) read() (*State, error) {
	info, err := os.Stat(k.path)
	if err != nil {
		return nil, err
	}
	if info.Size() > mostBytes {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrDamaged, info.Size())
	}
	raw, err := os.ReadFile(k.path)
	if err != nil {
		return nil, err
	}
	state, rest, err := Decode(raw)
	if err != nil {
		return nil, err
	}
	k.sum = binary.LittleEndian.Uint64(raw[len(raw)-len(rest)-8:])
	whole := int64(len(raw) - len(rest)%markSize)
	taken := map[uint32]bool{}
	for ; len(rest) >= markSize; rest = rest[markSize:] {
		if i := binary.LittleEndian.Uint32(rest); checkMark(k.sum, i) == binary.LittleEndian.Uint32(rest[4:]) {
			taken[i] = true
		}
	}
	k.journal.number = state.Journal
	waiting := state.Batches[:0]
	for i, batch := range state.Batches {
		if !taken[uint32(i)] {
			waiting = append(waiting, batch)
			state.Numbers = append(state.Numbers, i)
		}
	}
	state.Batches = waiting
	k.size.Store(whole)
	k.reopen(whole)
	return state, nil
}

// reopen opens the file to add marks at its end. If that fails, marks are not written.
func (k *Keeper) reopen(end int64) {
	file, err := os.OpenFile(k.path, os.O_RDWR, 0o600)
	if err != nil {
		return
	}
	k.file = file
	if err = file.Truncate(end); err == nil {
		_, err = file.Seek(end, io.SeekStart)
	}
	if err != nil {
		k.closeFile()
	}
}

// Decode reads what was saved, and returns the marks behind it. What it returns is part of raw.
func Decode(raw []byte) (state *State, marks []byte, err error) {
	rest, ok := raw, len(raw) >= len(magic) && string(raw[:len(magic)]) == magic
	number := func() uint64 {
		if !ok || len(rest) < 8 {
			ok = false
			return 0
		}
		v := binary.LittleEndian.Uint64(rest)
		rest = rest[8:]
		return v
	}
	bytes := func() []byte {
		n := number()
		if !ok || n > uint64(len(rest)) {
			ok = false
			return nil
		}
		b := rest[:n:n]
		rest = rest[n:]
		return b
	}
	if ok {
		rest = rest[len(magic):]
	}
	s := &State{Saved: int64(number()), Journal: number()}
	s.Known = bytes()
	for n := number(); n > 0 && ok; n-- {
		s.Batches = append(s.Batches, bytes())
	}
	sum := crc64.Checksum(raw[:len(raw)-len(rest)], table)
	if got := number(); !ok || got != sum {
		return nil, nil, ErrDamaged
	}
	return s, rest, nil
}

func (s *State) encode() []byte {
	size := len(magic) + 5*8 + len(s.Known)
	for _, b := range s.Batches {
		size += 8 + len(b)
	}
	raw := append(make([]byte, 0, size), magic...)
	raw = binary.LittleEndian.AppendUint64(raw, uint64(s.Saved))
	raw = binary.LittleEndian.AppendUint64(raw, s.Journal)
	raw = append(binary.LittleEndian.AppendUint64(raw, uint64(len(s.Known))), s.Known...)
	raw = binary.LittleEndian.AppendUint64(raw, uint64(len(s.Batches)))
	for _, b := range s.Batches {
		raw = append(binary.LittleEndian.AppendUint64(raw, uint64(len(b))), b...)
	}
	return binary.LittleEndian.AppendUint64(raw, crc64.Checksum(raw, table))
}

func checkMark(sum uint64, i uint32) uint32 {
	raw := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, sum), i)
	return crc32.Checksum(raw, markTable)
}

func (k *Keeper) step() {
	if k.Step != nil {
		k.Step()
	}
}

// Save puts a state in the place of the one before. It is on the disk when Save returns. After an error it is the one
// before, or this one.
func (k *Keeper) Save(s *State) error {
	k.step()
	raw := s.encode()
	next := k.path + extensions.next
	file, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if _, err = file.Write(raw); err == nil {
		err = file.Sync()
	}
	k.step()
	if err == nil {
		err = os.Rename(next, k.path)
	}
	if err != nil {
		// What there is of it may be what the disk has no room for.
		return errors.Join(err, file.Close(), os.Remove(next))
	}
	k.closeFile()
	k.file, k.sum = file, binary.LittleEndian.Uint64(raw[len(raw)-8:])
	k.size.Store(int64(len(raw)))
	err = disk.SyncDirectory(filepath.Dir(k.path))
	k.step()
	return err
}

// Mark says that a batch was taken, by its number in the state that was saved last. If that cannot be written, or is lost
// with the machine's power, the batch is handed over twice, with the same times and values.
func (k *Keeper) Mark(i int) {
	k.step()
	if k.file == nil {
		return
	}
	mark := binary.LittleEndian.AppendUint32(nil, uint32(i))
	mark = binary.LittleEndian.AppendUint32(mark, checkMark(k.sum, uint32(i)))
	if n, err := k.file.Write(mark); err == nil {
		k.size.Add(int64(n))
	} else {
		// A part of one would shift those behind it.
		k.closeFile()
	}
	k.step()
}

// Remove takes the state away, so that a restart begins anew.
func (k *Keeper) Remove() error {
	k.step()
	k.closeFile()
	if err := os.Remove(k.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	k.size.Store(0)
	return disk.SyncDirectory(filepath.Dir(k.path))
}

// Size is the file's size in bytes.
func (k *Keeper) Size() int64 { return k.size.Load() }

func (k *Keeper) closeFile() {
	if k.file != nil {
		// Nothing is lost by it: the state is on the disk, and a mark need not be.
		_ = k.file.Close()
		k.file = nil
	}
}

// Close gives the directory free.
func (k *Keeper) Close() error {
	k.closeFile()
	k.journal.mu.Lock()
	if k.journal.file != nil {
		_ = k.journal.file.Close()
	}
	k.journal.file, k.journal.broken = nil, os.ErrClosed
	k.journal.mu.Unlock()
	return k.lock.Release()
}

var _ io.Closer = (*Keeper)(nil)
