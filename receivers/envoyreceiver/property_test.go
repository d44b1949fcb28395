// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/static"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
)

type heldTopology struct {
	component.StartFunc
	component.ShutdownFunc
	topology.Store
}

type topologyHost struct{ held *heldTopology }

func (h topologyHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("mesh_topology"): h.held}
}

func newTopologyHost(t *testing.T) topologyHost {
	data, err := os.ReadFile("../../processors/meshtopologyprocessor/testdata/topology.yaml")
	require.NoError(t, err)
	snapshot, err := static.Parse(data, topology.Limits{}, time.Unix(0, 0))
	require.NoError(t, err)
	held := &heldTopology{}
	held.Set(snapshot)
	return topologyHost{held}
}

// pipeline is a chain of processors that ends in a sink.
type pipeline struct {
	first consumer.Logs
	sink  *consumertest.LogsSink
}

func newPipeline(t *testing.T, host component.Host, factories ...processor.Factory) *pipeline {
	p := &pipeline{sink: new(consumertest.LogsSink)}
	p.first = p.sink
	for _, factory := range slices.Backward(factories) {
		made, err := factory.CreateLogs(t.Context(), processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), p.first)
		require.NoError(t, err)
		require.NoError(t, made.Start(t.Context(), host))
		t.Cleanup(func() { require.NoError(t, made.Shutdown(t.Context())) })
		p.first = made
	}
	return p
}

// outcome is all that a record says in the end.
type outcome struct {
	attributes      map[string]any
	event, severity string
	time            time.Time
}

func (p *pipeline) run(t *testing.T, ld plog.Logs) outcome {
	in := plog.NewLogs()
	ld.CopyTo(in)
	p.sink.Reset()
	require.NoError(t, p.first.ConsumeLogs(t.Context(), in))
	record := p.sink.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	return outcome{record.Attributes().AsRaw(), record.EventName(), record.SeverityText(), record.Timestamp().AsTime()}
}

// onlyText is what the access log service has no field for.
var onlyText = []string{"envoy.timing.upstream_service_ms"}

// TestEveryEncodingTellsTheSame makes up calls and sends each over the access log service, as OTLP text, with labels, and as
// JSON: the schema's attributes and the facts of the mesh are the same, whichever processor comes first.
func TestEveryEncodingTellsTheSame(t *testing.T) {
	host := newTopologyHost(t)
	topologyFirst := newPipeline(t, host, meshtopologyprocessor.NewFactory(), envoysemconvprocessor.NewFactory())
	semconvFirst := newPipeline(t, host, envoysemconvprocessor.NewFactory(), meshtopologyprocessor.NewFactory())
	// An agent and a hub, with both processors each.
	twice := newPipeline(t, host, meshtopologyprocessor.NewFactory(), envoysemconvprocessor.NewFactory(),
		meshtopologyprocessor.NewFactory(), envoysemconvprocessor.NewFactory())
	r, sinks := newTestReceiver(t, componenttest.NewTelemetry(), nil)
	random := rand.New(rand.NewPCG(6, 4)) // repeatable on purpose
	for range 400 {
		c := randomCall(random)
		sinks.logs.Reset()
		require.NoError(t, newLogsHandler(r, newDelivery(r, signalLogs, t.Context())).handle(c.als(t)))
		als := sinks.logs.AllLogs()[0]
		want := topologyFirst.run(t, als)
		require.NotEmpty(t, want.attributes["mesh.resolution.source"])
		for _, p := range []*pipeline{semconvFirst, twice} {
			require.Equal(t, want, p.run(t, als), "%v", c)
		}
		for _, name := range slices.Sorted(maps.Keys(encodings)) {
			ld := c.otlp(encodings[name])
			for order, p := range map[string]*pipeline{"topology first": topologyFirst, "semconv first": semconvFirst, "twice": twice} {
				compare(t, want, p.run(t, ld), name == "text")
				if t.Failed() {
					t.Fatalf("%s, %s: %s of %s", name, order, c.text(), c.reporter)
				}
			}
		}
	}
}

