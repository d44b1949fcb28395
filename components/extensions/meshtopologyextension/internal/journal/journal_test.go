// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk/disktest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

var begin = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// message returns the n-th message; no two are alike.
func message(n int) inventory.Message {
	m := inventory.Message{Header: inventory.Header{
		Schema: 1, Cluster: "west", ClusterUID: "u", Epoch: 7, Sequence: uint64(n + 1), Kind: inventory.KindDelta, At: begin.Add(time.Duration(n)),
	}, Body: []byte(strings.Repeat("b", n*7))}
	if n%3 == 1 {
		m.Kind, m.Part, m.Parts, m.At, m.ClusterUID = inventory.KindSnapshot, 1, 2, time.Time{}, ""
	}
	return m
}

// kept is what a journal hands out.
type kept struct {
	inventory.Message
	received time.Time
}

func keep(n int) kept { return kept{message(n), begin.Add(time.Duration(n) * time.Second)} }

func open(t *testing.T, prefix string) *Journal {
	t.Helper()
	return openOn(t, prefix, Options{})
}

func openOn(t *testing.T, prefix string, o Options) *Journal {
	t.Helper()
	j, err := Open(prefix, o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, j.Close()) })
	return j
}

func add(t *testing.T, j *Journal, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		k := keep(n)
		require.NoError(t, j.Append(&k.Message, k.received))
	}
}

func replay(t *testing.T, prefix string) ([]kept, Report) {
	t.Helper()
	j, err := Open(prefix, Options{})
	require.NoError(t, err)
	var out []kept
	report := j.Replay(func(m *inventory.Message, received time.Time) {
		k := kept{*m, received}
		k.Body = append([]byte{}, m.Body...)
		out = append(out, k)
	})
	return out, report
}

func want(numbers ...int) (out []kept) {
	for _, n := range numbers {
		out = append(out, keep(n))
	}
	return out
}

// files returns the journal's files, oldest first.
func files(t *testing.T, prefix string) []string {
	t.Helper()
	found, err := filepath.Glob(prefix + ".[0-9]*")
	require.NoError(t, err)
	return found
}

func TestWhatIsAddedIsReplayed(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "j")
	first := open(t, prefix)
	assert.Empty(t, files(t, prefix), "nothing came yet")
	add(t, first, 0, 1, 2)
	require.NoError(t, first.Sync())
	// The first one is killed here: nobody closes it.
	second := open(t, prefix)
	add(t, second, 3)
	through, err := second.Rotate([]inventory.Message{message(9)}, begin.Add(9*time.Second))
	require.NoError(t, err)
	add(t, second, 4)
	got, report := replay(t, prefix)
	assert.Equal(t, want(0, 1, 2, 3, 9, 4), got)
	assert.Equal(t, Report{Messages: 6, Files: 3}, report)
	current, total := second.Size()
	assert.Greater(t, total, current)

	require.NoError(t, second.Remove(through))
	got, _ = replay(t, prefix)
	assert.Equal(t, want(9, 4), got, "what is not in the copy stays")
	require.NoError(t, second.Remove(through), "again does no harm")
	_, total = second.Size()
	assert.Equal(t, current, total)
}

func TestATornEndIsCutAtEveryByte(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "j")
	j := open(t, prefix)
	add(t, j, 0, 1)
	before, _ := j.Size()
	add(t, j, 2)
	path := files(t, prefix)[0]
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := int(before); n < len(whole); n++ {
		require.NoError(t, os.WriteFile(path, whole[:n], 0o600))
		got, report := replay(t, prefix)
		require.Equal(t, want(0, 1), got, "cut at %d", n)
		require.Equal(t, Report{Messages: 2, Files: 1, TornBytes: int64(n) - before}, report)
		// The machine lost its power: the file has its length, and the disk not all of its content.
		require.NoError(t, os.WriteFile(path, append(bytes.Clone(whole[:before]), make([]byte, n-int(before))...), 0o600))
		got, report = replay(t, prefix)
		require.Equal(t, want(0, 1), got)
		require.False(t, report.Damaged())
	}
	for n := range len(magic) {
		require.NoError(t, os.WriteFile(path, whole[:n], 0o600))
		_, report := replay(t, prefix)
		require.Equal(t, Report{Files: 1}, report, "the file was being made")
	}
}

func TestDamageCostsOneMessage(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "j")
	j := open(t, prefix)
	add(t, j, 0)
	from, _ := j.Size()
	add(t, j, 4)
	to, _ := j.Size()
	add(t, j, 5)
	path := files(t, prefix)[0]
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := from; n < to; n++ {
		damaged := bytes.Clone(whole)
		damaged[n] ^= 0x55
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		got, report := replay(t, prefix)
		require.Equal(t, want(0, 5), got, "byte %d", n)
		require.Equal(t, Report{Messages: 2, Files: 1, DamagedFiles: 1, DamagedBytes: to - from}, report)
	}
	// The last message as a whole, with a wrong byte: it was taken, so this is no torn end.
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-1] ^= 1
	require.NoError(t, os.WriteFile(path, damaged, 0o600))
	next := open(t, prefix)
	report := next.Replay(func(*inventory.Message, time.Time) {})
	assert.True(t, report.Damaged())
	through, err := next.Rotate(nil, begin)
	require.NoError(t, err)
	require.NoError(t, next.Remove(through))
	assert.Empty(t, files(t, prefix))
	aside, err := os.ReadFile(prefix + ".damaged")
	require.NoError(t, err)
	assert.Equal(t, damaged, aside, "for people to look at")
}

