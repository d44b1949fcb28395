// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Settings)
		want   string
	}{
		"defaults":        {func(*Settings) {}, ""},
		"no directory":    {func(s *Settings) { s.Directory = "" }, ""},
		"no file size":    {func(s *Settings) { s.MaxFileMiB = 0 }, "'max_file_mib' is 0: write 1 or more"},
		"one file only":   {func(s *Settings) { s.MaxMiB, s.MaxFileMiB = 10, 6 }, "'max_mib' is 10: write at least twice 'max_file_mib', so 12 or more"},
		"nothing allowed": {func(s *Settings) { s.MaxMiB, s.MaxFileMiB = -1, -1 }, "'max_mib' is -1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := DefaultSettings()
			s.Directory = "letters"
			c.change(&s)
			err := s.Validate()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := Open(DefaultSettings(), nil)
	require.ErrorContains(t, err, "'directory' is empty")
	_, err = Open(Settings{Directory: t.TempDir()}, nil)
	require.ErrorContains(t, err, "'max_file_mib'")
}

func TestWriteAndRead(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "made", "on the way")
	seen := newRecorder()
	s := settings(directory)
	s.Fsync = true
	store := open(t, s, seen)
	files, err := Files(directory)
	require.NoError(t, err)
	assert.Empty(t, files, "no file before the first letter")

	letters := []Letter{letter("a", 1), letter("b", 1), {Reason: ReasonTooOld, Item: json.RawMessage(`{"id":"c"}`)}}
	require.NoError(t, store.Write(t.Context(), letters[:2]))
	require.NoError(t, store.Write(t.Context(), letters[2:]))
	require.NoError(t, store.Write(t.Context(), nil))
	got, damage := readAll(t, directory)
	assert.Equal(t, Damage{}, damage)
	require.Len(t, got, 3)
	assert.Equal(t, letters[:2], got[:2])
	assert.WithinDuration(t, time.Now(), got[2].Time, time.Minute, "no time means now")
	assert.Equal(t, map[string]int{"team-a/invalid": 2, "/too_old": 1}, seen.written)
	assert.Equal(t, 1, seen.files)

	files, err = Files(directory)
	require.NoError(t, err)
	require.Len(t, files, 1)
	assert.Equal(t, seen.bytes, files[0].Bytes)
	for path, mode := range map[string]os.FileMode{directory: 0o700, files[0].Path: 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), path)
	}
}

func TestClosed(t *testing.T) {
	store, err := Open(settings(t.TempDir()), nil)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	require.NoError(t, store.Close())
	require.ErrorIs(t, store.Write(t.Context(), []Letter{letter("a", 1)}), ErrClosed)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, open(t, settings(t.TempDir()), nil).Write(ended, []Letter{letter("a", 1)}), context.Canceled)
}

// TestOneFileAProcess opens stores as three signals of two exporters do.
func TestOneFileAProcess(t *testing.T) {
	directory := t.TempDir()
	var all sync.WaitGroup
	for i := range 6 {
		store := open(t, settings(directory), nil)
		all.Go(func() {
			for j := range 50 {
				assert.NoError(t, store.Write(context.Background(), []Letter{letter(fmt.Sprint(i, "-", j), 100)}))
			}
		})
	}
	all.Wait()
	letters, damage := readAll(t, directory)
	assert.Equal(t, Damage{}, damage)
	assert.Len(t, letters, 300)
	files, err := Files(directory)
	require.NoError(t, err)
	assert.Len(t, files, 1)

	other := settings(directory)
	other.MaxMiB = 4
	_, err = Open(other, nil)
	require.ErrorContains(t, err, "write the same 'max_mib'")
}

// TestTheOldestMakesRoom writes three times what may be kept.
func TestTheOldestMakesRoom(t *testing.T) {
	directory := t.TempDir()
	seen := newRecorder()
	store := open(t, settings(directory), seen)
	const letters, size = 120, 50_000
	for i := range letters {
		require.NoError(t, store.Write(t.Context(), []Letter{letter(strconv.Itoa(i), size)}))
		require.LessOrEqual(t, seen.bytes, int64(2<<20))
	}
	got, damage := readAll(t, directory)
	assert.Equal(t, Damage{}, damage)
	assert.Equal(t, letters, len(got)+seen.evicted)
	assert.Greater(t, seen.evicted, letters/3)
	for i, l := range got {
		assert.Equal(t, strconv.Itoa(seen.evicted+i), id(t, l), "the newest are there, in order")
	}
	assert.Equal(t, letters, seen.letters())

	files, err := Files(directory)
	require.NoError(t, err)
	assert.Len(t, files, seen.files)
	for _, f := range files {
		assert.LessOrEqual(t, f.Bytes, int64(1<<20))
	}
}

