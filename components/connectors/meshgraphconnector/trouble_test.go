// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/api"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/events"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/feed"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

// away takes the directory away from a process, with what it has open, until the function that it returns is called.
func (p *process) away() (back func()) {
	path := p.config.Directory
	require.NoError(p.t, p.directory.Close())
	require.NoError(p.t, os.Rename(path, path+".away"))
	return func() { require.NoError(p.t, os.Rename(path+".away", path)) }
}

// TestAMarkThatIsMissingIsMadeGoodByAState prevents that metrics that were taken are handed on again after a crash, because the
// disk was away when that was to be noted.
func TestAMarkThatIsMissingIsMadeGoodByAState(t *testing.T) {
	config, to := testConfig(filepath.Join(t.TempDir(), "graph")), newSink()
	p := start(t, config, to, begin)
	p.takeMetrics(request(begin, 1, theCall()), begin)
	p.tick(begin.Add(4*time.Second), true, false)
	back := p.away()
	p.sender.start(context.Background(), begin.Add(4*time.Second))
	p.sender.wait()
	back()
	require.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 1}, to.taken())
	p.step(begin.Add(8*time.Second), false)
	p.kill()

	p = start(t, config, to, begin.Add(time.Minute))
	p.step(begin.Add(64*time.Second), true)
	assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 1}, to.taken(), "handed on once")
	p.kill()
}

// fails lets a service fail over, with ejections as its evidence: they are in no journal, so nobody can find the event again. It returns
// a turn of the hub's loop; before is called before the first call moves.
func (p *process) fails(before func()) (turn func(save bool)) {
	now, n := begin, 0
	c := theCall().with(func(c *call) { c.requests = 100 })
	turn = func(save bool) {
		now, n = now.Add(4*time.Second), n+1
		p.takeMetrics(request(now, n, c), now)
		p.tick(now, false, save)
	}
	for range 60 {
		turn(true)
	}
	require.Empty(p.t, p.waiting)
	before()
	p.ejections.Add(&feed.Ejection{Caller: graph.Caller{Region: "westeurope"}, Namespace: "shop", Service: "cart", Hosts: 2}, now)
	c.toRegion = "northeurope"
	return turn
}

func quickLearner(directory string) *Config {
	config := testConfig(directory)
	config.Failover.Learn = time.Minute
	return config
}

func TestEventsOutliveAStateThatCannotBeWritten(t *testing.T) {
	config, to := quickLearner(t.TempDir()), newSink()
	p := start(t, config, to, begin)
	turn := p.fails(func() {
		require.NoError(t, os.Mkdir(filepath.Join(config.Directory, "state.tmp"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(config.Directory, "state.tmp", "full"), nil, 0o600))
	})
	for range 4 {
		turn(true)
	}
	require.Len(t, p.waiting, 1, "a failover began")
	want, err := json.Marshal(p.waiting)
	require.NoError(t, err)
	p.kill()

	p = start(t, config, to, begin.Add(5*time.Minute))
	got, err := json.Marshal(p.waiting)
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(got))
	p.kill()
}

// TestAFailoverLastsOverAKill has a hub that is killed long before the next state is due: another one has to know what lasts, to tell
// of its end.
func TestAFailoverLastsOverAKill(t *testing.T) {
	config, to := quickLearner(t.TempDir()), newSink()
	p := start(t, config, to, begin)
	turn := p.fails(func() {})
	for len(p.waiting) == 0 {
		turn(false)
	}
	turn(false)
	want := p.detector.Active()
	require.Len(t, want, 1)
	p.kill()

	p = start(t, config, to, begin.Add(5*time.Minute))
	got := p.detector.Active()
	require.Len(t, got, 1)
	assert.Equal(t, events.ID(&want[0]), events.ID(&got[0]))
	p.kill()
}

// TestCostsAreToldOnceWithoutTheirEdges has a state of which the part with the edges could not be read.
func TestCostsAreToldOnceWithoutTheirEdges(t *testing.T) {
	to := newSink()
	p := start(t, testConfig(""), to, begin)
	p.takeMetrics(request(begin, 1, theCall()), begin)
	p.tick(begin.Add(4*time.Second), true, false)
	p.unsent = nil
	p.sender.start(context.Background(), begin.Add(4*time.Second))
	p.sender.wait()
	assert.Nil(t, p.unsentCost, "it was taken")
}

// TestAClockThatWasSetBackWhileTheHubWasDown prevents a graph that stands still until the time of its state comes again.
func TestAClockThatWasSetBackWhileTheHubWasDown(t *testing.T) {
	for name, end := range map[string]func(*process){
		"killed":  (*process).kill,
		"stopped": func(p *process) { p.shut(begin.Add(5 * time.Second)) },
	} {
		t.Run(name, func(t *testing.T) {
			config, to := testConfig(t.TempDir()), newSink()
			p := start(t, config, to, begin)
			p.takeMetrics(request(begin, 1, theCall()), begin)
			p.step(begin.Add(4*time.Second), false)
			end(p)

			now := begin.Add(-time.Hour)
			p = start(t, config, to, now)
			p.takeMetrics(request(now, 2, theCall()), now)
			p.step(now.Add(4*time.Second), true)
			s := p.graph.Snapshot()
			assert.Equal(t, now.Add(4*time.Second), s.End.UTC())
			assert.Equal(t, 4*time.Second, s.End.Sub(s.Start))
			assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 2}, to.taken())
			p.kill()
		})
	}
}

