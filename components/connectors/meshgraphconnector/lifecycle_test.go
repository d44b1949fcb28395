// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/metadatatest"
)

// all are the four connectors of one id, as the collector makes them.
type all struct {
	t       *testing.T
	metrics []connector.Metrics
	traces  []connector.Traces
	// pairs are all of them, in the order metrics→metrics, metrics→logs, traces→metrics, traces→logs.
	pairs []component.Component
}

func connect(t *testing.T, factory connector.Factory, set connector.Settings, config *Config, to *sink) *all {
	t.Helper()
	ctx := context.Background()
	var errs [4]error
	var m [2]connector.Metrics
	var s [2]connector.Traces
	m[0], errs[0] = factory.CreateMetricsToMetrics(ctx, set, config, to)
	m[1], errs[1] = factory.CreateMetricsToLogs(ctx, set, config, to)
	s[0], errs[2] = factory.CreateTracesToMetrics(ctx, set, config, to)
	s[1], errs[3] = factory.CreateTracesToLogs(ctx, set, config, to)
	for _, err := range errs {
		require.NoError(t, err)
	}
	return &all{t: t, metrics: m[:], traces: s[:], pairs: []component.Component{m[0], m[1], s[0], s[1]}}
}

func (a *all) start(host component.Host) {
	a.t.Helper()
	for _, p := range a.pairs {
		require.NoError(a.t, p.Start(context.Background(), host))
	}
}

// consume hands the same metrics to all that take metrics, as the collector does.
func (a *all) consume(md pmetric.Metrics) {
	a.t.Helper()
	md.MarkReadOnly()
	for _, p := range a.metrics {
		require.NoError(a.t, p.ConsumeMetrics(context.Background(), md))
	}
}

func (a *all) shutdown() {
	a.t.Helper()
	for _, p := range a.pairs {
		require.NoError(a.t, p.Shutdown(context.Background()))
	}
}

func settings() connector.Settings { return connectortest.NewNopSettings(metadata.Type) }

func TestPairsShareOneGraphAndCountOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newSink()
		a := connect(t, NewFactory(), settings(), testConfig(""), to)
		a.start(componenttest.NewNopHost())
		a.consume(request(time.Now(), 1, theCall().with(func(c *call) { c.requests = 5 })))
		time.Sleep(61 * time.Second)
		synctest.Wait()
		assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 5}, to.taken())
		before := len(to.batches())
		time.Sleep(61 * time.Second)
		synctest.Wait()
		assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 5}, to.taken(), "told once")
		assert.Empty(t, edgeMetrics(to.batches()[before:]), "nothing happened, nothing is told")
		a.shutdown()
	})
}

func edgeMetrics(list []pmetric.Metrics) (names []string) {
	for _, md := range list {
		for _, rm := range md.ResourceMetrics().All() {
			for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
				if m.Name() == "mesh.edge.requests" {
					names = append(names, m.Name())
				}
			}
		}
	}
	return names
}

// closing is what comes after the connector, which the collector closes once no pair that it is behind is left.
type closing struct {
	*sink
	t      *testing.T
	closed map[string]bool
}

func (c *closing) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	assert.False(c.t, c.closed[signalMetrics], "metrics for a component that is closed")
	return c.sink.ConsumeMetrics(ctx, md)
}

// TestShutdownHandsOnInAnyOrder goes through all orders in which the collector may end the pairs.
func TestShutdownHandsOnInAnyOrder(t *testing.T) {
	for _, order := range orders(4) {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				to := &closing{sink: newSink(), t: t, closed: map[string]bool{}}
				a := connectTo(t, testConfig(t.TempDir()), to)
				a.start(componenttest.NewNopHost())
				a.consume(request(time.Now(), 1, theCall()))
				for i, n := range order {
					require.NoError(t, a.pairs[n].Shutdown(context.Background()))
					left := order[i+1:]
					to.closed[signalMetrics] = !slices.Contains(left, 0) && !slices.Contains(left, 2)
				}
				assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 1}, to.taken())
			})
		})
	}
}

func connectTo(t *testing.T, config *Config, to *closing) *all {
	t.Helper()
	a := connect(t, NewFactory(), settings(), config, to.sink)
	for _, p := range a.pairs {
		p.(*pair).graph.sender.metrics = to
	}
	return a
}

func orders(n int) (all [][]int) {
	if n == 0 {
		return [][]int{{}}
	}
	for _, rest := range orders(n - 1) {
		for at := range n {
			o := append([]int(nil), rest[:at]...)
			all = append(all, append(append(o, n-1), rest[at:]...))
		}
	}
	return all
}

func TestARestartGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config, to, factory := testConfig(t.TempDir()), newSink(), NewFactory()
		refusing := true
		to.refuse = func() bool { return refusing }
		a := connect(t, factory, settings(), config, to)
		a.start(componenttest.NewNopHost())
		md := request(time.Now(), 1, theCall())
		a.consume(md)
		a.shutdown()
		assert.Empty(t, to.taken())

		refusing = false
		time.Sleep(10 * time.Minute)
		a = connect(t, factory, settings(), config, to)
		a.start(componenttest.NewNopHost())
		a.consume(md)
		a.consume(request(time.Now(), 2, theCall()))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 2}, to.taken(), "what was refused before, and what came since")
		a.shutdown()
	})
}

func TestWhatIsRefusedIsKeptAndToldTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newSink()
		refusing := true
		to.refuse = func() bool { return refusing }
		telemetry := componenttest.NewTelemetry()
		set := settings()
		set.TelemetrySettings = telemetry.NewTelemetrySettings()
		a := connect(t, NewFactory(), set, testConfig(""), to)
		a.start(componenttest.NewNopHost())
		for n := range 30 {
			a.consume(request(time.Now(), n, theCall()))
			time.Sleep(time.Minute)
		}
		to.mu.Lock()
		refusing = false
		to.mu.Unlock()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 30}, to.taken(), "at the next interval, without waiting for a minute")
		got, err := telemetry.GetMetric("otelcol_connector_mesh_graph_handed_on")
		require.NoError(t, err)
		assert.NotNil(t, got)
		a.shutdown()
		require.NoError(t, telemetry.Shutdown(context.Background()))
	})
}

func TestWhatNobodyKeepsIsCounted(t *testing.T) {
	to := newSink()
	to.refuse = func() bool { return true }
	p := start(t, testConfig(""), to, begin)
	p.takeMetrics(request(begin, 1, theCall()), begin)
	p.step(begin.Add(4*time.Second), true)
	p.shut(begin.Add(8 * time.Second))
	metadatatest.AssertEqualConnectorMeshGraphLostEdges(t, p.telemetry, number(1), ignoreTime)
}

func TestADiskThatRefusesStopsNothing(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "graph")
	to := newSink()
	p := start(t, testConfig(directory), to, begin)
	// The name of the next file is taken by something else, 16 times over.
	require.NoError(t, os.RemoveAll(directory))
	p.takeMetrics(request(begin, 1, theCall()), begin)
	p.step(begin.Add(4*time.Second), true)
	assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 1}, to.taken(), "it counts and tells all the same")
	metadatatest.AssertEqualConnectorMeshGraphUnjournaledPoints(t, p.telemetry, number(1), ignoreTime)
	metadatatest.AssertEqualConnectorMeshGraphStateSaves(t, p.telemetry, by("outcome", map[string]int64{"success": 1, "failure": 1}), ignoreTime)

	require.NoError(t, os.Mkdir(directory, 0o700))
	p.step(begin.Add(8*time.Second), false)
	metadatatest.AssertEqualConnectorMeshGraphStateSaves(t, p.telemetry, by("outcome", map[string]int64{"success": 2, "failure": 1}), ignoreTime)
	assert.Zero(t, p.holes, "the state has what the journal lacks")
	p.kill()

	again := start(t, testConfig(directory), to, begin.Add(time.Minute))
	again.takeMetrics(request(begin, 1, theCall()), begin.Add(time.Minute))
	again.step(begin.Add(64*time.Second), true)
	assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 1}, to.taken())
	again.kill()
}

// TestALongJournalIsCutEarly prevents that a busy hub has to replay for minutes, or fills its disk.
func TestALongJournalIsCutEarly(t *testing.T) {
	config := testConfig(t.TempDir())
	config.MaxJournalMiB = 1
	p := start(t, config, newSink(), begin)
	now, most := begin, int64(0)
	for n := range 300 {
		var calls []call
		for i := range 100 {
			calls = append(calls, theCall().with(func(c *call) { c.from = fmt.Sprintf("w%d-%d", n%50, i) }))
		}
		p.takeMetrics(request(now, n, calls...), now)
		now = now.Add(4 * time.Second)
		p.step(now, false)
		most = max(most, p.directory.Size())
	}
	assert.Less(t, most, int64(600<<10))
	metadatatest.AssertEqualConnectorMeshGraphPoints(t, p.telemetry, pointsBy(map[string]int64{"taken": 30_000}), ignoreTime)
	_, err := p.telemetry.GetMetric("otelcol_connector_mesh_graph_unjournaled_points")
	assert.Error(t, err, "nothing was missed")
	p.kill()
}

