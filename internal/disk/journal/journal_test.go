// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk/disktest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const magic = "TESTJRN1"

var (
	frames   = journal.Frame{MaxPayload: 1 << 20}
	errInput = errors.New("input/output error")
)

func record(n int) []byte {
	return frames.End(fmt.Appendf(frames.Begin(nil), "record %d", n), 0)
}

type world struct {
	t      *testing.T
	prefix string
	disk   disktest.Disk
	*journal.Journal
}

func (w *world) open(patience time.Duration) {
	w.t.Helper()
	var err error
	w.Journal, err = journal.Open(journal.Config{Prefix: w.prefix, Magic: magic, Patience: patience, Create: w.disk.Create})
	require.NoError(w.t, err)
}

func begin(t *testing.T, patience time.Duration) *world {
	t.Helper()
	w := &world{t: t, prefix: filepath.Join(t.TempDir(), "journal.")}
	w.open(patience)
	t.Cleanup(func() { assert.NoError(t, w.Close()) })
	return w
}

func (w *world) add(numbers ...int) {
	w.t.Helper()
	for _, n := range numbers {
		require.NoError(w.t, w.Write(record(n)))
	}
}

func (w *world) rotate() uint64 {
	w.t.Helper()
	number, err := w.Rotate(nil)
	require.NoError(w.t, err)
	return number
}

// records reads all files from a number on, as another process does.
func (w *world) records(from uint64) (list []string) {
	w.t.Helper()
	j, err := journal.Open(journal.Config{Prefix: w.prefix, Magic: magic})
	require.NoError(w.t, err)
	j.Files(from, func(path string, _ uint64, size int64) (int64, error) {
		raw, err := os.ReadFile(path)
		require.NoError(w.t, err)
		require.Len(w.t, raw, int(size))
		for rest := raw[len(magic):]; len(rest) > 0; {
			state, payload, length := frames.Read(rest)
			if state != journal.Whole {
				list = append(list, fmt.Sprint("bad ", state))
				break
			}
			list, rest = append(list, string(payload)), rest[length:]
		}
		return 0, nil
	})
	return list
}

func named(numbers ...int) (list []string) {
	for _, n := range numbers {
		list = append(list, fmt.Sprintf("record %d", n))
	}
	return list
}

// TestTheBytesOfAFrame holds what is on disks: an upgrade keeps it. The checksums are those of another implementation.
func TestTheBytesOfAFrame(t *testing.T) {
	for _, c := range []struct {
		frame journal.Frame
		want  string
	}{
		{journal.Frame{MaxPayload: 3}, "03000000f8831455616263"},
		{journal.Frame{Marker: "\xF7\xA3\x1E\xC9", MaxPayload: 3}, "f7a31ec903000000f8831455616263"},
	} {
		b := c.frame.End(append(c.frame.Begin([]byte("before")), "abc"...), len("before"))
		require.Equal(t, c.want, hex.EncodeToString(b[len("before"):]))
		b = append(b[len("before"):], "after"...)
		state, payload, length := c.frame.Read(b)
		require.Equal(t, journal.Whole, state)
		require.Equal(t, "abc", string(payload))
		require.Equal(t, c.frame.HeadBytes()+3, length)
		for n := range length {
			state, _, _ := c.frame.Read(b[:n])
			require.Equal(t, journal.Torn, state, n)
			damaged := append([]byte(nil), b...)
			damaged[n] ^= 1
			state, _, _ = c.frame.Read(damaged)
			require.NotEqual(t, journal.Whole, state, n)
		}
	}
}

func TestWhatAKilledProcessWroteIsThere(t *testing.T) {
	w := begin(t, 0)
	assert.True(t, w.Empty())
	w.add(0, 1)
	first := w.Journal
	w.open(0) // The first one is killed: nobody closes it before this one goes on.
	defer func() { assert.NoError(t, first.Close()) }()
	assert.False(t, w.Empty())
	w.add(2)
	second := w.rotate()
	w.add(3)
	assert.Equal(t, named(0, 1, 2, 3), w.records(0))
	assert.Equal(t, named(3), w.records(second), "what a copy does not cover")
	current, total := w.Size()
	assert.EqualValues(t, len(magic)+len(record(3)), current)
	assert.EqualValues(t, 3*len(magic)+4*len(record(0)), total)
	require.NoError(t, w.Remove(second))
	assert.Equal(t, named(3), w.records(0))
	_, total = w.Size()
	assert.Equal(t, current, total)
	require.NoError(t, w.Remove(second), "again does no harm")
}

