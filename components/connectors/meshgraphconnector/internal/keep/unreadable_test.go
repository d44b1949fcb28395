// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhatCannotBeReadIsCountedAndKept has a disk that gives neither the journal nor the state back.
func TestWhatCannotBeReadIsCountedAndKept(t *testing.T) {
	path := t.TempDir()
	d, err := Open(path, Options{Most: 1 << 20})
	require.NoError(t, err)
	require.NoError(t, d.Roll(begin))
	require.NoError(t, d.Close())
	d, err = Open(path, Options{Most: 1 << 20})
	require.NoError(t, err)
	size := d.Size()
	file := filepath.Join(path, "journal.00000000000000000001")
	require.NoError(t, os.Rename(file, file+".away"))
	report := d.Replay(0, &record{})
	assert.Equal(t, 1, report.DamagedFiles)
	assert.Equal(t, size, report.DamagedBytes)
	require.Error(t, report.Err)

	require.NoError(t, os.Mkdir(filepath.Join(path, Main), 0o700))
	_, err = d.Load(Main)
	require.Error(t, err)
	_, err = d.Save(Main, &State{At: begin})
	require.NoError(t, err, "what cannot be read is no reason to write nothing any more")
	assert.DirExists(t, filepath.Join(path, Main+".damaged"))
	require.NoError(t, d.Close())
}