// compare holds a record against the one of the access log service. A line of text has no identity in it, so there it may
// say less, and nothing else.
func compare(t *testing.T, want, got outcome, mayLack bool) {
	t.Helper()
	assert.Equal(t, want.event, got.event)
	assert.Equal(t, want.severity, got.severity)
	assert.Equal(t, want.time, got.time)
	for _, key := range slices.Sorted(maps.Keys(got.attributes)) {
		noHost := key == "upstream_host" && (got.attributes[key] == "-" || got.attributes[key] == nil)
		if _, ok := want.attributes[key]; !ok && !slices.Contains(onlyText, key) && !noHost {
			assert.Fail(t, "the access log service does not say", "%s=%v", key, got.attributes[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want.attributes)) {
		value, ok := got.attributes[key]
		switch {
		case key == "mesh.tls":
			// The access log service tells all there is of TLS; elsewhere its silence means nothing.
			assert.True(t, value == want.attributes[key] || (value == "unknown" && (mayLack || want.attributes[key] == "none")),
				"mesh.tls is %v, not %v", value, want.attributes[key])
		case strings.HasPrefix(key, "mesh.resolution."):
			compareResolution(t, key, want.attributes[key].(string), value.(string), mayLack)
		case !ok && mayLack && (key == "envoy.tls.peer.san" || strings.HasPrefix(key, "mesh.source.")):
		case !ok && mayLack && key == "mesh.traffic.cross_cluster":
		case mayLack && key == "mesh.traffic.locality" && value == "unknown":
		default:
			assert.Equal(t, want.attributes[key], value, key)
		}
	}
}

// compareResolution lets the near end be told by the node's own metadata in the one and by the pod's name in the other.
func compareResolution(t *testing.T, key, want, got string, mayLack bool) {
	t.Helper()
	unknown := func(s string) bool { return strings.HasPrefix(s, "unknown:") }
	switch {
	case want == got:
	case mayLack && unknown(got):
	case mayLack && want == "trust_domain":
	default:
		assert.False(t, unknown(want) || unknown(got), "%s is %s, not %s", key, got, want)
	}
}

// TestRecordedCallsTellTheSame does so with what real Envoys sent over OTLP: the line alone, the labels alone, both, and the
// labels as JSON.
func TestRecordedCallsTellTheSame(t *testing.T) {
	host := newTopologyHost(t)
	pipelines := map[string]*pipeline{
		"topology first": newPipeline(t, host, meshtopologyprocessor.NewFactory(), envoysemconvprocessor.NewFactory()),
		"semconv first":  newPipeline(t, host, envoysemconvprocessor.NewFactory(), meshtopologyprocessor.NewFactory()),
	}
	files, err := filepath.Glob("../../test/recordings/testdata/access-logs/otlp-*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		// The ids are blanked, to what is none.
		data = []byte(strings.NewReplacer(`"spanId": "01",`, "", `"traceId": "01"`, `"flags": 0`).Replace(string(data)))
		both, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(data)
		require.NoError(t, err)
		edit := func(change func(plog.LogRecord)) plog.Logs {
			ld := plog.NewLogs()
			both.CopyTo(ld)
			change(ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0))
			return ld
		}
		// Who the proxy is, and the tags for mesh_topology, are no operators of the line.
		ours := func(key string, _ pcommon.Value) bool {
			return strings.HasPrefix(key, "k8s.") || strings.HasPrefix(key, "mesh.")
		}
		variants := map[string]plog.Logs{
			"line": edit(func(r plog.LogRecord) {
				r.Attributes().RemoveIf(func(key string, v pcommon.Value) bool { return !ours(key, v) })
			}),
			"labels": edit(func(r plog.LogRecord) { r.Body().SetStr("") }),
			"JSON": edit(func(r plog.LogRecord) {
				text, err := json.Marshal(r.Attributes().AsRaw())
				require.NoError(t, err)
				r.Body().SetStr(string(text))
				r.Attributes().RemoveIf(func(key string, v pcommon.Value) bool { return !ours(key, v) })
			}),
		}
		for order, p := range pipelines {
			want := p.run(t, both)
			assert.Equal(t, "envoy.access", want.event)
			assert.Equal(t, "mutual", want.attributes["mesh.tls"])
			for name, ld := range variants {
				assert.Equal(t, want, p.run(t, ld), "%s %s %s", file, order, name)
			}
		}
	}
}

// TestZtunnelTellsTheSameInEveryOrder does so with the cases of ztunnel's log: translated or not, at an agent or at a hub
// behind it, a connection has the same ends.
func TestZtunnelTellsTheSameInEveryOrder(t *testing.T) {
	host := newTopologyHost(t)
	topologyFirst := newPipeline(t, host, meshtopologyprocessor.NewFactory(), envoysemconvprocessor.NewFactory())
	others := map[string]*pipeline{
		"semconv first": newPipeline(t, host, envoysemconvprocessor.NewFactory(), meshtopologyprocessor.NewFactory()),
		"twice": newPipeline(t, host, meshtopologyprocessor.NewFactory(), envoysemconvprocessor.NewFactory(),
			meshtopologyprocessor.NewFactory(), envoysemconvprocessor.NewFactory()),
	}
	input, err := golden.ReadLogs("../../processors/meshtopologyprocessor/testdata/log_ztunnel/input.yaml")
	require.NoError(t, err)
	all := input.ResourceLogs().At(0)
	logged := 0
	for i, record := range all.ScopeLogs().At(0).LogRecords().All() {
		one := plog.NewLogs()
		rl := one.ResourceLogs().AppendEmpty()
		all.Resource().CopyTo(rl.Resource())
		record.CopyTo(rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
		want := topologyFirst.run(t, one)
		for order, p := range others {
			assert.Equal(t, want, p.run(t, one), "record %d, %s", i, order)
		}
		if want.event == "ztunnel.access" {
			logged++
		}
	}
	assert.Greater(t, logged, 10)
}
