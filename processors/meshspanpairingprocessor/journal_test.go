// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"bufio"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/metadatatest"
)

var storageID = component.MustNewID("file_storage")

func stored(c *Config) { c.Storage = &storageID }

// extensionHost has one extension.
type extensionHost map[component.ID]component.Component

func (h extensionHost) GetExtensions() map[component.ID]component.Component { return h }

// memory is a storage that survives the processor, as a disk does. It is shared by copies of itself.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	err    error
}

func (*memory) Start(context.Context, component.Host) error { return nil }
func (*memory) Shutdown(context.Context) error              { return nil }
func (m *memory) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return m, nil
}

func (m *memory) Get(context.Context, string) ([]byte, error) { return nil, errors.ErrUnsupported }
func (m *memory) Set(context.Context, string, []byte) error   { return errors.ErrUnsupported }
func (m *memory) Delete(context.Context, string) error        { return errors.ErrUnsupported }
func (m *memory) Close(context.Context) error                 { return nil }

func (m *memory) Batch(_ context.Context, ops ...*storage.Operation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = m.values[op.Key]
		case storage.Set:
			m.values[op.Key] = op.Value
		case storage.Delete:
			delete(m.values, op.Key)
		}
	}
	return nil
}

// fail makes every operation return the error from now on, nil for none.
func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *memory) records() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for key := range m.values {
		if key != firstKey && key != nextKey {
			n++
		}
	}
	return n
}

// copied is what a disk holds when the collector dies now.
func (m *memory) copied() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &memory{values: map[string][]byte{}}
	maps.Copy(c.values, m.values)
	return c
}

func TestWhatWaitsSurvivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &memory{values: map[string][]byte{}}
		crashed := launch(t, componenttest.NewTelemetry(), config(stored), &sink{}, extensionHost{storageID: disk})
		two := clientTraces(1)
		clientSpan(two, 2)
		require.NoError(t, crashed.ConsumeTraces(t.Context(), two))
		require.NoError(t, crashed.ConsumeTraces(t.Context(), clientTraces(3)))
		assert.Equal(t, 2, disk.records(), "stored before the sender is told so")
		require.NoError(t, crashed.ConsumeTraces(t.Context(), serverTraces(3)))
		pass(longestTick)
		assert.Equal(t, 1, disk.records(), "deleted when handed on")
		after := disk.copied()
		require.NoError(t, crashed.Shutdown(t.Context()))
		assert.Zero(t, disk.records())

		tel := componenttest.NewTelemetry()
		next := &sink{}
		p := launch(t, tel, config(stored), next, extensionHost{storageID: after})
		metadatatest.AssertEqualProcessorMeshSpanPairingRestoredSpans(t, tel, []metricdata.DataPoint[int64]{{Value: 2}}, ignoreTime)
		require.NoError(t, p.ConsumeTraces(t.Context(), serverTraces(1)))
		pass(longestTick)
		requirePaired(t, next)
		assert.Equal(t, 1, after.records(), "its other span still waits")
		pass(6 * time.Second)
		assert.Len(t, next.spans, 3)
		assert.Zero(t, after.records())
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

func TestStoredSpansThatNobodyTakesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &memory{values: map[string][]byte{}}
		next := &sink{err: errors.New("busy")}
		host := extensionHost{storageID: disk}
		p := launch(t, componenttest.NewTelemetry(), config(stored), next, host)
		require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(1)))
		mixed := clientTraces(2)
		newSpan(mixed, "app", 7, 1, 0, ptrace.SpanKindServer, time.Second)
		require.Error(t, p.ConsumeTraces(t.Context(), mixed))
		assert.Equal(t, 1, disk.records(), "what was refused is the sender's, not stored")
		require.NoError(t, p.Shutdown(t.Context()), "nothing is lost, so it is no error")
		assert.Equal(t, 1, disk.records())
		next.fail(nil)
		p = launch(t, componenttest.NewTelemetry(), config(stored), next, host)
		require.NoError(t, p.Shutdown(t.Context()))
		assert.Len(t, next.spans, 1)
		assert.Zero(t, disk.records())
	})
}

func TestWithoutStorageNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &memory{values: map[string][]byte{}}
		tel := componenttest.NewTelemetry()
		next := &sink{}
		p := launch(t, tel, config(stored), next, extensionHost{storageID: disk})
		disk.mu.Lock()
		disk.err = storage.ErrStorageFull
		disk.mu.Unlock()
		require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(1)))
		require.Len(t, next.spans, 1, "what cannot be stored is not held")
		metadatatest.AssertEqualProcessorMeshSpanPairingStorageFailures(t, tel,
			[]metricdata.DataPoint[int64]{{Value: 1, Attributes: set("operation", "write")}}, ignoreTime)
		metadatatest.AssertEqualProcessorMeshSpanPairingUnheldSpans(t, tel,
			[]metricdata.DataPoint[int64]{{Value: 1, Attributes: set("reason", "storage")}}, ignoreTime)
		metadatatest.AssertEqualProcessorMeshSpanPairingHeldSpans(t, tel, []metricdata.DataPoint[int64]{{Value: 0}}, ignoreTime)
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

func TestUnreadableRecordsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &memory{values: map[string][]byte{}}
		host := extensionHost{storageID: disk}
		p := launch(t, componenttest.NewTelemetry(), config(stored), &sink{}, host)
		for n := range uint64(3) {
			require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(n)))
		}
		broken := disk.copied()
		require.NoError(t, p.Shutdown(t.Context()))
		broken.values[recordKey(0)] = []byte("not spans")
		tel := componenttest.NewTelemetry()
		next := &sink{}
		p = launch(t, tel, config(stored), next, extensionHost{storageID: broken})
		metadatatest.AssertEqualProcessorMeshSpanPairingStorageFailures(t, tel,
			[]metricdata.DataPoint[int64]{{Value: 1, Attributes: set("operation", "read")}}, ignoreTime)
		again := broken.copied()
		require.NoError(t, p.Shutdown(t.Context()))
		assert.Len(t, next.spans, 2)
		p = launch(t, componenttest.NewTelemetry(), config(stored), next, extensionHost{storageID: again})
		require.NoError(t, p.Shutdown(t.Context()))
		assert.Len(t, next.spans, 4, "a record that is not readable does not hide the others at the next crash")
	})
}

func TestStorageThatIsNone(t *testing.T) {
	for name, tt := range map[string]struct {
		host component.Host
		want string
	}{
		"missing":      {extensionHost{}, `'storage': no extension "file_storage"; define it under extensions and list it under service::extensions`},
		"another kind": {extensionHost{storageID: extensionHostComponent{}}, `'storage': extension "file_storage" stores nothing: write the id of a storage extension, such as file_storage`},
		"broken":       {extensionHost{storageID: &memory{err: errors.New("broken")}}, "'storage': broken"},
	} {
		p, err := NewFactory().CreateTraces(t.Context(), metadatatest.NewSettings(componenttest.NewTelemetry()), config(stored), &sink{})
		require.NoError(t, err)
		require.EqualError(t, p.Start(t.Context(), tt.host), tt.want, name)
		require.NoError(t, p.Shutdown(t.Context()))
	}
}

type extensionHostComponent struct{ component.Component }

func openFileStorage(t *testing.T, dir string) (extension.Extension, component.Host) {
	t.Helper()
	f := filestorage.NewFactory()
	cfg := f.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = dir
	ext, err := f.Create(context.Background(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(context.Background(), componenttest.NewNopHost()))
	return ext, extensionHost{storageID: ext}
}

const killedDirectory = "MESH_SPAN_PAIRING_KILLED_DIRECTORY"

// TestKilledCollector is the collector that TestSurvivesSIGKILL kills; by itself it does nothing.
func TestKilledCollector(t *testing.T) {
	dir := os.Getenv(killedDirectory)
	if dir == "" {
		return
	}
	_, host := openFileStorage(t, dir)
	p := launch(t, componenttest.NewTelemetry(), config(stored, func(c *Config) { c.Wait = time.Minute }), &sink{}, host)
	require.NoError(t, p.ConsumeTraces(context.Background(), clientTraces(1)))
	_, _ = os.Stdout.WriteString("taken\n")
	select {}
}

func TestSurvivesSIGKILL(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "storage")
	require.NoError(t, os.Mkdir(dir, 0o700))
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledCollector$")
	cmd.Env = append(os.Environ(), killedDirectory+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.NoError(t, err)
	require.Equal(t, "taken\n", line)

	ext, host := openFileStorage(t, dir)
	next := &sink{}
	p := launch(t, componenttest.NewTelemetry(), config(stored), next, host)
	require.NoError(t, p.ConsumeTraces(t.Context(), serverTraces(1)))
	require.NoError(t, p.Shutdown(t.Context()))
	requirePaired(t, next)
	require.NoError(t, ext.Shutdown(t.Context()))
}
