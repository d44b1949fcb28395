// SPDX-License-Identifier: Apache-2.0

package items

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the stored file of the current version anew")

func stored(tb testing.TB, b *Batch) []byte {
	tb.Helper()
	raw, err := b.MarshalBinary()
	require.NoError(tb, err)
	return raw
}

func TestStoredFormReadsBack(t *testing.T) {
	edges := &Batch{}
	edges.Append(Item{JSON: []byte(`{"a":1}`), Time: time.Unix(0, -1<<62)})
	edges.Append(Item{JSON: []byte(`{"a":2}`), Time: time.Unix(0, 1<<62), Kind: kindBits, Derived: true, Reject: 255, Strikes: MaxStrikes})
	for name, b := range map[string]*Batch{
		"empty": {}, "one": sample(1, ""), "edges": edges, "many blocks": sample(3000, long), "no time of acceptance": func() *Batch {
			b := sample(2, "")
			b.SetAccepted(time.Time{})
			return b
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			read, damages := Decode(stored(t, b))
			assert.Empty(t, damages)
			assert.Equal(t, all(b), all(read))
			assert.True(t, b.Accepted().Equal(read.Accepted()))
			consistent(t, read)
		})
	}
}

// A collector reads what an older one left in its queue.
func TestOldVersionsStayReadable(t *testing.T) {
	path := filepath.Join("testdata", "batch_v1.bin")
	want := sample(6, "ä")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o700))
		require.NoError(t, os.WriteFile(path, stored(t, want), 0o600))
	}
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	read, damages := Decode(raw)
	assert.Empty(t, damages)
	assert.Equal(t, all(want), all(read))
	assert.True(t, want.Accepted().Equal(read.Accepted()))
}

// Whatever bit of a stored batch flips: no item is made up, none is lost unseen, and blocks that are whole are read.
func TestDamageIsSeenAndTheRestIsRead(t *testing.T) {
	b := sample(1200, long)
	want := all(b)
	raw := stored(t, b)
	random := rand.New(rand.NewPCG(3, 4))
	partly := 0
	for range 60 {
		damaged := slices.Clone(raw)
		damaged[random.IntN(len(damaged))] ^= 1 << random.IntN(8)
		read, damages := Decode(damaged)
		require.NotEmpty(t, damages)
		partly += min(read.Len(), 1)
		accounted := read.Len()
		for _, d := range damages {
			require.Error(t, d.Err)
			require.NotEmpty(t, d.Raw)
			accounted += d.Items
		}
		if read.Len() > 0 {
			require.Equal(t, len(want), accounted)
		}
		subset(t, want, all(read))
	}
	assert.Positive(t, partly)
}

func TestACutBatchKeepsItsFirstBlocks(t *testing.T) {
	b := sample(1200, long)
	raw := stored(t, b)
	for cut := 0; cut < len(raw); cut += 1009 {
		read, damages := Decode(raw[:cut])
		require.NotEmpty(t, damages, cut)
		subset(t, all(b)[:read.Len()], all(read))
	}
	read, damages := Decode(append(slices.Clone(raw), 0))
	assert.NotEmpty(t, damages, "bytes that nobody wrote")
	assert.Equal(t, b.Len(), read.Len())
}

func subset(tb testing.TB, want, got []Item) {
	tb.Helper()
	at := 0
	for _, item := range got {
		for at < len(want) && !bytes.Equal(want[at].JSON, item.JSON) {
			at++
		}
		require.Less(tb, at, len(want), "an item that was never stored")
		require.Equal(tb, want[at], item)
	}
}

func TestUnknownVersionIsSetAsideWhole(t *testing.T) {
	raw := stored(t, sample(3, ""))
	raw[0] = 99
	read, damages := Decode(raw)
	assert.Zero(t, read.Len())
	require.Len(t, damages, 1)
	assert.Equal(t, raw, damages[0].Raw)
	assert.ErrorContains(t, damages[0].Err, "version 99")
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add(stored(f, &Batch{}))
	f.Add(stored(f, sample(5, "text")))
	f.Add(stored(f, sample(700, long)))
	if raw, err := os.ReadFile(filepath.Join("testdata", "batch_v1.bin")); err == nil {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, damages := Decode(raw)
		consistent(t, b)
		for i := range b.Len() {
			b.Item(i)
		}
		if len(damages) > 0 {
			return
		}
		again, damages := Decode(stored(t, b))
		require.Empty(t, damages)
		require.Equal(t, all(b), all(again))
	})
}

// FuzzDecodeBlock gets past the checksums.
func FuzzDecodeBlock(f *testing.F) {
	whole := sample(5, "text")
	f.Add(whole.appendBlock(nil, 0, 5), uint64(5), uint64(whole.TextBytes()))
	f.Add([]byte{0}, uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, part []byte, items, size uint64) {
		if size > 1<<20 {
			return // Only the time that filling so much memory takes would be tested.
		}
		b := sample(2, "before")
		before := all(b)
		if err := b.readBlock(part, items, size, uint64(len(part)), checksum(part)); err != nil {
			require.Equal(t, before, all(b), "an error changes nothing")
		}
		consistent(t, b)
	})
}
