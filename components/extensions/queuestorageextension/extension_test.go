// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/queuestorageextension/internal/metadata"
)

func TestConfigurationErrorsNameTheKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Directory = "" }, "'directory' is empty: write a folder that outlives the process, such as /var/lib/otelcol-mesh"},
		{func(c *Config) { c.Directory = file }, "which is a file: write a folder"},
		{func(c *Config) { c.FSync = "true" }, `'fsync' is "true": write always, interval or never`},
		{func(c *Config) { c.FSyncInterval = time.Millisecond }, "'fsync_interval' is 1ms: write 10ms to 1m"},
		{func(c *Config) { c.MinFreeMiB = -1 }, "'min_free_mib' is -1: write 0 to 1073741824"},
		{func(c *Config) { c.MaxDamagedMiB = 1 << 31 }, "'max_damaged_mib' is 2147483648"},
	} {
		require.ErrorContains(t, config(t.TempDir(), test.change).Validate(), test.want)
	}
	require.NoError(t, config(filepath.Join(t.TempDir(), "new")).Validate())
	require.Error(t, createDefaultConfig().(*Config).Validate(), "a folder must be chosen")
}

// TestOneProcessHasTheFolder prevents the bug that two collectors write the files of one queue.
func TestOneProcessHasTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	first := ours(t, nil, config(dir))
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	second, err := newQueueStorage(extensiontest.NewNopSettings(metadata.Type), config(dir))
	require.NoError(t, err)
	err = second.Start(t.Context(), nil)
	require.ErrorContains(t, err, fmt.Sprintf("'directory' %s is in use by another collector, or by another component of this one", dir))
	require.NoError(t, second.Shutdown(t.Context()))
	_, err = second.GetClient(t.Context(), component.KindExporter, exporterID, "traces")
	require.Error(t, err)

	c := queueClient(t, first)
	_, err = first.GetClient(t.Context(), component.KindExporter, exporterID, "traces")
	require.ErrorContains(t, err, "is open already")
	require.NoError(t, c.Close(t.Context()))
	require.NoError(t, c.Close(t.Context()), "twice")
	require.ErrorIs(t, c.Set(t.Context(), "a", nil), errClosed)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), f.Name())
	}
}

// TestAgeOfTheOldestSurvivesARestart prevents the bug that a backlog of hours looks young after each restart.
func TestAgeOfTheOldestSurvivesARestart(t *testing.T) {
	dir, tel := t.TempDir(), componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	start := time.Now().Add(-time.Hour)
	t.Run("before", func(t *testing.T) {
		s := ours(t, nil, config(dir))
		s.now = func() time.Time { return start }
		b := newBackend(true)
		e := newExporter(t, s, b, 1)
		require.NoError(t, e.ConsumeTraces(t.Context(), request("old")))
		require.Eventually(t, func() bool { return b.attempts() > 0 }, wait, wait/1000)
		require.NoError(t, e.Shutdown(t.Context()))
	})
	s := ours(t, tel, config(dir))
	s.now = func() time.Time { return start.Add(time.Hour) }
	b := newBackend(true)
	// It was being sent, so that the queue puts it back under a new key.
	e := newExporter(t, s, b, 1)
	require.NoError(t, e.ConsumeTraces(t.Context(), request("new")))
	m, err := tel.GetMetric("otelcol_extension_queue_storage_oldest_item_age")
	require.NoError(t, err)
	assert.Contains(t, fmt.Sprint(m.Data), " 3600 ")
	assert.EqualValues(t, 2, counted(t, tel, "items"))
	assert.Positive(t, counted(t, tel, "bytes"))
	assert.Positive(t, counted(t, tel, "file_size"))
	require.NoError(t, e.Shutdown(t.Context()))
}

// TestFolderOfFileStorageIsTakenOver prevents the bug that a change to queue_storage abandons what waits.
func TestFolderOfFileStorageIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	var want []string
	t.Run("before", func(t *testing.T) { want = outage(t, upstream(t, dir), 30, 3) })
	t.Run("a run in between", func(t *testing.T) {
		b := newBackend(true)
		e := newExporter(t, ours(t, nil, config(dir)), b, 2)
		require.NoError(t, e.ConsumeTraces(t.Context(), request("request 999")))
		require.NoError(t, e.Shutdown(t.Context()))
	})
	assert.Equal(t, append(want, "request 999"), drain(t, ours(t, nil, config(dir))).names())
}

// TestFileShrinks prevents the bug that the disk stays full after a backlog is gone.
func TestFileShrinks(t *testing.T) {
	dir, tel := t.TempDir(), componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	s := ours(t, tel, config(dir, func(c *Config) { c.CompactAboveMiB = 1 }))
	c := queueClient(t, s).(*client)
	b := bookkeeping{}
	for i := range 40 {
		b.write++
		require.NoError(t, c.Batch(t.Context(), storage.SetOperation(metadataKey, b.encode()), storage.SetOperation(itemKey(uint64(i)), make([]byte, 100_000))))
	}
	before := c.fileSize()
	// At once: the file would rightly be written anew more than once if it looked in between.
	var done []*storage.Operation
	for b.read < 39 {
		done = append(done, storage.DeleteOperation(itemKey(b.read)))
		b.read++
	}
	require.NoError(t, c.Batch(t.Context(), append(done, storage.SetOperation(metadataKey, b.encode()))...))
	require.Eventually(t, func() bool { return c.state().file < before/4 }, wait, wait/1000)
	assert.EqualValues(t, 1, counted(t, tel, "compactions"))
	op := storage.GetOperation("39")
	require.NoError(t, c.Batch(t.Context(), op))
	assert.Len(t, op.Value, 100_000)
	require.NoError(t, c.Close(t.Context()))
}

