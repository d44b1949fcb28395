// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func entries(t testing.TB, r *Reader) []Entry {
	t.Helper()
	var all []Entry
	for {
		entry, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, entry)
	}
}

func TestReaderPassesOverDamage(t *testing.T) {
	a, b := letter("a", 10), letter("b", 10)
	first, second := string(a.appendLine(nil, testTime)), string(b.appendLine(nil, testTime))
	for name, c := range map[string]struct {
		text   string
		ids    []string
		damage Damage
	}{
		"empty":           {"", nil, Damage{}},
		"whole":           {first + second, []string{"a", "b"}, Damage{}},
		"torn":            {first + second[:len(second)/2], []string{"a"}, Damage{Torn: 1}},
		"torn at its end": {first + second[:len(second)-1], []string{"a"}, Damage{Torn: 1}},
		"damaged between": {first[:20] + "\n" + second, []string{"b"}, Damage{Unreadable: 1}},
		"empty line":      {"\n" + second, []string{"b"}, Damage{Unreadable: 1}},
		"zeros":           {strings.Repeat("\x00", 4096) + "\n" + second, []string{"b"}, Damage{Unreadable: 1}},
		"another object":  {`{"time":"2026-11-23T05:00:00Z"}` + "\n" + second, []string{"b"}, Damage{Unreadable: 1}},
		"item is no item": {`{"time":"2026-11-23T05:00:00Z","reason":"x","item":"text"}` + "\n" + second, []string{"b"}, Damage{Unreadable: 1}},
		"endless line":    {strings.Repeat("x", maxLineBytes+1) + "\n" + second, []string{"b"}, Damage{Unreadable: 1}},
		"endless tail":    {first + strings.Repeat("x", 3*maxLineBytes), []string{"a"}, Damage{Torn: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			reader := NewReader(strings.NewReader(c.text))
			var ids []string
			for _, entry := range entries(t, reader) {
				ids = append(ids, id(t, entry.Letter))
				assert.True(t, strings.HasPrefix(c.text[entry.Offset:], `{"time":`), "the offset is where the line begins")
				assert.Equal(t, entry.Line, strings.Count(c.text[:entry.Offset], "\n")+1)
			}
			assert.Equal(t, c.ids, ids)
			assert.Equal(t, c.damage, reader.Damaged())
		})
	}
}

// TestReaderAtEveryCut ends a file at every byte, as a crash could.
func TestReaderAtEveryCut(t *testing.T) {
	var text []byte
	var ends []int
	for _, name := range []string{"a", "b", "c"} {
		l := letter(name, 5)
		text = l.appendLine(text, testTime)
		ends = append(ends, len(text))
	}
	for cut := range len(text) + 1 {
		whole := 0
		for _, end := range ends {
			if end <= cut {
				whole++
			}
		}
		reader := NewReader(bytes.NewReader(text[:cut]))
		require.Len(t, entries(t, reader), whole)
		require.Equal(t, cut > 0 && text[cut-1] != '\n', reader.Damaged().Torn == 1, "at %d", cut)
	}
}

type brokenDisk struct{ err error }

func (d brokenDisk) Read([]byte) (int, error) { return 0, d.err }

func TestReaderReportsADiskThatFails(t *testing.T) {
	broken := errors.New("input/output error")
	a := letter("a", 5)
	text := a.appendLine(nil, testTime)
	reader := NewReader(io.MultiReader(bytes.NewReader(text), brokenDisk{broken}))
	_, err := reader.Next()
	require.NoError(t, err)
	for range 2 {
		_, err = reader.Next()
		require.ErrorIs(t, err, broken, "it is not the end of the file")
	}
}

func TestFiles(t *testing.T) {
	directory := t.TempDir()
	for _, name := range []string{
		"letters-20261123T050000.000000002Z-aa.ndjson", "letters-20261122T050000.000000001Z-ff.ndjson",
		"letters-now-aa.ndjson", "letters-20261122T050000.000000001Z-ff.ndjson.done", "other", "letters-.ndjson",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte("x"), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(directory, "letters-20261123T050000.000000003Z-aa.ndjson"), 0o700))
	files, err := Files(directory)
	require.NoError(t, err)
	require.Len(t, files, 2)
	assert.Equal(t, time.Date(2026, 11, 22, 5, 0, 0, 1, time.UTC), files[0].Begun)
	assert.Equal(t, int64(1), files[1].Bytes)
	_, err = Files(filepath.Join(directory, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// FuzzReader reads anything: it never fails, its offsets are where lines begin, each letter can be written and read
// again, and what it passes over is counted.
func FuzzReader(f *testing.F) {
	a, b := letter("a", 5), Letter{Time: testTime, Reason: ReasonUnreadable, Damaged: []byte("x"), Bytes: 7}
	good := b.appendLine(a.appendLine(nil, testTime), testTime)
	f.Add(good)
	f.Add(good[:len(good)-10])
	f.Add(append([]byte("\n\x00{}\n"), good...))
	f.Add([]byte(`{"time":"2026-11-23T05:00:00Z","reason":"too_old","item":{"iKey":"k","a":[1e999,"\ud800"]}}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		reader := NewReader(bytes.NewReader(text))
		all := entries(t, reader)
		damage := reader.Damaged()
		assert.Equal(t, bytes.Count(text, []byte("\n")), len(all)+damage.Unreadable)
		assert.Equal(t, len(text) > 0 && text[len(text)-1] != '\n', damage.Torn == 1)
		for _, entry := range all {
			assert.True(t, entry.Offset == 0 || text[entry.Offset-1] == '\n')
			again := entries(t, NewReader(bytes.NewReader(entry.Letter.appendLine(nil, testTime))))
			if assert.Len(t, again, 1) {
				assert.Equal(t, entry.Letter.Status, again[0].Letter.Status)
				assert.True(t, len(entry.Letter.Item) == 0 || len(again[0].Letter.Item)+len(again[0].Letter.Damaged) > 0)
			}
		}
	})
}
