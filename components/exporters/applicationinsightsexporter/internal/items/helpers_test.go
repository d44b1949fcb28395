// SPDX-License-Identifier: Apache-2.0

package items

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sample returns a batch whose items tell their number. Every fourth item is derived, and text makes them longer.
func sample(count int, text string) *Batch {
	b := &Batch{}
	b.SetAccepted(time.Unix(1_700_000_000, 42))
	for i := range count {
		b.Append(Item{
			JSON: fmt.Appendf(nil, `{"n":%d,"text":"%s"}`, i, text),
			Time: time.Unix(1_700_000_000+int64(i), int64(i)), Kind: Kind(1 + i%7), Derived: i%4 == 3, Reject: Reject(i % 2),
		})
	}
	return b
}

// all returns the items of batches one after the other.
func all(batches ...*Batch) []Item {
	var list []Item
	for _, b := range batches {
		for i := range b.Len() {
			item := b.Item(i)
			item.JSON = []byte(string(item.JSON))
			list = append(list, item)
		}
	}
	return list
}

func sources(list []Item) int {
	n := 0
	for _, i := range list {
		if !i.Derived {
			n++
		}
	}
	return n
}

// consistent checks what a batch knows of itself.
func consistent(tb testing.TB, b *Batch) {
	tb.Helper()
	list := all(b)
	size := 0
	for _, i := range list {
		size += len(i.JSON)
	}
	require.Equal(tb, size, b.TextBytes())
	require.Equal(tb, sources(list), b.Sources())
	require.Equal(tb, size+entryBytes*len(list), b.MemoryBytes())
}

var long = strings.Repeat("x", 1000)
