// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// letters writes two letters and returns their file and offsets.
func letters(t *testing.T) (path string, offsets []int64, store *Store) {
	t.Helper()
	directory := t.TempDir()
	store = open(t, settings(directory), nil)
	require.NoError(t, store.Write(t.Context(), []Letter{letter("a", 10), letter("b", 10)}))
	files, err := Files(directory)
	require.NoError(t, err)
	f, err := os.Open(files[0].Path)
	require.NoError(t, err)
	defer f.Close()
	for _, entry := range entries(t, NewReader(f)) {
		offsets = append(offsets, entry.Offset)
	}
	return files[0].Path, offsets, store
}

func openedMarks(t *testing.T, path string) *Marks {
	t.Helper()
	m, err := OpenMarks(path)
	require.NoError(t, err)
	return m
}

func TestMarks(t *testing.T) {
	path, offsets, store := letters(t)
	m := openedMarks(t, path)
	_, err := OpenMarks(path)
	require.ErrorIs(t, err, ErrBusy, "two replays would send twice")
	require.NoError(t, m.Add(offsets[:1]))
	require.NoError(t, m.Add(nil))
	require.NoError(t, m.Close())

	seen, err := ReadMarks(path)
	require.NoError(t, err)
	assert.True(t, seen.Done(offsets[0]))
	assert.False(t, seen.Done(offsets[1]))

	m = openedMarks(t, path)
	assert.Equal(t, 1, m.Len())
	removed, err := m.RemoveIfDone()
	require.NoError(t, err)
	assert.False(t, removed, "one is left")
	require.NoError(t, m.Add(offsets[1:]))
	// A letter comes while the last ones are marked.
	require.NoError(t, store.Write(t.Context(), []Letter{letter("c", 10)}))
	removed, err = m.RemoveIfDone()
	require.NoError(t, err)
	assert.False(t, removed, "one came since")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NotZero(t, info.Size())
	f, err := os.Open(path)
	require.NoError(t, err)
	all := entries(t, NewReader(f))
	require.NoError(t, f.Close())
	require.NoError(t, m.Add([]int64{all[2].Offset}))
	removed, err = m.RemoveIfDone()
	require.NoError(t, err)
	assert.True(t, removed)
	require.NoError(t, m.Close())
	assert.NoFileExists(t, path)
	assert.NoFileExists(t, path+marksSuffix)

	// The store goes on in a new file.
	require.NoError(t, store.Write(t.Context(), []Letter{letter("d", 10)}))
	got, _ := readAll(t, filepath.Dir(path))
	require.Len(t, got, 1)
	assert.Equal(t, "d", id(t, got[0]))
}

func TestMarksThatHoldNothingGo(t *testing.T) {
	path, _, _ := letters(t)
	m := openedMarks(t, path)
	require.NoError(t, m.Close())
	require.NoError(t, m.Close())
	assert.NoFileExists(t, path+marksSuffix)
}

func TestDamagedLettersAreNotRemoved(t *testing.T) {
	path, offsets, _ := letters(t)
	appendTo(t, path, "damaged\n")
	m := openedMarks(t, path)
	defer m.Close()
	require.NoError(t, m.Add(offsets))
	removed, err := m.RemoveIfDone()
	require.NoError(t, err)
	assert.False(t, removed, "someone may still mend the line")
}

func TestATornLetterIsNone(t *testing.T) {
	path, offsets, _ := letters(t)
	appendTo(t, path, `{"time":"2026`)
	m := openedMarks(t, path)
	defer m.Close()
	require.NoError(t, m.Add(offsets))
	removed, err := m.RemoveIfDone()
	require.NoError(t, err)
	assert.True(t, removed)
}

func TestTornMarks(t *testing.T) {
	path, offsets, _ := letters(t)
	require.NoError(t, os.WriteFile(path+marksSuffix, []byte("0\n1"), 0o600))
	m := openedMarks(t, path)
	assert.Equal(t, 1, m.Len(), "half a number is another number")
	require.NoError(t, m.Add(offsets[1:]))
	require.NoError(t, m.Close())
	m = openedMarks(t, path)
	defer m.Close()
	assert.True(t, m.Done(0) && m.Done(offsets[1]))
	assert.Equal(t, 2, m.Len())
}

func TestDamagedMarks(t *testing.T) {
	path, _, _ := letters(t)
	require.NoError(t, os.WriteFile(path+marksSuffix, []byte("zero\n"), 0o600))
	_, err := OpenMarks(path)
	require.ErrorContains(t, err, "remove it to replay all letters")
	_, err = ReadMarks(path)
	require.ErrorContains(t, err, "remove it to replay all letters")
}

// TestOrphans: a crash came after the letters were removed and before their marks were.
func TestOrphans(t *testing.T) {
	path, _, _ := letters(t)
	directory := t.TempDir()
	orphan := filepath.Join(directory, filepath.Base(path)+marksSuffix)
	other := filepath.Join(directory, "other"+marksSuffix)
	for _, name := range []string{orphan, other} {
		require.NoError(t, os.WriteFile(name, []byte("0\n"), 0o600))
	}
	open(t, settings(directory), nil)
	assert.NoFileExists(t, orphan)
	assert.FileExists(t, other)
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// FuzzMarks reads anything as marks: an offset counts only if its line is whole, and what is no offset is an error.
func FuzzMarks(f *testing.F) {
	f.Add([]byte("0\n120\n"))
	f.Add([]byte("0\n12"))
	f.Add([]byte("-1\n"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m := &Marks{done: map[int64]struct{}{}}
		if m.parse(text) != nil {
			return
		}
		whole := bytes.Count(text, []byte("\n"))
		assert.LessOrEqual(t, m.Len(), whole)
		assert.Equal(t, whole > 0, m.Len() > 0)
		for offset := range m.done {
			assert.GreaterOrEqual(t, offset, int64(0))
		}
	})
}
