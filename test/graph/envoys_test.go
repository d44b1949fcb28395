// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"bufio"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// amount is what one reporter counted on an edge.
type amount struct {
	// requests and errors are those that arrived, never those that the caller's Envoy answered by itself.
	requests, errors, never uint64
	requestBytes            float64
	responseBytes           float64
}

func (a *amount) add(o amount) {
	a.requests += o.requests
	a.errors += o.errors
	a.never += o.never
	a.requestBytes += o.requestBytes
	a.responseBytes += o.responseBytes
}

// counters are what Envoys counted, by edge and reporter.
type counters map[way]*[2]amount

func (c counters) at(w way, r graph.Reporter) *amount {
	if c[w] == nil {
		c[w] = &[2]amount{}
	}
	return &c[w][r]
}

// envoys adds up what the Envoys of the mesh counted, over all of their lives.
type envoys struct {
	client http.Client
	mu     sync.Mutex
	// past is of those that are no more.
	past counters
	// unsaid is what of that no agent may have.
	unsaid counters
	down   map[string]bool
}

func newEnvoys(t *testing.T) *envoys {
	e := &envoys{past: counters{}, unsaid: counters{}, down: map[string]bool{}}
	e.client = http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true}}
	t.Cleanup(e.client.CloseIdleConnections)
	return e
}

var labelPair = regexp.MustCompile(`(\w+)="([^"]*)"`)

// statistics are those that are read. The other thousands would cost an Envoy more than all of its requests.
const statistics = "istio_(requests_total|request_bytes|response_bytes)"

// page reads an Envoy's own counters from its admin port.
func (e *envoys) page(t *testing.T, pod mesh.PodTruth, into counters) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+pod.IP+":15000/stats/prometheus?filter="+statistics, http.NoBody)
	require.NoError(t, err)
	response, err := e.client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		// A gateway pushes its counters, and its page has them under Envoy's prefix.
		line := strings.TrimPrefix(lines.Text(), "envoy_")
		if !strings.HasPrefix(line, "istio_request") && !strings.HasPrefix(line, "istio_response") {
			continue
		}
		s, err := collectortest.ParseSample(line)
		require.NoError(t, err)
		count(into, pod, s)
	}
	require.NoError(t, lines.Err())
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
}

// count adds one line of the page.
func count(into counters, pod mesh.PodTruth, s collectortest.Sample) {
	labels := map[string]string{}
	for _, pair := range labelPair.FindAllStringSubmatch(s.Labels, -1) {
		labels[pair[1]] = pair[2]
	}
	reporter, ok := graph.ParseReporter(labels["reporter"])
	if !ok || pod.Gateway {
		return
	}
	end := func(side string) string {
		return labels[side+"_workload"] + "@" + labels[side+"_cluster"]
	}
	w := way{end("source"), end("destination")}
	if labels["destination_workload"] == "unknown" {
		// Nobody was reached, or the endpoint's metadata does not say who is behind the gateway.
		w.callee = "?" + labels["destination_service_name"]
	}
	a := into.at(w, reporter)
	switch strings.TrimSuffix(s.Name, "_total") {
	case "istio_requests":
		n := uint64(s.Value)
		switch failed := labels["response_code"] >= "500" || labels["response_code"] == "0"; {
		case reporter == graph.Source && neverReached(labels["response_flags"]):
			a.never += n
		case failed:
			a.errors += n
			a.requests += n
		default:
			a.requests += n
		}
	case "istio_request_bytes_sum":
		a.requestBytes += s.Value
	case "istio_response_bytes_sum":
		a.responseBytes += s.Value
	}
}

// neverReached are the flags that a caller's Envoy has here for requests that it answered by itself.
func neverReached(flags string) bool {
	for flag := range strings.SplitSeq(flags, ",") {
		switch flag {
		case "UH", "UF", "UO", "NR", "NC":
			return true
		}
	}
	return false
}

// bury keeps what an Envoy has counted, right before it ends. Of that an agent has what it said; nil for all of it.
func (e *envoys) bury(t *testing.T, pod mesh.PodTruth, said counters) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	last := counters{}
	e.page(t, pod, last)
	for w, a := range last {
		for side := range a {
			reporter := graph.Reporter(side)
			e.past.at(w, reporter).add(a[side])
			if said != nil {
				had := said.at(w, reporter)
				e.unsaid.at(w, reporter).add(amount{
					requestBytes: a[side].requestBytes - had.requestBytes, responseBytes: a[side].responseBytes - had.responseBytes,
				})
			}
		}
	}
	e.down[pod.Pod] = true
}

// back says that an Envoy runs again.
func (e *envoys) back(pods ...mesh.PodTruth) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, pod := range pods {
		delete(e.down, pod.Pod)
	}
}

// all is what all Envoys have counted up to now.
func (e *envoys) all(t *testing.T) counters {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	sum := counters{}
	for w, a := range e.past {
		for r := range a {
			sum.at(w, graph.Reporter(r)).add(a[r])
		}
	}
	for _, pod := range mesh.Truth() {
		if !e.down[pod.Pod] {
			e.page(t, pod, sum)
		}
	}
	return sum
}
