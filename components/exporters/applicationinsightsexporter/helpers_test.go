// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

const patience = 20 * time.Second

// keys are settings, as in YAML.
type keys map[string]any

// quick are pauses that tests have time for.
var quick = keys{
	"retry_on_failure": keys{"initial_interval": "5ms", "max_interval": "20ms"},
	"pauses":           keys{"quota": "20ms", "hold": "20ms"},
	"sending_queue":    keys{"batch": keys{"flush_timeout": "5ms", "min_size": 1}},
}

func plain(value any) any {
	if k, ok := value.(keys); ok {
		m := map[string]any{}
		for name, v := range k {
			m[name] = plain(v)
		}
		return m
	}
	if l, ok := value.([]keys); ok {
		var list []any
		for _, one := range l {
			list = append(list, plain(one))
		}
		return list
	}
	return value
}

// config returns the default configuration with the settings over it.
func config(tb testing.TB, settings ...keys) *Config {
	tb.Helper()
	cfg, err := configOf(tb, settings...)
	require.NoError(tb, err)
	return cfg
}

// running is an exporter of all three signals.
type running struct {
	logged  *observer.ObservedLogs
	tel     *componenttest.Telemetry
	factory exporter.Factory
	traces  exporter.Traces
	logs    exporter.Logs
	metrics exporter.Metrics
	stopped bool
}

var exporterID = component.MustNewIDWithName("application_insights", "test")

func create(tb testing.TB, cfg *Config) *running {
	tb.Helper()
	r := &running{tel: componenttest.NewTelemetry(), factory: NewFactory()}
	set := exportertest.NewNopSettings(r.factory.Type())
	set.ID = exporterID
	set.TelemetrySettings = r.tel.NewTelemetrySettings()
	var core zapcore.Core
	core, r.logged = observer.New(zapcore.InfoLevel)
	set.Logger = zap.New(core)
	set.BuildInfo = component.BuildInfo{Command: "otelcol-mesh", Version: "1.2.3"}
	var err error
	r.traces, err = r.factory.CreateTraces(tb.Context(), set, cfg)
	require.NoError(tb, err)
	r.logs, err = r.factory.CreateLogs(tb.Context(), set, cfg)
	require.NoError(tb, err)
	r.metrics, err = r.factory.CreateMetrics(tb.Context(), set, cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { r.stop(tb) })
	return r
}

func start(tb testing.TB, cfg *Config, extensions ...*disk) *running {
	tb.Helper()
	r := create(tb, cfg)
	host := newHost(extensions...)
	for _, c := range r.components() {
		require.NoError(tb, c.Start(tb.Context(), host))
	}
	return r
}

func (r *running) components() []component.Component {
	return []component.Component{r.traces, r.logs, r.metrics}
}

func (r *running) stop(tb testing.TB) {
	tb.Helper()
	if r.stopped {
		return
	}
	r.stopped = true
	for _, c := range r.components() {
		require.NoError(tb, c.Shutdown(context.Background()))
	}
}

// shared returns what the signals share.
func (r *running) shared() *shared { return r.traces.(*tracesExporter).shared }

// sum returns the value of a counter or gauge over all series that have the attributes, as name, value, name, value.
func (r *running) sum(tb testing.TB, name string, attributes ...string) int64 {
	tb.Helper()
	got, err := r.tel.GetMetric("otelcol_exporter_" + name)
	if err != nil {
		return 0
	}
	var points []metricdata.DataPoint[int64]
	switch data := got.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	default:
		require.Failf(tb, "metric", "%s is a %T", name, got.Data)
	}
	var sum int64
next:
	for _, p := range points {
		for i := 0; i < len(attributes); i += 2 {
			if v, ok := p.Attributes.Value(attribute.Key(attributes[i])); !ok || v.AsString() != attributes[i+1] {
				continue next
			}
		}
		sum += p.Value
	}
	return sum
}

// books are the counters by which every item is accounted for.
type books struct{ received, accepted, sampledOut, dead, lost int64 }

func (r *running) books(tb testing.TB) books {
	tb.Helper()
	const prefix = "application_insights_items_"
	return books{
		received: r.sum(tb, prefix+"received"), accepted: r.sum(tb, prefix+"accepted"), sampledOut: r.sum(tb, prefix+"sampled_out"),
		dead: r.sum(tb, prefix+"dead_lettered"), lost: r.sum(tb, prefix+"lost"),
	}
}

// settle waits until all items that came in are accounted for.
func (r *running) settle(tb testing.TB) books {
	tb.Helper()
	var b books
	require.Eventually(tb, func() bool {
		b = r.books(tb)
		return b.received == b.accepted+b.sampledOut+b.dead+b.lost
	}, patience, 5*time.Millisecond, "every item is accounted for")
	return b
}

// spans returns spans with the numbers from one up to another, each of one resource.
func spans(from, to int, resource ...string) ptrace.Traces {
	td := ptrace.NewTraces()
	addSpans(td, from, to, resource...)
	return td
}

