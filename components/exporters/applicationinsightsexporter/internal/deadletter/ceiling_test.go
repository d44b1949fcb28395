// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestProcessesKeepToTheCeilingTogether: several processes that each write less than the ceiling see what the others wrote
// when they begin a file, so together they exceed it by one file each at most.
func TestProcessesKeepToTheCeilingTogether(t *testing.T) {
	const processes = 3
	path := t.TempDir()
	s := Settings{Directory: path, MaxMiB: 4, MaxFileMiB: 1}
	var all []*directory
	for range processes {
		// Each is what another process has: Open would give them one.
		d, err := openDirectory(path, s)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.close()) })
		all = append(all, d)
	}
	most := int64(0)
	for i := range 40 * processes {
		d := all[i%processes]
		require.NoError(t, d.write([]Letter{letter(strconv.Itoa(i), 200<<10)}, nobody{}))
		files, err := Files(path)
		require.NoError(t, err)
		total := int64(0)
		for _, f := range files {
			total += f.Bytes
		}
		most = max(most, total)
	}
	assert.LessOrEqual(t, most, s.maxBytes()+processes*s.maxFileBytes())
	assert.Greater(t, most, s.maxBytes()/2, "the test shall fill it")
}

// TestMarkupIsKeptAsItIs: a stack is full of <init> and &, which encoding/json blows up to six bytes each. A line must
// not become longer than a reader takes.
func TestMarkupIsKeptAsItIs(t *testing.T) {
	store := open(t, settings(t.TempDir()), nil)
	item := `{"text":"` + strings.Repeat("<&>", (MaxItemBytes-100)/3) + `"}`
	require.NoError(t, store.Write(t.Context(), []Letter{{Time: testTime, Reason: ReasonTooLarge, Message: "<b>", Item: json.RawMessage(item)}}))
	letters, damage := readAll(t, store.shared.path)
	assert.Zero(t, damage)
	require.Len(t, letters, 1)
	assert.Equal(t, item, string(letters[0].Item))
	assert.Equal(t, "<b>", letters[0].Message)
}
