// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/queuestorageextension/internal/metadata"
)

var (
	storageID  = component.MustNewID("queue_storage")
	exporterID = component.MustNewIDWithName("otlp_grpc", "hub")
	wait       = 10 * time.Second
)

// queueFile is the name of the file of the exporter's queue.
const queueFile = "exporter_otlp_grpc_hub_traces"

func config(dir string, change ...func(*Config)) *Config {
	c := createDefaultConfig().(*Config)
	c.Directory, c.MinFreeMiB, c.ReserveMiB = dir, 0, 1
	for _, f := range change {
		f(c)
	}
	return c
}

// ours starts the extension.
func ours(t testing.TB, tel *componenttest.Telemetry, c *Config) *queueStorage {
	t.Helper()
	set := extensiontest.NewNopSettings(metadata.Type)
	if tel != nil {
		set.TelemetrySettings = tel.NewTelemetrySettings()
	}
	set.Logger = zap.NewNop()
	s, err := newQueueStorage(set, c)
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context(), nil))
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.Background())) })
	return s
}

// upstream starts file_storage, with what it offers against damage.
func upstream(t testing.TB, dir string) storage.Extension {
	t.Helper()
	factory := filestorage.NewFactory()
	c := factory.CreateDefaultConfig().(*filestorage.Config)
	c.Directory, c.CreateDirectory, c.Recreate = dir, true, true
	require.NoError(t, c.Validate())
	s, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), c)
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context(), nil))
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.Background())) })
	return s.(storage.Extension)
}

type extensionHost struct {
	component.Host
	extension component.Component
}

func (h extensionHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{storageID: h.extension}
}

// backend takes what the exporter sends. Each request has one span, whose name says which it is.
type backend struct {
	mu   sync.Mutex
	down bool
	got  map[string]int
	// asked counts attempts.
	asked int
}

func newBackend(down bool) *backend {
	return &backend{down: down, got: map[string]int{}}
}

func (b *backend) push(_ context.Context, td ptrace.Traces) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.down {
		return errors.New("down")
	}
	for i := range td.ResourceSpans().Len() {
		b.got[td.ResourceSpans().At(i).ScopeSpans().At(0).Spans().At(0).Name()]++
	}
	return nil
}

func (b *backend) names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make([]string, 0, len(b.got))
	for name := range b.got {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (b *backend) attempts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

func request(name string) ptrace.Traces {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName(name)
	return td
}

// newExporter starts an exporter whose queue is in the storage.
func newExporter(t testing.TB, s component.Component, b *backend, consumers int) exporter.Traces {
	t.Helper()
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.StorageID, queue.NumConsumers, queue.QueueSize = &storageID, consumers, 1_000_000
	queue.Batch = configoptional.None[exporterhelper.BatchConfig]()
	retry := configretry.NewDefaultBackOffConfig()
	retry.MaxElapsedTime = 0
	set := exportertest.NewNopSettings(exporterID.Type())
	set.ID = exporterID
	e, err := exporterhelper.NewTraces(t.Context(), set, &struct{}{}, b.push, exporterhelper.WithRetry(retry), exporterhelper.WithQueue(configoptional.Some(queue)))
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), extensionHost{extension: s}))
	return e
}

// queueClient opens the storage of the exporter's queue as the queue would.
func queueClient(t testing.TB, s storage.Extension) storage.Client {
	t.Helper()
	c, err := s.GetClient(t.Context(), component.KindExporter, exporterID, pipeline.SignalTraces.String())
	require.NoError(t, err)
	return c
}

// edit changes a closed file behind the storage's back.
func edit(t testing.TB, dir string, change func(*bbolt.Bucket) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, queueFile), 0o600, &bbolt.Options{Timeout: time.Second, NoFreelistSync: true})
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket(valuesBucket)) }))
	require.NoError(t, db.Close())
}

// counted is the value of a counter or gauge, summed over the points that have all of the given attributes.
func counted(t testing.TB, tel *componenttest.Telemetry, name string, with ...attribute.KeyValue) int64 {
	t.Helper()
	m, err := tel.GetMetric("otelcol_extension_queue_storage_" + name)
	if err != nil {
		return 0
	}
	var points []metricdata.DataPoint[int64]
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	}
	var total int64
	for _, p := range points {
		matches := true
		for _, a := range with {
			v, ok := p.Attributes.Value(a.Key)
			matches = matches && ok && v == a.Value
		}
		if matches {
			total += p.Value
		}
	}
	return total
}

func reason(word string) attribute.KeyValue { return attribute.String("reason", word) }
