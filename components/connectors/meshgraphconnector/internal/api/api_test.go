// SPDX-License-Identifier: Apache-2.0

package api

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/ledger"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/window"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/price"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// ask sends a request as a client on this machine does.
func ask(h http.Handler, target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8899"+target, nil)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func object(t testing.TB, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v), w.Body.String())
	return v
}

// edge is what a version of reviews in a cluster answered.
func edge(version, cluster string, ok, failed, never uint64, latency ...float64) graph.Edge {
	e := graph.Edge{Key: &graph.Key{
		Caller:   graph.Caller{Cluster: "west", Region: "westeurope", Namespace: "shop", Workload: "web"},
		Callee:   graph.Callee{Cluster: cluster, Namespace: "shop", Service: "reviews", Workload: "reviews-" + version, Version: version},
		Protocol: graph.HTTP,
	}}
	e.Interval.Classes[graph.Success] = ok
	e.Interval.Classes[graph.ServerError] = failed + never
	e.Interval.NeverReached = never
	for _, v := range latency {
		if e.Latency[graph.Destination] == nil {
			e.Latency[graph.Destination] = exphist.New()
		}
		e.Latency[graph.Destination].Record(v, 1)
	}
	return e
}

func snapshot(sequence uint64, end time.Time, edges ...graph.Edge) *graph.Snapshot {
	return &graph.Snapshot{Sequence: sequence, Start: end.Add(-4 * time.Second), End: end, Edges: edges, Stats: graph.Stats{MaxEdges: 10}}
}

func store(t testing.TB, edges ...graph.Edge) *window.Store {
	t.Helper()
	s, err := window.New(window.Config{MaxSeries: 10})
	require.NoError(t, err)
	if len(edges) > 0 {
		s.Add(snapshot(1, noon, edges...))
	}
	return s
}

func sources(t testing.TB, s *window.Store) Sources {
	l, err := ledger.New(ledger.Config{MaxFlows: 1}, price.Default())
	require.NoError(t, err)
	snap := snapshot(7, noon, edge("v1", "west", 1, 0, 0, 5))
	return Sources{
		Graph: func() *graph.Snapshot { return snap }, Failovers: NewFailovers(3).Published, Cost: l.Report, Window: s,
		Posture: func() any { return map[string]int{"schema_version": 1} }, Now: func() time.Time { return noon },
	}
}

func TestWhatIsServed(t *testing.T) {
	h := Admin(sources(t, store(t, edge("v1", "west", 1, 0, 0))))
	for path, key := range map[string]string{
		"/api/v1/graph": "edges", "/api/v1/failovers": "active", "/api/v1/cost": "label", "/api/v1/posture": "schema_version",
		"/api/v1/versions?namespace=shop&service=reviews": "pattern", "/api/v1/analysis?namespace=shop&service=reviews": "enough",
	} {
		w := ask(h, path)
		assert.Equal(t, http.StatusOK, w.Code, path)
		assert.Contains(t, object(t, w), key, path)
		assert.EqualValues(t, 1, object(t, w)["schema_version"], path)
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
		assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		head := ask(h, path, func(r *http.Request) { r.Method = http.MethodHead })
		assert.Equal(t, http.StatusOK, head.Code)
		assert.Zero(t, head.Body.Len())
	}
	for _, path := range []string{"/api/v1/control-planes", "/", "/api/v1/graphs", "/api/v2/graph"} {
		w := ask(h, path)
		assert.Equal(t, http.StatusNotFound, w.Code, path)
		assert.NotEmpty(t, object(t, w)["error"])
	}
	for _, path := range []string{"/api/v1/cost?x=1", "/api/v1/graph?x=1"} {
		assert.Equal(t, http.StatusBadRequest, ask(h, path).Code, path)
	}
	none := Admin(Sources{})
	for _, path := range []string{"graph", "failovers", "cost", "posture", "control-planes", "versions", "analysis"} {
		assert.Equal(t, http.StatusNotFound, ask(none, "/api/v1/"+path).Code, path)
	}
	empty := Admin(Sources{Posture: func() any { return nil }})
	assert.Equal(t, http.StatusServiceUnavailable, ask(empty, "/api/v1/posture").Code)
}

