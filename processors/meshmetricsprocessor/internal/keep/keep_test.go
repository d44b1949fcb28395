// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"bytes"
	"encoding/binary"
	"hash/crc64"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
)

func open(t *testing.T, directory string) (*Keeper, *State) {
	k, state, err := Open(directory, "a%2Fb")
	require.NoError(t, err)
	return k, state
}

func TestWhatIsSavedIsThereAfterAKill(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "made", "here")
	k, state := open(t, directory)
	require.Nil(t, state)
	require.NoError(t, k.Save(&State{Saved: 1, Known: []byte("old"), Batches: [][]byte{[]byte("gone")}}))
	saved := State{Saved: 7, Journal: 3, Known: []byte("known"), Batches: [][]byte{[]byte("first"), nil, []byte("third")}}
	require.NoError(t, k.Save(&saved))
	k.Mark(0)
	info, err := os.Stat(k.path)
	require.NoError(t, err)
	require.Equal(t, info.Size(), k.Size())
	_, _, err = Open(directory, "a%2Fb")
	require.ErrorAs(t, err, new(*disk.InUseError), "it belongs to one")
	other, _, err := Open(directory, "another")
	require.NoError(t, err)
	require.NoError(t, other.Close())
	require.NoError(t, k.Close())

	k, state = open(t, directory)
	require.Equal(t, &State{Saved: 7, Journal: 3, Known: []byte("known"), Batches: [][]byte{{}, []byte("third")}, Numbers: []int{1, 2}}, state)
	k.Mark(2)
	require.NoError(t, k.Close())
	k, state = open(t, directory)
	require.Equal(t, []int{1}, state.Numbers, "a mark of the second process counts, too")
	require.NoError(t, k.Remove())
	require.NoError(t, k.Remove(), "there is nothing any more")
	require.Zero(t, k.Size())
	k.Mark(0)
	require.NoError(t, k.Close())
	k, state = open(t, directory)
	require.Nil(t, state)
	require.NoError(t, k.Close())
}

// TestEveryCutAndEveryFlip damages a file at each byte: what is read is what was saved, or is said to be damaged and set
// aside; only marks may be missing.
func TestEveryCutAndEveryFlip(t *testing.T) {
	directory := t.TempDir()
	k, _ := open(t, directory)
	require.NoError(t, k.Save(&State{Saved: 7, Known: []byte("known"), Batches: [][]byte{[]byte("first"), []byte("second")}}))
	whole := k.Size()
	k.Mark(1)
	require.NoError(t, k.Close())
	raw, err := os.ReadFile(k.path)
	require.NoError(t, err)
	check := func(damaged []byte, where int) {
		require.NoError(t, os.WriteFile(k.path, damaged, 0o600))
		k, state, err := Open(directory, "a%2Fb")
		if int64(where) < whole {
			require.ErrorIs(t, err, ErrDamaged, "at %d", where)
			require.FileExists(t, k.path+".damaged")
			require.NoFileExists(t, k.path)
		} else {
			require.NoError(t, err)
			require.Len(t, state.Batches, 2, "the mark is not whole, so the batch goes again")
			k.Mark(0)
		}
		require.NoError(t, k.Close())
		if int64(where) >= whole {
			k, state := open(t, directory)
			require.Equal(t, []int{1}, state.Numbers, "a mark behind a part of one is read")
			require.NoError(t, k.Close())
		}
	}
	for i := range raw {
		check(raw[:i], i)
		if int64(i) < whole {
			flipped := bytes.Clone(raw)
			flipped[i] ^= 0x10
			check(flipped, i)
		}
	}
}

func TestADiskThatFailsLeavesTheStateBefore(t *testing.T) {
	directory := t.TempDir()
	k, _ := open(t, directory)
	require.NoError(t, k.Save(&State{Saved: 1}))
	// A folder is in the way of the new file.
	require.NoError(t, os.Mkdir(k.path+extensions.next, 0o700))
	require.Error(t, k.Save(&State{Saved: 2}))
	require.NoError(t, k.Close())
	k, state := open(t, directory)
	require.EqualValues(t, 1, state.Saved)
	require.NoError(t, k.Close())
}

func TestJournals(t *testing.T) {
	directory := t.TempDir()
	k, _ := open(t, directory)
	require.EqualValues(t, 1, k.Begin())
	require.NoError(t, k.Append([]byte("first")))
	require.NoError(t, k.Append(nil))
	require.EqualValues(t, 2, k.Begin())
	require.NoError(t, k.Append([]byte("second")))
	require.ErrorIs(t, k.Append(make([]byte, MostJournal)), ErrFull)
	_, size := k.Journal()
	require.EqualValues(t, frameSize+6, size)
	require.NoError(t, k.Close())
	require.Error(t, k.Append(nil))

	k, _ = open(t, directory)
	numbers, err := k.Journals()
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 2}, numbers)
	entries, torn, err := k.Entries(1)
	require.NoError(t, err)
	require.False(t, torn)
	require.Equal(t, [][]byte{[]byte("first"), {}}, entries)
	require.EqualValues(t, 3, k.Begin(), "none is written twice")
	require.NoError(t, k.Forget(3))
	numbers, err = k.Journals()
	require.NoError(t, err)
	require.Equal(t, []uint64{3}, numbers)
	entries, torn, err = k.Entries(1)
	require.NoError(t, err)
	require.Empty(t, entries)
	require.False(t, torn)
	require.NoError(t, k.Close())
}

// TestAStateThatIsDamagedTakesItsJournalsWithIt: it alone says what of them was taken.
func TestAStateThatIsDamagedTakesItsJournalsWithIt(t *testing.T) {
	directory := t.TempDir()
	k, _ := open(t, directory)
	k.Begin()
	require.NoError(t, k.Append([]byte("entry")))
	require.NoError(t, k.Save(&State{Journal: 1}))
	require.NoError(t, k.Close())
	require.NoError(t, os.Truncate(k.path, 20))
	k, _, err := Open(directory, "a%2Fb")
	require.ErrorIs(t, err, ErrDamaged)
	numbers, err := k.Journals()
	require.NoError(t, err)
	require.Empty(t, numbers)
	require.NoError(t, k.Close())
}

func TestNumbersGoOnWhereNoJournalIsLeft(t *testing.T) {
	directory := t.TempDir()
	k, _ := open(t, directory)
	require.NoError(t, k.Save(&State{Journal: 41}))
	require.NoError(t, k.Close())
	k, _ = open(t, directory)
	assert.EqualValues(t, 42, k.Begin(), "a smaller number would be one that was taken")
	require.NoError(t, k.Close())
}

func FuzzDecode(f *testing.F) {
	whole := (&State{Saved: 7, Journal: 2, Known: []byte("known"), Batches: [][]byte{[]byte("first"), nil}}).encode()
	f.Add(whole[:len(whole)-8])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		// With its checksum, behind which nothing could be tried.
		raw = binary.LittleEndian.AppendUint64(raw, crc64.Checksum(raw, table))
		state, marks, err := Decode(raw)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			return
		}
		require.Equal(t, raw[:len(raw)-len(marks)], state.encode())
	})
}

func FuzzEntries(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 7})
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, rest := readEntries(raw)
		size := len(rest)
		for _, entry := range entries {
			size += frameSize + len(entry)
		}
		require.Equal(t, len(raw), size)
	})
}
