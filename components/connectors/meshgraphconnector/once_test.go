// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/metadatatest"
)

// world sends to a hub that is killed at any moment, and knows what was counted.
type world struct {
	t      *testing.T
	r      *rand.Rand
	config *Config
	hub    *process
	to     *sink
	now    time.Time
	number int
	// truth is what happened. unsent are requests that the agent has no answer to; some of them the hub may have.
	truth  map[string]int64
	unsent []pmetric.Metrics
	// old are requests that were acknowledged and may come again all the same.
	old []pmetric.Metrics
}

func (w *world) start() {
	w.hub = start(w.t, w.config, w.to, w.now)
	w.hub.sender.edgesInPart = 1 + w.r.IntN(4)
}

// happen makes requests happen, for the agent to report.
func (w *world) happen() {
	var calls []call
	for range 1 + w.r.IntN(6) {
		c := theCall().with(func(c *call) {
			c.from, c.to = fmt.Sprintf("w%d", w.r.IntN(5)), fmt.Sprintf("s%d", w.r.IntN(3))
			c.code, c.requests = []string{"200", "404", "500"}[w.r.IntN(3)], 1+w.r.Int64N(9)
		})
		w.truth[c.from+">"+c.to+"@westeurope "+map[string]string{"200": "2xx", "404": "4xx", "500": "5xx"}[c.code]] += c.requests
		calls = append(calls, c)
		if w.r.IntN(2) == 0 {
			c.reporter = "destination"
			calls = append(calls, c)
		}
		w.number++
	}
	w.unsent = append(w.unsent, request(w.now, w.number, calls...))
}

// deliver sends what has no answer. The hub may be killed before, in the middle of writing, and before it answers.
func (w *world) deliver() {
	for len(w.unsent) > 0 {
		switch w.r.IntN(14) {
		case 0:
			w.kill()
			return
		case 1:
			w.tornWrite(w.unsent[0])
			return
		case 2:
			w.hub.takeMetrics(w.unsent[0], w.now)
			w.kill() // It has them, and nobody knows.
			return
		}
		w.hub.takeMetrics(w.unsent[0], w.now)
		w.old = append(w.old, w.unsent[0])
		w.unsent = w.unsent[1:]
	}
	if len(w.old) > 0 && w.r.IntN(3) == 0 {
		w.hub.takeMetrics(w.old[w.r.IntN(len(w.old))], w.now)
	}
	if len(w.old) > 20 {
		w.old = w.old[10:]
	}
}

// tornWrite kills the hub while it writes the points: a part of them is in the file, and the agent got no answer.
func (w *world) tornWrite(md pmetric.Metrics) {
	before := w.sizes()
	w.hub.takeMetrics(md, w.now)
	after := w.sizes()
	w.hub.kill()
	for path, size := range after {
		if had := before[path]; size > had {
			require.NoError(w.t, os.Truncate(path, had+w.r.Int64N(size-had)))
		}
	}
	w.start()
}

func (w *world) sizes() map[string]int64 {
	found, err := filepath.Glob(filepath.Join(w.config.Directory, "journal.*"))
	require.NoError(w.t, err)
	sizes := map[string]int64{}
	for _, path := range found {
		info, err := os.Stat(path)
		require.NoError(w.t, err)
		sizes[path] = info.Size()
	}
	return sizes
}

func (w *world) kill() {
	w.hub.kill()
	w.now = w.now.Add(time.Duration(w.r.IntN(60)) * time.Second)
	w.start()
}

// block makes that no state can be written, as on a disk that is full, or lets it.
func (w *world) block() {
	path := filepath.Join(w.config.Directory, "state.tmp")
	if os.Remove(path) != nil && w.r.IntN(2) == 0 {
		require.NoError(w.t, os.MkdirAll(path, 0o700))
	}
}

// TestEachRequestIsCountedOnceWhateverHappens is the promise: what was acknowledged is neither lost nor counted twice, at
// whatever moment the hub is killed, whether states can be written or not, and however often the next component refuses.
func TestEachRequestIsCountedOnceWhateverHappens(t *testing.T) {
	runs := 12
	if n, err := strconv.Atoi(os.Getenv("MESH_GRAPH_RUNS")); err == nil {
		runs = n
	}
	for seed := range runs {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			w := &world{
				t: t, r: rand.New(rand.NewPCG(uint64(seed), 7)), config: testConfig(t.TempDir()), to: newSink(), now: begin,
				truth: map[string]int64{},
			}
			refusing := 0
			w.to.refuse = func() bool { return w.r.IntN(10) < refusing }
			w.start()
			for turn := range 150 {
				w.now = w.now.Add(4 * time.Second)
				for range w.r.IntN(3) {
					w.happen()
				}
				w.deliver()
				w.hub.step(w.now, turn%15 == 14)
				switch w.r.IntN(20) {
				case 0:
					w.kill()
				case 1:
					w.block()
				case 2:
					refusing = w.r.IntN(11)
				}
			}
			refusing = 0
			for len(w.unsent) > 0 {
				w.deliver()
			}
			_ = os.Remove(filepath.Join(w.config.Directory, "state.tmp"))
			w.hub.step(w.now.Add(4*time.Second), false)
			w.hub.step(w.now.Add(8*time.Second), true)
			require.Equal(t, w.truth, w.to.taken(), "what was handed on")
			totals := map[string]int64{}
			for _, e := range w.hub.graph.Snapshot().Edges {
				for class, n := range e.Total.Classes {
					if n > 0 {
						totals[e.Caller.Workload+">"+e.Callee.Service+"@westeurope "+classes[class]] += int64(n)
					}
				}
			}
			require.Equal(t, w.truth, totals, "the graph's totals")
			w.hub.kill()
		})
	}
}

var classes = []string{"other", "2xx", "3xx", "4xx", "5xx", "grpc_error", "no_response"}

func TestDuplicatesAreCounted(t *testing.T) {
	to := newSink()
	p := start(t, testConfig(""), to, begin)
	md := request(begin, 1, theCall(), theCall().with(func(c *call) { c.to = "other" }))
	p.takeMetrics(md, begin)
	p.takeMetrics(md, begin)
	p.step(begin.Add(4*time.Second), true)
	require.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 1, "web>other@westeurope 2xx": 1}, to.taken())
	metadatatest.AssertEqualConnectorMeshGraphPoints(t, p.telemetry, pointsBy(map[string]int64{"taken": 2, "duplicate": 2}), ignoreTime)
}