func TestNobodyElseMayAsk(t *testing.T) {
	s := sources(t, store(t))
	admin, analysis := Admin(s), Analysis(s)
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"another name":            {func(r *http.Request) { r.Host = "hub.example.com:8899" }, http.StatusForbidden},
		"another address":         {func(r *http.Request) { r.Host = "10.0.0.1" }, http.StatusForbidden},
		"no name":                 {func(r *http.Request) { r.Host = "" }, http.StatusForbidden},
		"another page":            {header("Origin", "https://evil.example.com"), http.StatusForbidden},
		"a page without a name":   {header("Origin", "null"), http.StatusForbidden},
		"a page of another site":  {header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"a page of another port":  {header("Sec-Fetch-Site", "same-site"), http.StatusForbidden},
		"POST":                    {func(r *http.Request) { r.Method = http.MethodPost }, http.StatusMethodNotAllowed},
		"a long query":            {func(r *http.Request) { r.URL.RawQuery = strings.Repeat("a", maxQuery+1) }, http.StatusRequestURITooLong},
		"localhost":               {func(r *http.Request) { r.Host = "LocalHost:1" }, http.StatusOK},
		"IPv6":                    {func(r *http.Request) { r.Host = "[::1]:1" }, http.StatusOK},
		"another loopback":        {func(r *http.Request) { r.Host = "127.3.2.1" }, http.StatusOK},
		"a page of this machine":  {header("Origin", "http://localhost:3000"), http.StatusOK},
		"a page of the same port": {header("Sec-Fetch-Site", "same-origin"), http.StatusOK},
		"the address bar":         {header("Sec-Fetch-Site", "none"), http.StatusOK},
	} {
		for _, path := range []string{"/api/v1/cost", "/api/v1/graph"} {
			w := ask(admin, path, c.change)
			assert.Equal(t, c.status, w.Code, name)
			if c.status != http.StatusOK {
				assert.NotEmpty(t, object(t, w)["error"], name)
			}
		}
	}
	w := ask(analysis, "/api/v1/analysis?namespace=a&service=b", func(r *http.Request) { r.Host = "hub.observability.svc" })
	assert.Equal(t, http.StatusOK, w.Code, "other pods ask for analysis by the service's name")
	w = ask(analysis, "/api/v1/analysis", func(r *http.Request) { r.Method = http.MethodDelete })
	assert.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	for _, path := range []string{"graph", "failovers", "cost", "posture", "control-planes"} {
		assert.Equal(t, http.StatusNotFound, ask(analysis, "/api/v1/"+path).Code, "only analysis is for other pods")
	}
}

func TestDocumentIsBuiltOncePerInterval(t *testing.T) {
	current := snapshot(7, noon, edge("v1", "west", 1, 0, 0, 5))
	h := Admin(Sources{Graph: func() *graph.Snapshot { return current }})
	w := ask(h, "/api/v1/graph")
	assert.EqualValues(t, 7, object(t, w)["sequence"])
	assert.Equal(t, "7", w.Header().Get("Mesh-Graph-Sequence"))
	assert.Empty(t, w.Header().Get("Content-Encoding"))
	tag := w.Header().Get("ETag")
	assert.Equal(t, http.StatusNotModified, ask(h, "/api/v1/graph", header("If-None-Match", `"x", `+tag)).Code)
	assert.Zero(t, ask(h, "/api/v1/graph", header("If-None-Match", tag)).Body.Len())
	assert.Equal(t, http.StatusOK, ask(h, "/api/v1/graph", header("If-None-Match", `"x"`)).Code)

	zipped := ask(h, "/api/v1/graph", header("Accept-Encoding", "br, gzip;q=0.5"))
	assert.Equal(t, "gzip", zipped.Header().Get("Content-Encoding"))
	assert.NotEqual(t, tag, zipped.Header().Get("ETag"))
	z, err := gzip.NewReader(zipped.Body)
	require.NoError(t, err)
	plain, err := io.ReadAll(z)
	require.NoError(t, err)
	assert.Equal(t, w.Body.String(), string(plain))
	for _, refused := range []string{"", "br", "gzip;q=0", "identity, gzip; q=0.0", "gzip;q=x"} {
		assert.Empty(t, ask(h, "/api/v1/graph", header("Accept-Encoding", refused)).Header().Get("Content-Encoding"), refused)
	}

	current = snapshot(8, noon.Add(4*time.Second))
	w = ask(h, "/api/v1/graph", header("If-None-Match", tag))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.EqualValues(t, 8, object(t, w)["sequence"])
	current = snapshot(8, noon.Add(8*time.Second))
	assert.NotEqual(t, w.Header().Get("ETag"), ask(h, "/api/v1/graph").Header().Get("ETag"), "a state was lost, and the sequence came again")

	// Whoever asks for an interval at a time gets the same bytes, built once.
	var d document
	var wait sync.WaitGroup
	bodies := make([][]byte, 8)
	for i := range bodies {
		wait.Go(func() { bodies[i], _ = d.of(current).plain() })
	}
	wait.Wait()
	for _, b := range bodies {
		assert.Same(t, &bodies[0][0], &b[0])
	}
}

