// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/api"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/keep"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk/disktest"
)

// impatient is a disk that may hang, of which nobody waits for long.
func impatient(d *disktest.Disk) keep.Options {
	return keep.Options{Most: 64 << 20, Patience: 20 * time.Millisecond, Create: d.Create, Replace: d.Replace}
}

// soon fails the test unless something ends without help.
func soon(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal(what + " waits for the disk")
	}
}

func ask(t *testing.T, p *process, path string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
	w := httptest.NewRecorder()
	api.Admin(p.sources()).ServeHTTP(w, r)
	assert.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
	return w.Body.String()
}

// timeouts is how often somebody gave up on the disk, by operation.
func timeouts(t *testing.T, p *process) map[string]int64 {
	t.Helper()
	counts := map[string]int64{}
	m, err := p.telemetry.GetMetric("otelcol_connector_mesh_graph_disk_timeouts")
	if err != nil {
		return counts
	}
	for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
		operation, _ := point.Attributes.Value("operation")
		counts[operation.AsString()] = point.Value
	}
	return counts
}

// TestADiskThatHangsHoldsUpNothing has a disk that does not answer in the middle of all: what comes is counted, intervals are closed,
// metrics go on, and what could not be noted is made good once it answers.
func TestADiskThatHangsHoldsUpNothing(t *testing.T) {
	var slow disktest.Disk
	config, to := testConfig(t.TempDir()), newSink()
	p := startOn(t, config, to, begin, impatient(&slow))
	p.takeMetrics(request(begin, 1, theCall()), begin)
	began, release := slow.Hang()
	soon(t, "a request", func() { p.takeMetrics(request(begin, 2, theCall()), begin) })
	<-began
	soon(t, "the next one", func() { p.takeMetrics(request(begin, 3, theCall()), begin) })
	soon(t, "an interval", func() { p.step(begin.Add(4*time.Second), true) })
	soon(t, "another one", func() { p.step(begin.Add(8*time.Second), true) })
	assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 3}, to.taken(), "it goes on without the disk")
	soon(t, "the API", func() {
		assert.Contains(t, ask(t, p, "/api/v1/graph"), `"cart"`)
	})
	metadatatest.AssertEqualConnectorMeshGraphUnjournaledPoints(t, p.telemetry, number(2), ignoreTime)
	counts := timeouts(t, p)
	assert.EqualValues(t, 1, counts["journal"], "the others did not wait")

	release()
	require.Eventually(t, func() bool { return !p.directory.Busy() }, time.Minute, time.Millisecond)
	p.step(begin.Add(12*time.Second), true)
	require.Eventually(t, func() bool { return p.saving == nil || p.saved(nil) }, time.Minute, time.Millisecond)
	p.takeMetrics(request(begin.Add(13*time.Second), 4, theCall()), begin.Add(13*time.Second))
	p.kill()

	p = start(t, config, to, begin.Add(time.Minute))
	p.takeMetrics(request(begin, 3, theCall()), begin.Add(time.Minute))
	p.step(begin.Add(64*time.Second), true)
	assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 4}, to.taken(), "nothing is lost, nothing twice")
	p.kill()
}

// TestReadersNeverWaitForTheDisk has a request that waits for the disk for as long as that takes, with all that it holds.
func TestReadersNeverWaitForTheDisk(t *testing.T) {
	var slow disktest.Disk
	p := startOn(t, testConfig(t.TempDir()), newSink(), begin, keep.Options{Most: 64 << 20, Patience: time.Hour, Create: slow.Create})
	p.takeMetrics(request(begin, 1, theCall()), begin)
	p.step(begin.Add(4*time.Second), true)
	began, release := slow.Hang()
	done := make(chan struct{})
	go func() { defer close(done); p.takeMetrics(request(begin, 2, theCall()), begin) }()
	<-began
	soon(t, "who reads metrics", func() {
		s := p.status()
		assert.EqualValues(t, 1, s.remembered)
		assert.Positive(t, s.journal)
		var all metricdata.ResourceMetrics
		require.NoError(t, p.telemetry.Reader.Collect(context.Background(), &all))
	})
	for _, path := range []string{
		"/api/v1/graph", "/api/v1/failovers", "/api/v1/cost", "/api/v1/posture", "/api/v1/control-planes", "/api/v1/versions?namespace=shop&service=cart",
	} {
		soon(t, path, func() { ask(t, p, path) })
	}
	release()
	<-done
	p.kill()
}

// turnsToAFailover is how many turns it takes after [process.fails].
func turnsToAFailover(t *testing.T) (n int) {
	p := start(t, quickLearner(""), newSink(), begin)
	turn := p.fails(func() {})
	for ; len(p.waiting) == 0; n++ {
		turn(true)
	}
	return n
}

// TestAStateThatIsSlowIsWaitedForBesides has a state that takes the disk longer than anybody waits, and gets there after all, with an
// event that the journal has too.
func TestAStateThatIsSlowIsWaitedForBesides(t *testing.T) {
	n := turnsToAFailover(t)
	var slow disktest.Disk
	config, to := quickLearner(t.TempDir()), newSink()
	p := startOn(t, config, to, begin, keep.Options{Most: 64 << 20, Patience: time.Millisecond, Replace: slow.Replace})
	settled := func() {
		t.Helper()
		require.Eventually(t, func() bool { p.saved(nil); return p.saving == nil }, time.Minute, time.Millisecond)
	}
	turn := p.fails(settled)
	for range n - 1 {
		turn(true)
		settled()
	}
	before := timeouts(t, p)["state"]
	_, release := slow.Hang()
	soon(t, "an interval", func() { turn(true) })
	require.Len(t, p.waiting, 1, "a failover is found in time")
	assert.NotEqual(t, p.told, p.kept)
	assert.Equal(t, before+1, timeouts(t, p)["state"])
	soon(t, "the next interval", func() { turn(true) })
	assert.Equal(t, before+1, timeouts(t, p)["state"], "nobody waits a second time")
	release()
	settled()
	assert.Equal(t, p.told, p.kept)
	p.kill()

	p = start(t, config, to, begin.Add(5*time.Minute))
	assert.Len(t, p.waiting, 1, "told once")
	p.kill()
}
