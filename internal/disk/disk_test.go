// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy")
	size, err := Replace(path, text("one"))
	require.NoError(t, err)
	assert.Equal(t, int64(3), size)
	// What a process left behind that was killed while it wrote.
	require.NoError(t, os.WriteFile(path+unfinished, []byte("torn, and longer than what comes"), 0o600))
	_, err = Replace(path, text("second"))
	require.NoError(t, err)
	assert.Equal(t, "second", content(t, path))
	assert.NoFileExists(t, path+unfinished)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestAFailedWriteLeavesTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy")
	_, err := Replace(path, text("one"))
	require.NoError(t, err)
	full := errors.New("no space left on device")
	_, err = Replace(path, func(w io.Writer) error { return errors.Join(text("hal")(w), full) })
	require.ErrorIs(t, err, full)
	assert.Equal(t, "one", content(t, path))
	assert.NoFileExists(t, path+unfinished, "it would take room on a full disk")

	_, err = Replace(filepath.Join(path, "below a file"), text("x"))
	require.Error(t, err)
}

func TestSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy")
	for _, bad := range []string{"bad", "worse"} {
		require.NoError(t, os.WriteFile(path, []byte(bad), 0o600))
		aside, err := SetAside(path)
		require.NoError(t, err)
		assert.Equal(t, bad, content(t, aside), "one is kept, the newest")
		assert.NoFileExists(t, path)
	}
	_, err := SetAside(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}