// TestDroppedEventsAreToldBesideThoseThatWait prevents that the refusals of each interval hide that something is lost.
func TestDroppedEventsAreToldBesideThoseThatWait(t *testing.T) {
	p := start(t, testConfig(""), newSink(), begin)
	core, logs := observer.New(zapcore.WarnLevel)
	c := newCounter(p.count.telemetry, zap.New(core))
	c.handedOn(&part{signal: signalLogs, events: 1, err: errRefused})
	c.eventsDropped(1)
	assert.Equal(t, 1, logs.FilterMessageSnippet("Events of the graph were dropped").Len())
	c.journalFailed(errRefused)
	c.unjournaled(1, errRefused)
	assert.Equal(t, 1, logs.FilterMessageSnippet("Points were counted that could not be written").Len())
}

// TestHostileLatenciesSpoilNoDocument has numbers that JSON cannot write, or whose sum it cannot.
func TestHostileLatenciesSpoilNoDocument(t *testing.T) {
	p := start(t, testConfig(""), newSink(), begin)
	for n, sum := range []float64{math.MaxFloat64, math.MaxFloat64, math.Inf(1), 1} {
		md := request(begin, n, theCall())
		m := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
		attributes := m.Sum().DataPoints().At(0).Attributes()
		other := pmetric.NewMetric()
		other.SetName("istio_request_duration_milliseconds")
		h := other.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		dp := h.DataPoints().AppendEmpty()
		attributes.CopyTo(dp.Attributes())
		dp.SetTimestamp(m.Sum().DataPoints().At(0).Timestamp())
		dp.SetCount(1)
		dp.SetSum(sum)
		dp.SetMin(math.Inf(-1))
		dp.SetMax(math.Inf(1))
		dp.Positive().SetOffset(1 << 10)
		dp.Positive().BucketCounts().FromRaw([]uint64{1})
		other.CopyTo(m)
		p.takeMetrics(md, begin)
	}
	p.takeMetrics(request(begin, 9, theCall()), begin)
	p.step(begin.Add(4*time.Second), true)
	for _, h := range durations(p.sender.metrics.(*sink)) {
		assert.False(t, math.IsInf(h.Sum(), 0) || h.HasMin() && math.IsInf(h.Min(), 0), "who comes next may refuse it, again and again")
	}
	admin := api.Admin(p.sources())
	for _, path := range []string{"/api/v1/graph", "/api/v1/versions?namespace=shop&service=cart"} {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, r)
		assert.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
		assert.True(t, json.Valid(w.Body.Bytes()), path)
	}
}

func durations(s *sink) (points []pmetric.ExponentialHistogramDataPoint) {
	for _, md := range s.batches() {
		for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			if m.Name() == "mesh.edge.duration" {
				points = append(points, m.ExponentialHistogram().DataPoints().At(0))
			}
		}
	}
	return points
}

func TestAnalysisNeedsAnEndpoint(t *testing.T) {
	config := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"analysis": map[string]any{}}).Unmarshal(config))
	require.True(t, config.Analysis.HasValue())
	assert.ErrorContains(t, config.Validate(), "'analysis::endpoint' is missing: write")
}

// TestWhatWaitsHasACeilingThatShows has more edges in a minute than the graph may have: those of before expired.
func TestWhatWaitsHasACeilingThatShows(t *testing.T) {
	config := testConfig("")
	config.MaxEdges = 1
	p := start(t, config, newSink(), begin)
	p.takeMetrics(request(begin, 1, theCall()), begin)
	p.tick(begin.Add(4*time.Second), false, false)
	p.graph = emptied(t, p, begin.Add(4*time.Second))
	p.takeMetrics(request(begin, 2, theCall().with(func(c *call) { c.to = "other" })), begin)
	p.tick(begin.Add(8*time.Second), true, false)
	metadatatest.AssertEqualConnectorMeshGraphFoldedEdges(t, p.telemetry, number(1), ignoreTime)
}

func emptied(t *testing.T, p *process, now time.Time) *graph.Graph {
	t.Helper()
	g, err := graph.New(p.config.graph(), now)
	require.NoError(t, err)
	return g
}

func TestRefusedEjectionsShow(t *testing.T) {
	config := testConfig("")
	telemetry := componenttest.NewTelemetry()
	set := settings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	a := connect(t, NewFactory(), set, config, newSink())
	a.start(componenttest.NewNopHost())
	e := a.pairs[0].(*pair).graph.engine.ejections
	for n := range 20_001 {
		e.Add(&feed.Ejection{Series: feed.ID{byte(n), byte(n >> 8)}, Service: "cart", Hosts: 1}, time.Now())
	}
	metadatatest.AssertEqualConnectorMeshGraphUnwatchedEjections(t, telemetry, number(1), ignoreTime)
	a.shutdown()
	require.NoError(t, telemetry.Shutdown(context.Background()))
}