func TestADamagedStateIsToldAndTheJournalCounts(t *testing.T) {
	config, to := testConfig(t.TempDir()), newSink()
	p := start(t, config, to, begin)
	p.takeMetrics(request(begin, 1, theCall()), begin)
	p.kill()
	path := filepath.Join(config.Directory, "state")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	raw[len(raw)/3] ^= 4
	require.NoError(t, os.WriteFile(path, raw, 0o600))

	p = start(t, config, to, begin.Add(time.Minute))
	p.step(begin.Add(64*time.Second), true)
	assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 1}, to.taken())
	metadatatest.AssertEqualConnectorMeshGraphStateLoads(t, p.telemetry, by("outcome", map[string]int64{"failure": 1}), ignoreTime)
	metadatatest.AssertEqualConnectorMeshGraphReplayedPoints(t, p.telemetry, number(1), ignoreTime)
	assert.FileExists(t, path+".damaged")
	p.kill()
}

type extensionHost struct {
	extensions map[component.ID]component.Component
}

func (h extensionHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

func TestWhatCannotStartSaysWhatToWrite(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	other := component.MustNewID("other")
	host := extensionHost{map[component.ID]component.Component{other: nil}}
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"no extension":  {func(c *Config) { c.Topology = component.MustNewID("mesh_topology") }, `'topology' names "mesh_topology", which is no extension`},
		"another one":   {func(c *Config) { c.Topology = other }, `'topology' names "other", which is no mesh_topology extension`},
		"no directory":  {func(c *Config) { c.Directory = filepath.Join(file, "graph") }, "'directory'"},
		"port is taken": {func(c *Config) { c.Admin.Endpoint = taken.Addr().String() }, "'admin::endpoint'"},
	} {
		t.Run(name, func(t *testing.T) {
			config := testConfig("")
			c.change(config)
			a := connect(t, NewFactory(), settings(), config, newSink())
			for _, p := range a.pairs {
				require.ErrorContains(t, p.Start(context.Background(), host), c.says)
			}
			a.shutdown()
		})
	}
}

// TestOneConnectorHasTheDirectory prevents that two connectors, which know nothing of each other, write over one another's state.
func TestOneConnectorHasTheDirectory(t *testing.T) {
	config, factory := testConfig(t.TempDir()), NewFactory()
	one := connect(t, factory, settings(), config, newSink())
	one.start(componenttest.NewNopHost())
	set := settings()
	set.ID = component.MustNewIDWithName("mesh_graph", "other")
	other := connect(t, factory, set, config, newSink())
	for _, p := range other.pairs {
		require.ErrorContains(t, p.Start(context.Background(), componenttest.NewNopHost()), "'directory' "+config.Directory+
			" is in use by another collector, or by another component of this one: give each hub, and each mesh_graph of another name, a directory of its own")
	}
	other.shutdown()
	one.shutdown()

	other = connect(t, factory, set, config, newSink())
	other.start(componenttest.NewNopHost())
	other.shutdown()
}

func TestTheGraphIsServedOnTheLoopback(t *testing.T) {
	config := testConfig("")
	config.Admin.Endpoint = "127.0.0.1:0"
	telemetry := componenttest.NewTelemetry()
	set := settings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	a := connect(t, NewFactory(), set, config, newSink())
	a.start(componenttest.NewNopHost())
	g := a.pairs[0].(*pair).graph
	for path, status := range map[string]int{
		"/api/v1/graph": 200, "/api/v1/failovers": 200, "/api/v1/cost": 200, "/api/v1/posture": 200, "/api/v1/control-planes": 200, "/elsewhere": 404,
	} {
		answer, err := http.Get("http://" + g.addresses[0].String() + path)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		assert.Equal(t, status, answer.StatusCode, "%s: %s", path, body)
	}
	metadatatest.AssertEqualConnectorMeshGraphAdminRequests(t, telemetry, by("status_class", map[string]int64{"2xx": 5, "4xx": 1}), ignoreTime)
	a.shutdown()
	http.DefaultClient.CloseIdleConnections()
	require.NoError(t, telemetry.Shutdown(context.Background()))
}

func TestSpansAreExamplesOfKnownEdges(t *testing.T) {
	p := start(t, testConfig(""), newSink(), begin)
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetKind(ptrace.SpanKindInternal)
	p.takeTraces(td)
	metadatatest.AssertEqualConnectorMeshGraphSpans(t, p.telemetry, by("outcome", map[string]int64{"not_call": 1}), ignoreTime)
}

var _ consumer.Metrics = (*closing)(nil)
