// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// failing is file_storage on a disk that takes no writes for a while.
type failing struct {
	storage.Extension
	full atomic.Bool
}

type failingClient struct {
	storage.Client
	full *atomic.Bool
}

func (f *failing) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	c, err := f.Extension.GetClient(ctx, kind, id, name)
	return failingClient{c, &f.full}, err
}

func (f failingClient) Batch(ctx context.Context, ops ...*storage.Operation) error {
	for _, op := range ops {
		// The deletion of an item frees pages before it takes any, and may pass when nothing else does.
		if f.full.Load() && op.Type == storage.Set && ops[len(ops)-1].Type != storage.Delete {
			return syscall.ENOSPC
		}
	}
	return f.Client.Batch(ctx, ops...)
}

// consume starts an exporter for a backlog while the disk takes no writes, and waits until it went through it.
func consume(t *testing.T, s component.Component, full *atomic.Bool, through func(b *backend) bool) *backend {
	t.Helper()
	full.Store(true)
	b := newBackend(false)
	e := newExporter(t, s, b, 1)
	require.Eventually(t, func() bool { return through(b) }, wait, wait/1000)
	full.Store(false)
	require.NoError(t, e.ConsumeTraces(t.Context(), request("~end")))
	require.Eventually(t, func() bool { return b.has("~end") }, wait, wait/1000)
	require.NoError(t, e.Shutdown(t.Context()))
	return b
}

func (b *backend) has(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got[name] > 0
}

// TestFailedBookkeepingDeletesNothing: where the note that an item is being sent cannot be written, the queue takes the
// item for unreadable and deletes it. Here it never hears of the failure.
func TestFailedBookkeepingDeletesNothing(t *testing.T) {
	const requests = 30
	t.Run("file_storage", func(t *testing.T) {
		dir := t.TempDir()
		outage(t, upstream(t, dir), requests, 1)
		f := &failing{Extension: upstream(t, dir)}
		polls := 0
		b := consume(t, f, &f.full, func(*backend) bool { polls++; return polls > 20 })
		assert.Less(t, len(b.names()), requests, "if upstream mended it, the overlay may go")
	})
	t.Run("queue_storage", func(t *testing.T) {
		dir, tel := t.TempDir(), componenttest.NewTelemetry()
		defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
		t.Run("outage", func(t *testing.T) { outage(t, ours(t, tel, config(dir)), requests, 1) })
		t.Run("full", func(t *testing.T) {
			s := ours(t, tel, config(dir))
			var full atomic.Bool
			faulty := &faultyExtension{s, &full}
			b := consume(t, faulty, &full, func(b *backend) bool { return len(b.names()) >= requests-1 })
			for i := range requests {
				assert.Equal(t, 1, b.got[fmt.Sprintf("request %03d", i)], i)
			}
		})
		assert.Positive(t, counted(t, tel, "bookkeeping_retries"))
		t.Run("afterwards", func(t *testing.T) {
			assert.Empty(t, drain(t, ours(t, tel, config(dir))).got, "what was sent is deleted once the disk takes writes")
		})
	})
}

// faultyExtension opens clients whose transactions fail.
type faultyExtension struct {
	*queueStorage
	full *atomic.Bool
}

func (f *faultyExtension) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	c, err := f.queueStorage.GetClient(ctx, kind, id, name)
	if err != nil {
		return nil, err
	}
	inner := c.(*client)
	inner.mu.Lock()
	defer inner.mu.Unlock()
	inner.fault = func() error {
		if f.full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}
	return c, nil
}

// TestRefusedIsNotStored: a request that cannot be written is refused with a reason, and nothing of it comes later.
func TestRefusedIsNotStored(t *testing.T) {
	dir, tel := t.TempDir(), componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	t.Run("run", func(t *testing.T) {
		var full atomic.Bool
		b := newBackend(true)
		e := newExporter(t, &faultyExtension{ours(t, tel, config(dir)), &full}, b, 1)
		require.NoError(t, e.ConsumeTraces(t.Context(), request("before")))
		full.Store(true)
		require.ErrorIs(t, e.ConsumeTraces(t.Context(), request("refused")), storage.ErrStorageFull)
		full.Store(false)
		require.NoError(t, e.ConsumeTraces(t.Context(), request("after")))
		require.NoError(t, e.Shutdown(t.Context()))
		assert.EqualValues(t, 1, counted(t, tel, "refused_writes", reason(reasonDiskFull)))
	})
	got := drain(t, ours(t, tel, config(dir))).got
	assert.Equal(t, map[string]int{"before": 1, "after": 1}, got)
}