// More requests than are answered at a time are told so.
func TestManyRequests(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	h := Admin(Sources{Posture: func() any { entered <- struct{}{}; <-leave; return 1 }, Cost: func() *ledger.Report { return nil }})
	var wait sync.WaitGroup
	for range maxRequests {
		wait.Go(func() { assert.Equal(t, http.StatusOK, ask(h, "/api/v1/posture").Code) })
	}
	for range maxRequests {
		<-entered
	}
	w := ask(h, "/api/v1/cost")
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Equal(t, "1", w.Header().Get("Retry-After"))
	close(leave)
	wait.Wait()
	assert.Equal(t, http.StatusOK, ask(h, "/api/v1/cost").Code)
}

func TestAnswerThatIsNoJSON(t *testing.T) {
	w := ask(Admin(Sources{Posture: func() any { return math.NaN() }}), "/api/v1/posture")
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.NotEmpty(t, object(t, w)["error"])
	s := Server(nil)
	assert.Positive(t, s.ReadTimeout)
	assert.Positive(t, s.ReadHeaderTimeout)
	assert.Positive(t, s.WriteTimeout)
	assert.Positive(t, s.IdleTimeout)
}

func TestFailovers(t *testing.T) {
	f := NewFailovers(2)
	event := func(name string, phase failover.Phase, minute int) failover.Event {
		return failover.Event{Phase: phase, Service: failover.Service{Name: name}, Start: noon.Add(time.Duration(minute) * time.Minute)}
	}
	assert.NotNil(t, f.Published().Active)
	f.Apply([]failover.Event{event("a", failover.Started, 1)}, []failover.Event{event("b", failover.Started, 2), event("a", failover.Started, 1)})
	assert.Equal(t, "a", f.Published().Active[0].Service.Name)
	assert.Empty(t, f.Published().Ended)
	before := f.Published()
	for i, name := range []string{"a", "b", "c"} {
		f.Apply([]failover.Event{event(name, failover.Ended, i)}, nil)
	}
	r := f.Published()
	assert.Empty(t, r.Active)
	require.Len(t, r.Ended, 2)
	assert.Equal(t, "c", r.Ended[0].Service.Name)
	assert.Equal(t, "b", r.Ended[1].Service.Name)
	assert.EqualValues(t, 1, r.EndedBefore)
	assert.Len(t, before.Active, 2, "what was published stays as it was")

	again := NewFailovers(1)
	require.NoError(t, again.Restore(f.Encode()))
	assert.Equal(t, r.Ended[:1], again.Published().Ended)
	assert.EqualValues(t, 2, again.Published().EndedBefore)
	for _, state := range []string{"", "{", `{"schema_version": 2}`, "[]"} {
		assert.Error(t, again.Restore([]byte(state)), state)
	}
	assert.Len(t, again.Published().Ended, 1)
}

func BenchmarkDocument(b *testing.B) {
	edges := make([]graph.Edge, 10_000)
	values := make([]float64, 100)
	for i := range values {
		values[i] = math.Exp(float64(i) / 25)
	}
	for i := range edges {
		for k := range values {
			values[k] = math.Exp(float64((k*7+i*13)%100) / 25)
		}
		edges[i] = edge("v1", fmt.Sprint("cluster-", i%10), uint64(100+i%97), 1, 0, values...)
		edges[i].Callee.Service = fmt.Sprintf("service-%x", i*7919)
		edges[i].Reporters, edges[i].Heard = []graph.Reporter{graph.Source, graph.Destination}, []graph.Reporter{graph.Source}
	}
	snap := snapshot(1, noon, edges...)
	for name, accept := range map[string]string{"plain": "", "gzip": "gzip"} {
		b.Run(name, func(b *testing.B) {
			var size int
			for b.Loop() {
				h := Admin(Sources{Graph: func() *graph.Snapshot { return snap }})
				size = ask(h, "/api/v1/graph", header("Accept-Encoding", accept)).Body.Len()
			}
			b.ReportMetric(float64(size)/float64(len(edges)), "B/edge")
		})
	}
	b.Run("again", func(b *testing.B) {
		h := Admin(Sources{Graph: func() *graph.Snapshot { return snap }})
		for b.Loop() {
			ask(h, "/api/v1/graph", header("Accept-Encoding", "gzip"))
		}
	})
}
