// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// MostJournal is how large a journal gets, in bytes. What comes then is refused until the next state is saved.
const MostJournal = 256 << 20

// ErrFull says that the journal has its largest size.
var ErrFull = errors.New("the journal is full until what is in it was taken")

const (
	journalEnd = ".journal"
	frameSize  = 8 // length and checksum
)

// journal is a file of entries that came after a state. It is for concurrent use.
type journal struct {
	mu     sync.Mutex
	file   *os.File
	number uint64
	size   int64
	broken error
}

func (k *Keeper) journalPath(number uint64) string {
	return k.path + "." + strconv.FormatUint(number, 10) + journalEnd
}

// Begin begins the next journal, which is empty, and returns its number. If it cannot, [Keeper.Append] fails with why.
func (k *Keeper) Begin() uint64 {
	j := &k.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		// Each entry is on the disk already.
		_ = j.file.Close()
	}
	j.number++
	j.size = 0
	j.file, j.broken = os.OpenFile(k.journalPath(j.number), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if j.broken != nil {
		j.file = nil
	}
	return j.number
}

// Journal returns the number of the journal, and how many bytes it has.
func (k *Keeper) Journal() (number uint64, size int64) {
	k.journal.mu.Lock()
	defer k.journal.mu.Unlock()
	return k.journal.number, k.journal.size
}

// Append adds an entry, which is on the disk when Append returns. After an error it is not there.
func (k *Keeper) Append(entry []byte) error {
	j := &k.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.broken != nil:
		return j.broken
	case j.size+frameSize+int64(len(entry)) > MostJournal:
		return ErrFull
	}
	frame := binary.LittleEndian.AppendUint32(make([]byte, 0, frameSize+len(entry)), uint32(len(entry)))
	frame = binary.LittleEndian.AppendUint32(frame, crc32.Checksum(entry, markTable))
	frame = append(frame, entry...)
	k.step()
	_, err := j.file.WriteAt(frame, j.size)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		// It must not be found by the next start, as the sender keeps it.
		if cut := j.file.Truncate(j.size); cut != nil {
			j.broken = errors.Join(err, cut)
		}
		return err
	}
	j.size += int64(len(frame))
	k.step()
	return nil
}

// Entries reads a journal. torn says that it ends with something that is no entry, as a kill leaves it, or damage.
func (k *Keeper) Entries(number uint64) (entries [][]byte, torn bool, err error) {
	raw, err := os.ReadFile(k.journalPath(number))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return nil, false, err
	}
	entries, rest := readEntries(raw)
	return entries, len(rest) > 0, nil
}

func readEntries(raw []byte) (entries [][]byte, rest []byte) {
	for rest = raw; len(rest) >= frameSize; {
		n := uint64(binary.LittleEndian.Uint32(rest))
		if n > uint64(len(rest)-frameSize) {
			return entries, rest
		}
		entry := rest[frameSize : frameSize+n : frameSize+n]
		if crc32.Checksum(entry, markTable) != binary.LittleEndian.Uint32(rest[4:]) {
			return entries, rest
		}
		entries, rest = append(entries, entry), rest[frameSize+n:]
	}
	return entries, rest
}

// Journals returns the numbers of the journals that there are, in order. The next one that begins has a greater one.
func (k *Keeper) Journals() ([]uint64, error) {
	paths, err := filepath.Glob(globText(k.path) + ".*" + journalEnd)
	if err != nil {
		return nil, fmt.Errorf("looking for journals: %w", err)
	}
	var numbers []uint64
	for _, path := range paths {
		text := strings.TrimSuffix(strings.TrimPrefix(path, k.path+"."), journalEnd)
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	if len(numbers) > 0 {
		k.journal.number = max(k.journal.number, numbers[len(numbers)-1])
	}
	return numbers, nil
}

// globText makes a text that stands for itself in a pattern.
func globText(path string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(path)
}

// Broken says that no entry can be written until another journal is begun.
func (k *Keeper) Broken() bool {
	k.journal.mu.Lock()
	defer k.journal.mu.Unlock()
	return k.journal.broken != nil
}

// Forget removes the journals with a smaller number. One that cannot be removed is removed later.
func (k *Keeper) Forget(before uint64) error {
	numbers, err := k.Journals()
	for _, n := range numbers {
		if n < before {
			k.step()
			err = errors.Join(err, os.Remove(k.journalPath(n)))
		}
	}
	return err
}