func TestADiskThatFails(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "d")
	require.NoError(t, os.Mkdir(directory, 0o700))
	prefix := filepath.Join(directory, "j")
	j := open(t, prefix)
	add(t, j, 0)
	m := message(1)
	require.NoError(t, os.Rename(directory, directory+".away"))
	_, err := j.Rotate([]inventory.Message{m}, begin)
	require.Error(t, err)
	require.NoError(t, os.Rename(directory+".away", directory))
	add(t, j, 3)
	got, _ := replay(t, prefix)
	assert.Equal(t, want(0, 3), got, "it is as it was")

	_, err = Open(filepath.Join(directory, "none", "j"), Options{})
	require.Error(t, err)
}

// TestADiskThatHangs prevents that the extension, which has one goroutine for all clusters, stands still with its disk.
func TestADiskThatHangs(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "j")
	var slow disktest.Disk
	j := openOn(t, prefix, Options{Patience: 10 * time.Millisecond, Create: slow.Create})
	add(t, j, 0)
	_, release := slow.Hang()
	m := message(1)
	require.ErrorIs(t, j.Append(&m, keep(1).received), disk.ErrHangs)
	require.ErrorIs(t, j.Append(&m, begin), disk.ErrHangs)
	_, err := j.Rotate(nil, begin)
	require.ErrorIs(t, err, disk.ErrHangs)
	require.ErrorIs(t, j.Remove(1), disk.ErrHangs)
	require.ErrorIs(t, j.Sync(), disk.ErrHangs)
	assert.Zero(t, j.Before())
	_, total := j.Size()
	assert.Positive(t, total)
	release()
	require.Eventually(t, func() bool { return j.Sync() == nil }, 10*time.Second, time.Millisecond)
	add(t, j, 2)
	got, report := replay(t, prefix)
	assert.Equal(t, want(0, 1, 2), got, "what was under way got there after all")
	assert.False(t, report.Damaged())
}

// The system reports once that bytes did not get to the disk. A call that finds nothing to do has not brought them there.
func TestWhatTheDiskDidNotTakeStaysLost(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "j")
	var broken disktest.Disk
	j := openOn(t, prefix, Options{Create: broken.Create})
	add(t, j, 0)
	require.NoError(t, j.Sync())
	lost := errors.New("input/output error")
	broken.Fail(disktest.Sync, lost)
	add(t, j, 1)
	require.ErrorIs(t, j.Sync(), lost)
	broken.Fail(disktest.Sync, nil)
	require.ErrorIs(t, j.Sync(), lost, "nothing is left to do, and nothing is better")
	add(t, j, 1)
	require.ErrorIs(t, j.Sync(), lost)
	_, err := j.Rotate([]inventory.Message{message(2)}, begin)
	require.NoError(t, err)
	require.NoError(t, j.Sync(), "a copy has it, or the next failure is of that")
}

func TestLongFilesAreReadInParts(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "j")
	j := open(t, prefix)
	const messages = 40
	for n := range messages {
		m := message(n)
		m.Body = bytes.Repeat([]byte{byte(n)}, inventory.MaxBodyBytes/4+n)
		require.NoError(t, j.Append(&m, begin))
	}
	got, report := replay(t, prefix)
	require.Equal(t, Report{Messages: messages, Files: 1}, report)
	for n, k := range got {
		require.Equal(t, uint64(n+1), k.Sequence)
		require.Len(t, k.Body, inventory.MaxBodyBytes/4+n)
		require.Equal(t, byte(n), k.Body[len(k.Body)-1])
	}
	// A marker that begins in one part and ends in the next, after damage that is longer than a part.
	path := files(t, prefix)[0]
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := len(magic); n < len(whole)/2; n++ {
		whole[n] = 0xAA
	}
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	got, report = replay(t, prefix)
	assert.Equal(t, 1, report.DamagedFiles)
	require.Len(t, got, messages/2-1, "all after the damage")
}

// Whatever a file holds: it is read to its end, and every message that is handed out was written as such.
func FuzzRead(f *testing.F) {
	var good []byte
	for n := range 3 {
		m := message(n)
		good = appendFrame(good, &m, begin)
	}
	f.Add([]byte(magic), good)
	f.Add([]byte{}, []byte(frames.Marker))
	f.Add([]byte(magic+frames.Marker+"\x00\x00\x00\x7f"), good)
	f.Add([]byte(magic+frames.Marker+"\x05\x00\x00\x00"), good)
	f.Fuzz(func(t *testing.T, before, after []byte) {
		m := message(5)
		data := append(appendFrame(bytes.Clone(before), &m, begin), after...)
		var report Report
		var found bool
		n := 0
		damage, err := read(bytes.NewReader(data), &report, func(m *inventory.Message, received time.Time) {
			n++
			found = found || (fmt.Sprint(*m) == fmt.Sprint(message(5)) && received.Equal(begin))
			back, at, err := parsePayload(appendFrame(nil, m, received)[frames.HeadBytes():])
			if err != nil || !at.Equal(received) || fmt.Sprint(*back) != fmt.Sprint(*m) {
				t.Fatalf("%+v became %+v: %v", m, back, err)
			}
		})
		if err != nil || n != report.Messages || damage < 0 || damage+report.TornBytes > int64(len(data)) {
			t.Fatalf("%d of %d bytes, %d messages, %+v, %v", damage, len(data), n, report, err)
		}
		if !found && !bytes.Contains(before, []byte(frames.Marker[:1])) {
			t.Fatal("the message between is not found")
		}
	})
}