// TestALargeCall is one call with more than a file takes, and more than the directory takes.
func TestALargeCall(t *testing.T) {
	for _, n := range []int{30, 100} {
		directory := t.TempDir()
		seen := newRecorder()
		store := open(t, settings(directory), seen)
		var letters []Letter
		for i := range n {
			letters = append(letters, letter(strconv.Itoa(i), 50_000))
		}
		require.NoError(t, store.Write(t.Context(), letters))
		got, damage := readAll(t, directory)
		assert.Equal(t, Damage{}, damage)
		assert.Equal(t, n, len(got)+seen.evicted)
		assert.Equal(t, n, seen.letters())
		assert.Equal(t, n > 40, seen.evicted > 0)
	}
}

// TestTakenAway removes the file under a store, as another process does that makes room.
func TestTakenAway(t *testing.T) {
	directory := t.TempDir()
	store := open(t, settings(directory), nil)
	require.NoError(t, store.Write(t.Context(), []Letter{letter("a", 1)}))
	files, err := Files(directory)
	require.NoError(t, err)
	require.NoError(t, os.Remove(files[0].Path))
	require.NoError(t, store.Write(t.Context(), []Letter{letter("b", 1)}))
	got, _ := readAll(t, directory)
	require.Len(t, got, 1)
	assert.Equal(t, "b", id(t, got[0]))
}

// watchedFile looks from outside while it is written.
type watchedFile struct {
	*os.File
	during func()
}

func (f watchedFile) Write(b []byte) (int, error) {
	f.during()
	return f.File.Write(b)
}

// TestNobodyTakesAFileAwayWhileItIsWritten tries all who could.
func TestNobodyTakesAFileAwayWhileItIsWritten(t *testing.T) {
	directory := t.TempDir()
	store := open(t, settings(directory), nil)
	require.NoError(t, store.Write(t.Context(), []Letter{letter("a", 1)}))
	files, err := Files(directory)
	require.NoError(t, err)
	tried := false
	store.shared.current = watchedFile{store.shared.current.(*os.File), func() {
		_, _, err := evict(files[0])
		assert.ErrorIs(t, err, errBusy)
		marks, err := OpenMarks(files[0].Path)
		assert.NoError(t, err)
		assert.NoError(t, marks.Add([]int64{0}))
		removed, err := marks.RemoveIfDone()
		assert.NoError(t, err)
		assert.False(t, removed)
		assert.NoError(t, marks.Close())
		tried = true
	}}
	require.NoError(t, store.Write(t.Context(), []Letter{letter("b", 1)}))
	assert.True(t, tried)
	assert.FileExists(t, files[0].Path)
}

// TestAFileThatOthersHold: whoever holds it may be stopped for good, and nobody waits for that.
func TestAFileThatOthersHold(t *testing.T) {
	directory := t.TempDir()
	store := open(t, settings(directory), nil)
	require.NoError(t, store.Write(t.Context(), []Letter{letter("a", 1)}))
	files, err := Files(directory)
	require.NoError(t, err)
	other, err := os.Open(files[0].Path)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, tryLock(other.Fd()))
	require.NoError(t, store.Write(t.Context(), []Letter{letter("b", 1)}))
	got, damage := readAll(t, directory)
	assert.Equal(t, Damage{}, damage)
	assert.Len(t, got, 2)
	files, err = Files(directory)
	require.NoError(t, err)
	assert.Len(t, files, 2, "the second letter is in a new file")
}

// TestAFileThatIsReplayedStays: it is not the oldest that may go.
func TestAFileThatIsReplayedStays(t *testing.T) {
	directory := t.TempDir()
	seen := newRecorder()
	store := open(t, settings(directory), seen)
	require.NoError(t, store.Write(t.Context(), []Letter{letter("first", 50_000), letter("second", 50_000)}))
	files, err := Files(directory)
	require.NoError(t, err)
	marks, err := OpenMarks(files[0].Path)
	require.NoError(t, err)
	require.NoError(t, marks.Add([]int64{0}))
	for i := range 60 {
		require.NoError(t, store.Write(t.Context(), []Letter{letter(strconv.Itoa(i), 50_000)}))
	}
	assert.FileExists(t, files[0].Path)
	before := seen.evicted
	require.NoError(t, marks.Close())
	for i := range 60 {
		require.NoError(t, store.Write(t.Context(), []Letter{letter(strconv.Itoa(i), 50_000)}))
	}
	assert.NoFileExists(t, files[0].Path)
	assert.NoFileExists(t, files[0].Path+marksSuffix)
	got, _ := readAll(t, directory)
	assert.Equal(t, 122-1, len(got)+seen.evicted, "the letter that was delivered is not one that was lost")
	assert.Positive(t, before)
}

// fullDisk takes room bytes, then no more, as a disk does.
type fullDisk struct {
	*os.File
	room             *int
	truncate, synced error
}

func (f fullDisk) Write(b []byte) (int, error) {
	n, err := f.File.Write(b[:min(len(b), *f.room)])
	*f.room -= n
	if err == nil && n < len(b) {
		err = syscall.ENOSPC
	}
	return n, err
}

func (f fullDisk) Truncate(size int64) error {
	if f.truncate != nil {
		return f.truncate
	}
	return f.File.Truncate(size)
}