// TestNoRoomIsRefusedBeforeItIsTried: below min_free_mib, and above max_mib, new requests are refused with a text that
// names the key, while the queue's bookkeeping goes on.
func TestNoRoomIsRefusedBeforeItIsTried(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	s := ours(t, tel, config(t.TempDir(), func(c *Config) { c.MinFreeMiB, c.MaxMiB = 100, 1 }))
	c := queueClient(t, s)
	free := int64(200 * mib)
	s.space.statfs = func(string) (int64, error) { return free, nil }
	put := func(number uint64, size int) error {
		b := bookkeeping{write: number + 1}
		return c.Batch(t.Context(), storage.SetOperation(metadataKey, b.encode()), storage.SetOperation(itemKey(number), make([]byte, size)))
	}
	require.NoError(t, put(0, 1000))
	require.ErrorContains(t, put(1, 2*mib), "'max_mib'")
	assert.EqualValues(t, 1, counted(t, tel, "refused_writes", reason(reasonMaxSize)))

	free = 99 * mib
	s.space.asked = s.space.asked.Add(-askAgain)
	err := put(2, 1000)
	require.ErrorIs(t, err, storage.ErrStorageFull)
	require.ErrorContains(t, err, "99 MiB free, less than 'min_free_mib' (100)")
	assert.EqualValues(t, 1, counted(t, tel, "refused_writes", reason(reasonDiskFull)))
	assert.EqualValues(t, 99*mib, counted(t, tel, "free_space"))

	after := bookkeeping{read: 1, write: 3}
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation(metadataKey, after.encode()), storage.DeleteOperation("0")))
	assert.Zero(t, counted(t, tel, "items"))
	free = 500 * mib
	s.space.asked = s.space.asked.Add(-askAgain)
	require.NoError(t, put(3, 1000))
	require.NoError(t, c.Close(t.Context()))
}

// TestAFileWithRoomTakesAfterARestart: on a disk that others filled, a file that a backlog has made large takes what fits into it,
// also when nothing of the backlog is left that would be written first.
func TestAFileWithRoomTakesAfterARestart(t *testing.T) {
	tel, dir := componenttest.NewTelemetry(), t.TempDir()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	full := func(c *Config) { c.MinFreeMiB = 100 }
	put := func(c storage.Client, number uint64, size int) error {
		b := bookkeeping{write: number + 1}
		return c.Batch(t.Context(), storage.SetOperation(metadataKey, b.encode()), storage.SetOperation(itemKey(number), make([]byte, size)))
	}
	t.Run("backlog", func(t *testing.T) {
		s := ours(t, tel, config(dir, full))
		s.space.statfs = func(string) (int64, error) { return 1000 * mib, nil }
		c := queueClient(t, s)
		require.NoError(t, put(c, 0, 4*mib))
		after := bookkeeping{read: 1, write: 1}
		require.NoError(t, c.Batch(t.Context(), storage.SetOperation(metadataKey, after.encode()), storage.DeleteOperation("0")))
		require.NoError(t, c.Close(t.Context()))
	})
	s := ours(t, tel, config(dir, full))
	s.space.statfs = func(string) (int64, error) { return 99 * mib, nil }
	c := queueClient(t, s)
	require.NoError(t, put(c, 1, 1000))
	require.ErrorIs(t, put(c, 2, 4*mib), storage.ErrStorageFull)
	require.NoError(t, c.Close(t.Context()))
}

// TestUnreadableDiskKeepsTheItem: an item whose bytes cannot be read, because the disk fails and not because they are
// wrong, is there again after a restart. The fault is one of the memory map, which ends a process that does not expect it.
func TestUnreadableDiskKeepsTheItem(t *testing.T) {
	dir, tel := t.TempDir(), componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	file := filepath.Join(dir, queueFile)
	t.Run("outage", func(t *testing.T) { outage(t, ours(t, tel, config(dir)), 50, 1) })
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	t.Run("fault", func(t *testing.T) {
		s := ours(t, tel, config(dir))
		c := queueClient(t, s).(*client)
		require.NoError(t, os.Truncate(file, pageSize))
		b := bookkeeping{write: 50, read: 21}
		op := storage.GetOperation("20")
		require.NoError(t, c.Batch(t.Context(), storage.SetOperation(metadataKey, b.encode()), op))
		assert.Nil(t, op.Value)
		require.NoError(t, c.Batch(t.Context(), storage.DeleteOperation("20")), "as the queue does then")
		assert.EqualValues(t, 50, counted(t, tel, "items"), "it still waits")
		require.NoError(t, os.WriteFile(file, whole, 0o600))
		require.NoError(t, c.Close(t.Context()))
	})
	assert.Len(t, drain(t, ours(t, tel, config(dir))).got, 50)
	assert.Zero(t, counted(t, tel, "damaged_values"))
}

// A file that somebody removes while it is in use takes nothing new, since that would be gone with the process. What waits
// can still be read.
func TestAFileThatIsRemovedTakesNothing(t *testing.T) {
	for name, remove := range map[string]func(dir, path string) error{
		"directory": func(dir, _ string) error { return os.RemoveAll(dir) },
		"file":      func(_, path string) error { return os.Remove(path) },
		"replaced":  func(_, path string) error { return os.Rename(path, path+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "queues")
			require.NoError(t, os.Mkdir(dir, 0o700))
			s := ours(t, nil, config(dir))
			c := queueClient(t, s)
			require.NoError(t, c.Set(t.Context(), "0", []byte("kept")))
			require.NoError(t, remove(dir, c.(*client).path))
			if name == "replaced" {
				require.NoError(t, os.WriteFile(c.(*client).path, nil, 0o600))
			}
			require.Eventually(t, func() bool {
				return c.Set(t.Context(), "1", []byte("lost")) != nil
			}, wait, wait/1000)
			assert.ErrorContains(t, c.Set(t.Context(), "2", []byte("lost")), "restart the collector")
			got, err := c.Get(t.Context(), "0")
			require.NoError(t, err)
			assert.Equal(t, "kept", string(got))
			require.NoError(t, c.Delete(t.Context(), "0"))
		})
	}
}
