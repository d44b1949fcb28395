// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFilesOfTheFirstVersionAreRead has what the first version of this package wrote, before its files became those of a shared one.
func TestFilesOfTheFirstVersionAreRead(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.CopyFS(path, os.DirFS(filepath.Join("testdata", "v1"))))
	got, report := replay(t, filepath.Join(path, "j"))
	assert.Equal(t, want(0, 1, 2, 3), got)
	assert.Equal(t, Report{Messages: 4, Files: 2}, report)

	// And this version writes the same bytes.
	prefix := filepath.Join(t.TempDir(), "j")
	j := open(t, prefix)
	add(t, j, 0, 1)
	_, err := j.Rotate(nil, begin)
	require.NoError(t, err)
	add(t, j, 2, 3)
	for i, now := range files(t, prefix) {
		is, err := os.ReadFile(now)
		require.NoError(t, err)
		was, err := os.ReadFile(files(t, filepath.Join(path, "j"))[i])
		require.NoError(t, err)
		assert.Equal(t, was, is)
	}
}