func (f fullDisk) Sync() error { return f.synced }

func TestADiskThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		disk fullDisk
		// written says that what was written before the failure stays in the file.
		torn  int
		files int
	}{
		"full":                          {disk: fullDisk{}, files: 1},
		"full, and cannot be undone":    {disk: fullDisk{truncate: syscall.EIO}, torn: 1, files: 2},
		"cannot be written to the disk": {disk: fullDisk{synced: syscall.EIO}, files: 1},
		"nor undone":                    {disk: fullDisk{synced: syscall.EIO, truncate: syscall.EIO}, files: 2},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			seen := newRecorder()
			s := settings(directory)
			s.Fsync = true
			store := open(t, s, seen)
			require.NoError(t, store.Write(t.Context(), []Letter{letter("before", 100)}))

			room := 150 // half of a letter
			if c.disk.synced != nil {
				room = 1 << 20
			}
			disk := c.disk
			disk.room = &room
			disk.File = store.shared.current.(*os.File)
			store.shared.current = disk
			err := store.Write(t.Context(), []Letter{letter("lost", 100)})
			require.Error(t, err)
			require.ErrorContains(t, err, directory)
			assert.Equal(t, 1, seen.letters(), "what was not kept is not counted")

			// The disk has room again.
			if store.shared.current != nil {
				store.shared.current = disk.File
			}
			require.NoError(t, store.Write(t.Context(), []Letter{letter("after", 100)}))
			got, damage := readAll(t, directory)
			assert.Equal(t, Damage{Torn: c.torn}, damage)
			var ids []string
			for _, l := range got {
				ids = append(ids, id(t, l))
			}
			want := []string{"before", "after"}
			if name == "nor undone" {
				want = []string{"before", "lost", "after"} // it is there, and comes once more
			}
			assert.Equal(t, want, ids)
			files, err := Files(directory)
			require.NoError(t, err)
			assert.Len(t, files, c.files)
		})
	}
}

func TestADirectoryThatCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err := Open(settings(path), nil)
	require.ErrorContains(t, err, "cannot be written")
	require.ErrorContains(t, err, "'directory'")

	// It goes away while the collector runs.
	directory := filepath.Join(t.TempDir(), "gone")
	store := open(t, settings(directory), nil)
	require.NoError(t, os.RemoveAll(directory))
	require.ErrorIs(t, store.Write(t.Context(), []Letter{letter("a", 1)}), os.ErrNotExist)
	require.NoError(t, os.Mkdir(directory, 0o700))
	require.NoError(t, store.Write(t.Context(), []Letter{letter("a", 1)}))
}

func TestNoSecrets(t *testing.T) {
	directory := t.TempDir()
	store := open(t, settings(directory), nil)
	const key = "11111111-2222-3333-4444-555555555555"
	require.NoError(t, store.Write(t.Context(), []Letter{
		{Reason: ReasonInvalid, Item: json.RawMessage(`{"iKey":"` + key + `","id":"a"}`)},
		{Reason: ReasonInvalid, Message: "bad InstrumentationKey=" + key + ";IngestionEndpoint=x", Item: json.RawMessage(`{"id":"b"}`)},
		{Reason: ReasonInvalid, Message: `{"iKey": "` + key + `"} Authorization: Bearer eyJ0eXAi.abc.def`, Item: json.RawMessage(`{"id":"c"}`)},
	}))
	files, err := Files(directory)
	require.NoError(t, err)
	text, err := os.ReadFile(files[0].Path)
	require.NoError(t, err)
	assert.NotContains(t, string(text), key)
	assert.NotContains(t, string(text), "eyJ0eXAi")
	assert.Equal(t, 3, strings.Count(string(text), removed))
	letters, _ := readAll(t, directory)
	assert.JSONEq(t, `{"id":"a"}`, string(letters[0].Item))
}

func TestItemsThatAreNone(t *testing.T) {
	directory := t.TempDir()
	store := open(t, settings(directory), nil)
	for _, item := range []string{`{"cut`, `[]`, "not \xff JSON", `{"big":"` + strings.Repeat("x", MaxItemBytes) + `"}`, "{\n\"two\":\n\"lines\"}"} {
		require.NoError(t, store.Write(t.Context(), []Letter{{Time: testTime, Reason: ReasonUnreadable, Item: json.RawMessage(item)}}))
	}
	letters, damage := readAll(t, directory)
	assert.Equal(t, Damage{}, damage)
	require.Len(t, letters, 5)
	assert.Equal(t, `{"cut`, string(letters[0].Damaged))
	assert.Equal(t, 5, letters[0].Bytes)
	assert.Equal(t, "[]", string(letters[1].Damaged))
	assert.Equal(t, "not \xff JSON", string(letters[2].Damaged))
	assert.Len(t, letters[3].Damaged, MaxItemBytes)
	assert.Equal(t, MaxItemBytes+10, letters[3].Bytes)
	assert.JSONEq(t, `{"two":"lines"}`, string(letters[4].Item))
}