func addSpans(td ptrace.Traces, from, to int, resource ...string) {
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	for i := 0; i < len(resource); i += 2 {
		rs.Resource().Attributes().PutStr(resource[i], resource[i+1])
	}
	list := rs.ScopeSpans().AppendEmpty().Spans()
	now := time.Now()
	for n := from; n < to; n++ {
		s := list.AppendEmpty()
		s.SetName(fmt.Sprint("span ", n))
		s.SetKind(ptrace.SpanKindServer)
		s.SetTraceID(pcommon.TraceID{1, 15: 1})
		var id pcommon.SpanID
		binary.BigEndian.PutUint64(id[:], uint64(n)+1)
		s.SetSpanID(id)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Millisecond)))
	}
}

// distinct returns how many different spans the endpoint has, and how many it got more than once.
func distinct(e *ingestiontest.Server) (unique, double int) {
	seen := map[string]int{}
	for _, i := range e.Items(ingestiontest.Filter{Type: "request"}) {
		seen[i.ID]++
	}
	for _, count := range seen {
		double += count - 1
	}
	return len(seen), double
}

// letters reads all dead letters of a directory.
func letters(tb testing.TB, directory string) []deadletter.Letter {
	tb.Helper()
	var all []deadletter.Letter
	files, err := deadletter.Files(directory)
	require.NoError(tb, err)
	for _, f := range files {
		raw, err := os.ReadFile(f.Path)
		require.NoError(tb, err)
		for line := range bytes.Lines(raw) {
			var l deadletter.Letter
			require.NoError(tb, json.Unmarshal(line, &l))
			all = append(all, l)
		}
	}
	return all
}

type testHost struct {
	extensions map[component.ID]component.Component
}

func newHost(disks ...*disk) testHost {
	h := testHost{extensions: map[component.ID]component.Component{}}
	for _, d := range disks {
		h.extensions[diskID] = d
	}
	return h
}

func (h testHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

var diskID = component.MustNewID("disk")

var onDisk = keys{"sending_queue": keys{"storage": "disk"}}

// disk is a storage extension whose content can be looked at, copied as a kill of the process would leave it, and damaged.
type disk struct {
	component.StartFunc
	component.ShutdownFunc
	mu      sync.Mutex
	clients map[string]map[string][]byte
	fail    error
}

func newDisk() *disk { return &disk{clients: map[string]map[string][]byte{}} }

var _ storage.Extension = (*disk)(nil)

func (d *disk) GetClient(_ context.Context, _ component.Kind, id component.ID, name string) (storage.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := id.String() + " " + name
	if d.clients[key] == nil {
		d.clients[key] = map[string][]byte{}
	}
	return &diskClient{disk: d, key: key}, nil
}

// kill returns what a new process finds after this one was killed.
func (d *disk) kill() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	other := newDisk()
	for key, content := range d.clients {
		other.clients[key] = maps.Clone(content)
	}
	return other
}

// setFail makes all operations fail from now on, or work again.
func (d *disk) setFail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

// each calls f with every stored batch and stores what it returns.
func (d *disk) each(f func([]byte) []byte) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	count := 0
	for _, content := range d.clients {
		for name, value := range content {
			if name != "qmv0" {
				content[name] = f(value)
				count++
			}
		}
	}
	return count
}

type diskClient struct {
	disk *disk
	key  string
}

func (c *diskClient) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.Batch(ctx, op)
	return op.Value, err
}

func (c *diskClient) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

func (c *diskClient) Delete(ctx context.Context, key string) error {
	return c.Batch(ctx, storage.DeleteOperation(key))
}

func (c *diskClient) Batch(_ context.Context, ops ...*storage.Operation) error {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	if c.disk.fail != nil {
		return c.disk.fail
	}
	content := c.disk.clients[c.key]
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = content[op.Key]
		case storage.Set:
			content[op.Key] = append([]byte(nil), op.Value...)
		case storage.Delete:
			delete(content, op.Key)
		}
	}
	return nil
}

func (c *diskClient) Close(context.Context) error { return nil }

// brokenLetters keeps nothing until it is mended.
type brokenLetters struct {
	mu    sync.Mutex
	store letterStore
	tries int
}

var errDisk = errors.New("the disk is full")

func (b *brokenLetters) Write(ctx context.Context, l []deadletter.Letter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries++
	if b.store == nil {
		return errDisk
	}
	return b.store.Write(ctx, l)
}

func (b *brokenLetters) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.store == nil {
		return nil
	}
	return b.store.Close()
}

// highest returns the highest value of a gauge.
func highest(tb testing.TB, m metricdata.Metrics) float64 {
	tb.Helper()
	data, ok := m.Data.(metricdata.Gauge[float64])
	require.True(tb, ok)
	value := 0.0
	for _, p := range data.DataPoints {
		value = max(value, p.Value)
	}
	return value
}

// configOf is like config, and returns the error of the validation.
func configOf(tb testing.TB, settings ...keys) (*Config, error) {
	tb.Helper()
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	for _, s := range settings {
		if err := confmap.NewFromStringMap(plain(s).(map[string]any)).Unmarshal(cfg); err != nil {
			return nil, err
		}
	}
	return cfg, confmap.Validate(cfg)
}
