// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFilesOfTheFirstVersionAreRead has what the first version of this package wrote, before its journal became a shared one: an
// upgrade keeps the graph.
func TestFilesOfTheFirstVersionAreRead(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.CopyFS(path, os.DirFS(filepath.Join("testdata", "v1"))))
	var want []string
	for n := range 3 {
		id, p := pointOf(n)
		want = append(want, describe(&id, &p))
	}
	want = append(want, "roll "+begin.String(), "hold "+begin.Add(time.Second).String(), "flush 7",
		"sent 7 3", "roll "+begin.Add(4*time.Second).String(), "events [1]", "events sent 1")
	got, report := replayed(t, path, 0)
	assert.Equal(t, want, got)
	assert.Equal(t, Report{Points: 3, Files: 2}, report)

	d := open(t, path)
	state, err := d.Load(Main)
	require.NoError(t, err)
	assert.Equal(t, &State{At: begin, Begin: 2, Parts: map[string][]byte{"graph": []byte("abc"), "seed": []byte("0123456789abcdef")}}, state)
	got, _ = replayed(t, path, state.Begin)
	assert.Equal(t, want[6:], got)

	// And this version writes the same bytes.
	again := t.TempDir()
	w := open(t, again)
	appendPoints(t, w, 0, 1, 2)
	require.NoError(t, w.Roll(begin))
	require.NoError(t, w.Hold(begin.Add(time.Second)))
	require.NoError(t, w.Flush(7))
	_, err = w.Save(Main, state)
	require.NoError(t, err)
	for _, name := range []string{"journal.00000000000000000001", "state"} {
		old, err := os.ReadFile(filepath.Join(path, name))
		require.NoError(t, err)
		now, err := os.ReadFile(filepath.Join(again, name))
		require.NoError(t, err)
		assert.Equal(t, old, now, name)
	}
}
