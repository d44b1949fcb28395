// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/extension/extensiontest"
)

// BenchmarkQueue is the life of one request in a queue: put, taken, finished.
func BenchmarkQueue(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"100kB", 100_000}, {"1MB", 1_000_000}} {
		for _, s := range []struct {
			name string
			make func(b *testing.B) storage.Extension
		}{
			{"file_storage", func(b *testing.B) storage.Extension { return benchmarkUpstream(b, false) }},
			{"file_storage+fsync", func(b *testing.B) storage.Extension { return benchmarkUpstream(b, true) }},
			{"queue_storage+never", func(b *testing.B) storage.Extension { return benchmarkOurs(b, fsyncNever) }},
			{"queue_storage+interval", func(b *testing.B) storage.Extension { return benchmarkOurs(b, fsyncInterval) }},
			{"queue_storage+always", func(b *testing.B) storage.Extension { return benchmarkOurs(b, fsyncAlways) }},
		} {
			b.Run(size.name+"/"+s.name, func(b *testing.B) { life(b, queueClient(b, s.make(b)), size.bytes) })
		}
	}
}

func benchmarkOurs(b *testing.B, fsync string) storage.Extension {
	return ours(b, nil, config(b.TempDir(), func(c *Config) { c.FSync, c.MinFreeMiB = fsync, 256 }))
}

func benchmarkUpstream(b *testing.B, fsync bool) storage.Extension {
	factory := filestorage.NewFactory()
	c := factory.CreateDefaultConfig().(*filestorage.Config)
	c.Directory, c.FSync = b.TempDir(), fsync
	s, err := factory.Create(b.Context(), extensiontest.NewNopSettings(factory.Type()), component.Config(c))
	require.NoError(b, err)
	return s.(storage.Extension)
}

func life(b *testing.B, c storage.Client, size int) {
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(i * 31)
	}
	books := bookkeeping{items: 1000, bytes: uint64(size)}
	set := func() *storage.Operation { return storage.SetOperation(metadataKey, books.encode()) }
	ctx := b.Context()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		key := itemKey(books.write)
		books.write++
		require.NoError(b, c.Batch(ctx, set(), storage.SetOperation(key, payload)))
		books.dispatched = append(books.dispatched, books.read)
		books.read++
		require.NoError(b, c.Batch(ctx, set(), storage.GetOperation(key)))
		books.dispatched = books.dispatched[:0]
		require.NoError(b, c.Batch(ctx, set(), storage.DeleteOperation(key)))
	}
	b.StopTimer()
	require.NoError(b, c.Close(ctx))
}
