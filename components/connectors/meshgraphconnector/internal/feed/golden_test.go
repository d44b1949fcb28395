// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

var update = flag.Bool("update", false, "write testdata anew; read every difference before committing it")

// root is where the repository begins.
const root = "../../../../.."

// told is what a data point or span became, in the words of the file.
type told struct {
	Caller, Callee       string
	Protocol             string
	Reporter             string            `json:",omitempty"`
	Status, GRPC         int               `json:",omitempty"`
	Flags                string            `json:",omitempty"`
	TLS                  string            `json:",omitempty"`
	Zone                 string            `json:",omitempty"`
	Principals           []string          `json:",omitempty"`
	Counts               map[string]uint64 `json:",omitempty"`
	Sum                  float64           `json:",omitempty"`
	Buckets              []uint64          `json:",omitempty"`
	Trace                string            `json:",omitempty"`
	Failed               bool              `json:",omitempty"`
	DurationMilliseconds float64           `json:",omitempty"`
}

func ends(t *told, k *graph.Key) {
	a, b := &k.Caller, &k.Callee
	t.Caller = fmt.Sprintf("%s (%s) %s/%s %s", a.Cluster, a.Region, a.Namespace, a.Workload, a.Version)
	t.Callee = fmt.Sprintf("%s (%s) %s/%s %s %s", b.Cluster, b.Region, b.Namespace, b.Service, b.Workload, b.Version)
	t.Protocol = k.Protocol.String()
}

func tell(p *graph.Point) (t told) {
	ends(&t, &p.Key)
	t.Reporter, t.Status, t.GRPC, t.Flags = p.Reporter.String(), p.Status, p.GRPC, p.Flags
	t.TLS = []string{"", "mutual", "none"}[p.TLS]
	t.Zone = []string{"", "same", "cross"}[p.Zone]
	if p.SourcePrincipal != "" || p.DestinationPrincipal != "" {
		t.Principals = []string{p.SourcePrincipal, p.DestinationPrincipal}
	}
	for name, n := range map[string]uint64{
		"requests": p.Requests, "request_bytes": p.RequestBytes, "response_bytes": p.ResponseBytes,
		"opened": p.Opened, "closed": p.Closed, "failed": p.FailedConnections,
	} {
		if n > 0 {
			if t.Counts == nil {
				t.Counts = map[string]uint64{}
			}
			t.Counts[name] = n
		}
	}
	if p.Latency != nil {
		t.Sum, t.Buckets = p.Latency.Sum, append(t.Buckets, p.Latency.Counts...)
	} else {
		t.Sum, t.Buckets = p.LatencySum, append(t.Buckets, p.LatencyCounts...)
	}
	return t
}

// outcomes are the counts in words.
func outcomes(c *Counts) map[string]int {
	words := map[string]int{}
	for o, n := range c {
		if n > 0 {
			words[Outcome(o).String()] = n
		}
	}
	return words
}

// TestCases reads what the processors before the hub's connector wrote of recorded and made telemetry: their golden files.
// Those hold cumulative points where mesh_metrics was not asked; as deltas they say the same about the ends.
func TestCases(t *testing.T) {
	var folders []string
	for _, p := range []string{"meshtopologyprocessor", "meshmetricsprocessor"} {
		files, err := filepath.Glob(filepath.Join(root, "processors", p, "testdata", "*", "expected.yaml"))
		require.NoError(t, err)
		folders = append(folders, files...)
	}
	read := 0
	for _, file := range folders {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var got any
		switch {
		case bytes.HasPrefix(data, []byte("resourceMetrics")):
			got = metricsOf(t, file)
		case bytes.HasPrefix(data, []byte("resourceSpans")):
			got = spansOf(t, file)
		default:
			continue
		}
		read++
		name := filepath.Base(filepath.Dir(file))
		t.Run(name, func(t *testing.T) { compare(t, name, got) })
	}
	require.Greater(t, read, 10)
}

func metricsOf(t *testing.T, file string) any {
	md, err := golden.ReadMetrics(file)
	require.NoError(t, err)
	toDelta(md)
	out := []told{}
	counts := New([16]byte{1}).Metrics(md, func(_ ID, p *graph.Point) error {
		out = append(out, tell(p))
		return nil
	})
	return map[string]any{"outcomes": outcomes(&counts), "points": out}
}

func spansOf(t *testing.T, file string) any {
	td, err := golden.ReadTraces(file)
	require.NoError(t, err)
	out := []told{}
	counts := New([16]byte{1}).Traces(td, func(k *graph.Key, x graph.Exemplar) bool {
		one := told{Trace: strings.Clone(x.TraceID), Failed: x.Failed, DurationMilliseconds: x.Milliseconds}
		ends(&one, k)
		out = append(out, one)
		return true
	})
	return map[string]any{"outcomes": outcomes(&counts), "exemplars": out}
}

// compare holds what was read against testdata.
func compare(t *testing.T, name string, got any) {
	data, err := json.MarshalIndent(got, "", " ")
	require.NoError(t, err)
	data = append(data, '\n')
	file := filepath.Join("testdata", "cases", name+".json")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
		require.NoError(t, os.WriteFile(file, data, 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(data))
}

// toDelta makes the points deltas.
func toDelta(md pmetric.Metrics) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				setTemporality(m, pmetric.AggregationTemporalityDelta)
			}
		}
	}
}

func setTemporality(m pmetric.Metric, to pmetric.AggregationTemporality) {
	switch m.Type() {
	case pmetric.MetricTypeSum:
		m.Sum().SetAggregationTemporality(to)
	case pmetric.MetricTypeHistogram:
		m.Histogram().SetAggregationTemporality(to)
	case pmetric.MetricTypeExponentialHistogram:
		m.ExponentialHistogram().SetAggregationTemporality(to)
	}
}
