// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

const pageSize = 4096

// content of the item with a number: its own number over and over, of a size that differs.
func contentOf(number int) []byte {
	size := []int{40, 300, 1500, 5000, 14000}[number%5]
	return bytes.Repeat(fmt.Appendf(nil, "item %06d;", number), size/12+1)
}

// fill writes a queue's file as the queue does: n items, the first gone of which were sent.
func fill(t testing.TB, c storage.Client, n, gone int) {
	t.Helper()
	b := bookkeeping{}
	set := func() *storage.Operation { return storage.SetOperation(metadataKey, b.encode()) }
	for i := range n {
		b.write++
		require.NoError(t, c.Batch(t.Context(), set(), storage.SetOperation(itemKey(uint64(i)), contentOf(i))))
	}
	for i := range gone {
		b.read++
		require.NoError(t, c.Batch(t.Context(), set(), storage.GetOperation(itemKey(uint64(i)))))
		require.NoError(t, c.Batch(t.Context(), set(), storage.DeleteOperation(itemKey(uint64(i)))))
	}
	require.NoError(t, c.Close(t.Context()))
}

// take reads what a queue finds, and fails if any of it is not what was put.
func take(t testing.TB, c storage.Client) (found int, duplicates int) {
	t.Helper()
	raw, err := c.Get(t.Context(), metadataKey)
	require.NoError(t, err)
	b, err := decodeBookkeeping(raw)
	require.NoError(t, err)
	numbers := b.dispatched
	for number := b.read; number < b.write; number++ {
		numbers = append(numbers, number)
	}
	seen := map[uint64]bool{}
	for _, number := range numbers {
		if seen[number] {
			duplicates++
		}
		seen[number] = true
		op := storage.GetOperation(itemKey(number))
		require.NoError(t, c.Batch(t.Context(), op))
		if op.Value != nil {
			require.Equal(t, contentOf(int(number)), op.Value, "item %d", number)
			found++
		}
	}
	return found, duplicates
}

// TestDamageAnywhereCostsOnlyWhatIsDamaged harms a file at each of its pages, in four ways. Nothing may panic, each item
// is delivered whole or counted, and what was sent long ago does not come again.
func TestDamageAnywhereCostsOnlyWhatIsDamaged(t *testing.T) {
	const items, gone = 80, 25
	dir := t.TempDir()
	template := filepath.Join(dir, queueFile)
	t.Run("fill", func(t *testing.T) { fill(t, queueClient(t, ours(t, nil, config(dir))), items, gone) })
	whole, err := os.ReadFile(template)
	require.NoError(t, err)
	copied, err := os.ReadFile(draft(template, copySuffix))
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 2))

	for _, harm := range []struct {
		name string
		do   func(file []byte, at int) []byte
		most int // values that may be lost by it
	}{
		{"flip one bit", func(file []byte, at int) []byte {
			file[at+rng.IntN(pageSize)] ^= 1 << rng.IntN(8)
			return file
		}, 30},
		{"flip the page's header", func(file []byte, at int) []byte {
			file[at+rng.IntN(16)] ^= byte(1 + rng.IntN(255))
			return file
		}, 30},
		{"lose the page", func(file []byte, at int) []byte {
			clear(file[at : at+pageSize])
			return file
		}, 30},
		{"cut off", func(file []byte, at int) []byte { return file[:at+rng.IntN(pageSize)] }, items},
	} {
		t.Run(harm.name, func(t *testing.T) {
			files, lost := 0, 0
			for at := 0; at < len(whole); at += pageSize {
				dir, tel := t.TempDir(), componenttest.NewTelemetry()
				require.NoError(t, os.WriteFile(filepath.Join(dir, queueFile), harm.do(bytes.Clone(whole), at), 0o600))
				require.NoError(t, os.WriteFile(draft(filepath.Join(dir, queueFile), copySuffix), copied, 0o600))
				t.Run(strconv.Itoa(at), func(t *testing.T) {
					s := ours(t, tel, config(dir))
					found, duplicates := take(t, queueClient(t, s))
					damaged := int(counted(t, tel, "damaged_values"))
					assert.Zero(t, duplicates)
					assert.LessOrEqual(t, items-gone-found, harm.most)
					// Where the newest bookkeeping was on the harmed page, the one before it is taken. It knows no less, and the last
					// that was sent once more: it is sent again, or counted as missing.
					assert.GreaterOrEqual(t, found+damaged, items-gone, "%d found, %d counted as damaged", found, damaged)
					assert.LessOrEqual(t, found+damaged, items-gone+2, "%d found, %d counted as damaged", found, damaged)
					files += int(counted(t, tel, "damaged_files"))
					lost += damaged
				})
				require.NoError(t, tel.Shutdown(context.Background()))
			}
			t.Logf("%d places, %d files rewritten, %d values lost", len(whole)/pageSize, files, lost)
		})
	}
}

// TestDamageThatCannotBeSetAsideStays prevents that the bytes of a damaged item are deleted when the disk that they would be
// kept on takes no file.
func TestDamageThatCannotBeSetAsideStays(t *testing.T) {
	dir, tel := t.TempDir(), componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	s := ours(t, tel, config(dir))
	c := queueClient(t, s).(*client)
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation(metadataKey, (&bookkeeping{write: 1}).encode()), storage.SetOperation("0", []byte("an item"))))
	require.NoError(t, c.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(valuesBucket)
		raw := append([]byte{}, bucket.Get([]byte("0"))...)
		raw[len(raw)-1]++
		return bucket.Put([]byte("0"), raw)
	}))
	aside := filepath.Join(dir, "damaged")
	require.NoError(t, os.WriteFile(aside, nil, 0o600), "no folder can be made")
	op := storage.GetOperation("0")
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation(metadataKey, (&bookkeeping{read: 1, write: 1, dispatched: []uint64{0}}).encode()), op))
	assert.Nil(t, op.Value)
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation(metadataKey, (&bookkeeping{read: 1, write: 1}).encode()), storage.DeleteOperation("0")))
	raw, err := c.raw("0")
	require.NoError(t, err)
	assert.NotEmpty(t, raw, "the queue deletes what it could not decode")
	require.NoError(t, c.Close(t.Context()))
	assert.Zero(t, counted(t, tel, "damaged_values"))
}
