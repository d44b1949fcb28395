// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzEnvelope: what was sealed opens again, under its own key only; and no other bytes open but by their checksum.
func FuzzEnvelope(f *testing.F) {
	f.Add("17", []byte("payload"), 3, byte(1))
	f.Add(metadataKey, []byte{}, 40, byte(0x80))
	f.Fuzz(func(t *testing.T, key string, payload []byte, at int, flip byte) {
		put := time.Unix(1_790_000_000, 123)
		value := seal(nil, key, payload, put)
		got, when, err := open(key, value)
		require.NoError(t, err)
		assert.Equal(t, string(payload), string(got))
		assert.True(t, put.Equal(when))
		_, _, err = open(key+"x", value)
		require.Error(t, err)
		_, _, err = open(key, payload)
		if err == nil {
			require.True(t, isSealed(payload))
		}
		if flip == 0 || at < 0 {
			return
		}
		value[at%len(value)] ^= flip
		_, _, err = open(key, value)
		require.Error(t, err)
	})
}

// FuzzBookkeeping: the bookkeeping of a queue that is read again says the same, and none makes it panic.
func FuzzBookkeeping(f *testing.F) {
	f.Add((&bookkeeping{items: 3, bytes: 4, read: 5, write: 9, dispatched: []uint64{2, 3}}).encode())
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := decodeBookkeeping(data)
		if err != nil {
			return
		}
		again, err := decodeBookkeeping(b.encode())
		require.NoError(t, err)
		assert.Equal(t, b, again)
	})
}

func TestBookkeepingCoversEachItemOnce(t *testing.T) {
	const far = 1 << 40
	for _, test := range []struct {
		name    string
		b       bookkeeping
		numbers []uint64
		want    bookkeeping
		adopted int
	}{
		{"all known", bookkeeping{read: 3, write: 6, dispatched: []uint64{1}}, []uint64{1, 3, 4, 5}, bookkeeping{read: 3, write: 6, dispatched: []uint64{1}}, 0},
		{"below", bookkeeping{read: 3, write: 6, dispatched: []uint64{1}}, []uint64{0, 1, 2, 3, 4, 5}, bookkeeping{items: 2, bytes: 9, read: 0, write: 6, dispatched: []uint64{}}, 2},
		{"far below", bookkeeping{read: far, write: far + 1, dispatched: []uint64{7}}, []uint64{1, 7, far}, bookkeeping{items: 1, bytes: 9, read: far, write: far + 1, dispatched: []uint64{7, 1}}, 1},
		{"above", bookkeeping{write: 2}, []uint64{0, 1, 4}, bookkeeping{items: 1, bytes: 9, write: 5, dispatched: []uint64{}}, 1},
		{"far above", bookkeeping{write: 2}, []uint64{0, 1, far}, bookkeeping{items: 3, bytes: 9, read: far, write: far + 1, dispatched: []uint64{0, 1}}, 1},
		{"started anew over a backlog", bookkeeping{write: 2}, []uint64{0, 1, 2, 3}, bookkeeping{items: 2, bytes: 9, write: 4, dispatched: []uint64{}}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, adopted := test.b.adopt(test.numbers, 9)
			assert.Equal(t, test.adopted, adopted)
			if len(got.dispatched) == 0 && len(test.want.dispatched) == 0 {
				got.dispatched, test.want.dispatched = nil, nil
			}
			assert.Equal(t, test.want, *got)
			for _, number := range test.numbers {
				inRange := number >= got.read && number < got.write
				assert.NotEqual(t, inRange, slices.Contains(got.dispatched, number), "%d is covered once", number)
			}
		})
	}
}