func TestNumbersAreNeverUsedAgain(t *testing.T) {
	w := begin(t, 0)
	w.From(7)
	require.NoError(t, os.Mkdir(w.prefix+"00000000000000000007", 0o700))
	w.add(0)
	assert.EqualValues(t, 8, w.Number(), "something else has the name")
	assert.FileExists(t, w.prefix+"00000000000000000008")
	w.From(3)
	assert.EqualValues(t, 9, w.rotate())
}

func TestADamagedFileIsKeptOnceItIsCovered(t *testing.T) {
	w := begin(t, 0)
	for n := range 2 {
		w.add(n)
		first := w.Journal
		w.open(0)
		defer func() { assert.NoError(t, first.Close()) }()
		w.Files(0, func(string, uint64, int64) (int64, error) { return 1, nil })
		require.NoError(t, w.Remove(w.rotate()))
		raw, err := os.ReadFile(w.prefix + "damaged")
		require.NoError(t, err)
		assert.Contains(t, string(raw), named(n)[0], "one is kept, the newest")
	}
}

func TestHalfAWriteIsTakenBack(t *testing.T) {
	w := begin(t, 0)
	w.add(0)
	w.disk.Fail(disktest.Write, errInput)
	require.ErrorIs(t, w.Write(record(1)), errInput)
	w.disk.Fail(disktest.Truncate, errInput)
	require.ErrorIs(t, w.Write(record(2)), errInput, "and it stays, at the end of its file")
	w.disk.Fail(disktest.Truncate, nil)
	require.ErrorIs(t, w.Write(record(3)), errInput, "not even a file can be begun")
	w.disk.Fail(disktest.Write, nil)
	w.add(4)
	assert.Equal(t, append(named(0), "bad 1", "record 4"), w.records(0))
	assert.EqualValues(t, 2, w.Number())
}

func TestRotateKeepsWhatNoCopyHas(t *testing.T) {
	w := begin(t, 0)
	w.add(0, 1)
	keep := func(write func([]byte) error) error { return errors.Join(write(record(7)), write(record(1))) }
	number, err := w.Rotate(keep)
	require.NoError(t, err)
	w.add(2)
	assert.Equal(t, named(7, 1, 2), w.records(number))

	before, all := w.Size()
	w.disk.Fail(disktest.Write, errInput)
	_, err = w.Rotate(keep)
	require.ErrorIs(t, err, errInput)
	w.disk.Fail(disktest.Write, nil)
	current, total := w.Size()
	assert.Equal(t, []int64{before, all}, []int64{current, total}, "it is as it was")
	w.add(3)
	assert.Equal(t, named(7, 1, 2, 3), w.records(number))
	assert.Equal(t, named(0, 1, 7, 1, 2, 3), w.records(0))
}

func TestSyncTellsOfEachFileOnce(t *testing.T) {
	w := begin(t, 0)
	w.add(0)
	w.rotate()
	w.add(1)
	w.disk.Fail(disktest.Sync, errInput)
	u, err := w.Unsynced()
	require.NoError(t, err)
	require.ErrorIs(t, u.Sync(), errInput)
	u, err = w.Unsynced()
	require.NoError(t, err)
	require.NoError(t, u.Sync(), "there is nothing left to do")
	w.disk.Fail(disktest.Sync, nil)
	w.add(2)
	u, err = w.Unsynced()
	require.NoError(t, err)
	w.rotate()
	require.NoError(t, w.Remove(w.Number()))
	require.NoError(t, u.Sync(), "a file that was closed meanwhile is not needed any more")
}

// TestADiskThatHangs has everything come back in time while a write waits for the disk, and all in order once it answers.
func TestADiskThatHangs(t *testing.T) {
	w := begin(t, 10*time.Millisecond)
	w.add(0)
	began, release := w.disk.Hang()
	require.ErrorIs(t, w.Write(record(1)), disk.ErrHangs)
	<-began
	assert.True(t, w.Busy())
	require.ErrorIs(t, w.Write(record(2)), disk.ErrHangs)
	require.ErrorIs(t, w.Remove(1), disk.ErrHangs)
	_, err := w.Rotate(nil)
	require.ErrorIs(t, err, disk.ErrHangs)
	_, err = w.Unsynced()
	require.ErrorIs(t, err, disk.ErrHangs)
	require.ErrorIs(t, w.Close(), disk.ErrHangs)
	_, total := w.Size()
	assert.EqualValues(t, len(magic)+len(record(0)), total)
	release()
	require.Eventually(t, func() bool { return !w.Busy() }, 10*time.Second, time.Millisecond)
	w.add(3)
	assert.Equal(t, named(0, 1, 3), w.records(0), "what was under way is there, what was refused at once is not")
}