// TestPlainStorage holds the contract of storage.Client for components other than queues, as mesh_span_pairing is one.
func TestPlainStorage(t *testing.T) {
	dir := t.TempDir()
	id := component.MustNewID("mesh_span_pairing")
	client := func(t *testing.T) storage.Client {
		c, err := ours(t, nil, config(dir)).GetClient(t.Context(), component.KindProcessor, id, "")
		require.NoError(t, err)
		return c
	}
	t.Run("write", func(t *testing.T) {
		c := client(t)
		got, err := c.Get(t.Context(), "missing")
		require.NoError(t, err)
		assert.Nil(t, got)
		require.NoError(t, c.Delete(t.Context(), "missing"))
		require.NoError(t, c.Set(t.Context(), "a", []byte("1")))
		read := storage.GetOperation("a")
		require.NoError(t, c.Batch(t.Context(), storage.SetOperation("a", []byte("2")), read, storage.SetOperation("b", []byte("3")), storage.DeleteOperation("b")))
		assert.Equal(t, "2", string(read.Value), "in their order")
		require.NoError(t, c.Set(t.Context(), "empty", nil))
		require.Error(t, c.Batch(t.Context(), storage.SetOperation("", []byte("no key"))), "told of errors")
	})
	t.Run("read", func(t *testing.T) {
		c := client(t)
		got, err := c.Get(t.Context(), "a")
		require.NoError(t, err)
		assert.Equal(t, "2", string(got))
		got, err = c.Get(t.Context(), "b")
		require.NoError(t, err)
		assert.Nil(t, got)
		seen := map[string]string{}
		require.NoError(t, c.(storage.Walker).Walk(t.Context(), func(key string, value []byte) ([]*storage.Operation, error) {
			seen[key] = string(value)
			return []*storage.Operation{storage.DeleteOperation(key)}, nil
		}))
		assert.Equal(t, map[string]string{"a": "2", "empty": ""}, seen)
		got, err = c.Get(t.Context(), "a")
		require.NoError(t, err)
		assert.Nil(t, got)
		failed := errors.New("stop")
		require.NoError(t, c.Set(t.Context(), "a", []byte("1")))
		require.ErrorIs(t, c.(storage.Walker).Walk(t.Context(), func(string, []byte) ([]*storage.Operation, error) { return nil, failed }), failed)
	})
}

func TestFileNamesAreThoseOfFileStorage(t *testing.T) {
	assert.Equal(t, queueFile, fileName(component.KindExporter, exporterID, "traces"))
	assert.Equal(t, "processor_mesh_span_pairing_", fileName(component.KindProcessor, component.MustNewID("mesh_span_pairing"), ""))
	assert.Equal(t, "exporter_otlp_a~002Fb~007E_logs", fileName(component.KindExporter, component.MustNewIDWithName("otlp", "a/b~"), "logs"))
	assert.Len(t, fileName(component.KindExporter, component.MustNewIDWithName("otlp", strings.Repeat("a", 300)), "logs"), 64)
}

// TestDamagedFolderIsBounded prevents the bug that what is kept for people fills the disk.
func TestDamagedFolderIsBounded(t *testing.T) {
	dropped := 0
	s := &setAside{dir: t.TempDir(), limit: 1000, now: time.Now, dropped: func(n int) { dropped += n }}
	for i := range 10 {
		_, err := s.value("v", bytes.Repeat([]byte{byte(i)}, 300))
		require.NoError(t, err)
	}
	files, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	require.Len(t, files, 3)
	last, err := os.ReadFile(filepath.Join(s.dir, files[2].Name()))
	require.NoError(t, err)
	assert.Equal(t, bytes.Repeat([]byte{9}, 300), last, "the newest stay")
	_, err = s.value("v", make([]byte, 1001))
	require.ErrorIs(t, err, errNotKept)
	assert.Equal(t, 8, dropped)
}

// TestReserveIsGivenUpAndMadeAgain holds the life of the reserve.
func TestReserveIsGivenUpAndMadeAgain(t *testing.T) {
	dir := t.TempDir()
	free := int64(10 * mib)
	s := &space{dir: dir, reserve: filepath.Join(dir, "reserve"), size: 2 * mib, now: time.Now, statfs: func(string) (int64, error) { return free, nil }}
	require.NoError(t, s.hold(9*mib))
	assert.NoFileExists(t, s.reserve, "there is not enough besides")
	require.NoError(t, s.hold(mib))
	info, err := os.Stat(s.reserve)
	require.NoError(t, err)
	assert.EqualValues(t, 2*mib, info.Size())
	assert.True(t, s.release())
	assert.False(t, s.release(), "once")
	require.NoError(t, s.hold(mib))
	assert.True(t, s.release())
}
