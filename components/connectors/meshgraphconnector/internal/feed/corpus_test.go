// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

// corpusEnd is an end of a call in a case of the corpus.
type corpusEnd struct{ Cluster, Region, Namespace, Workload, Service, Version string }

// holds checks that what is told of an end is true, and says how many names were told.
func (e corpusEnd) holds(t *testing.T, told corpusEnd) (names int) {
	for _, f := range [][2]string{
		{told.Cluster, e.Cluster},
		{told.Region, e.Region},
		{told.Namespace, e.Namespace},
		{told.Workload, e.Workload},
		{told.Service, e.Service},
		{told.Version, e.Version},
	} {
		if f[0] != "" {
			assert.Equal(t, f[1], f[0], "%+v of %+v", told, e)
			names++
		}
	}
	return names
}

// corpusCase is what this test reads of a case.yaml.
type corpusCase struct {
	Calls []struct{ Source, Destination corpusEnd }
	Items []struct{ Call *int }
}

var labelPair = regexp.MustCompile(`(\w+)="([^"]*)"`)

// TestCorpus puts what both mesh_topology processors made of each line of a Prometheus page in the corpus through the
// feed: each is an edge whose ends are the truth or unknown, and never somebody else.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "test", "corpus", "cases", "metric", "*", "*", "input.txt"))
	require.NoError(t, err)
	require.Greater(t, len(files), 40)
	known := 0
	for _, file := range files {
		folder := filepath.Dir(file)
		t.Run(filepath.Base(filepath.Dir(folder))+"/"+filepath.Base(folder), func(t *testing.T) { known += runCorpus(t, folder, file) })
	}
	assert.Greater(t, known, 400, "most names are known")
}

func runCorpus(t *testing.T, folder, file string) (known int) {
	var c corpusCase
	data, err := os.ReadFile(filepath.Join(folder, "case.yaml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &c))
	var items []struct {
		Mesh     map[string]string
		Reporter map[string]string
	}
	data, err = os.ReadFile(filepath.Join(folder, "expected.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &items))
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	at := 0
	for line := range strings.SplitSeq(string(page), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		require.Less(t, at, len(items))
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		for k, v := range items[at].Reporter {
			rm.Resource().Attributes().PutStr(k, v)
		}
		name, _, _ := strings.Cut(line, "{")
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName(name)
		m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		dp := m.Sum().DataPoints().AppendEmpty()
		dp.SetDoubleValue(1)
		for _, pair := range labelPair.FindAllStringSubmatch(line, -1) {
			dp.Attributes().PutStr(pair[1], pair[2])
		}
		for k, v := range items[at].Mesh {
			dp.Attributes().PutStr(k, v)
		}
		var want *struct{ Source, Destination corpusEnd }
		if call := c.Items[at].Call; call != nil {
			want = &c.Calls[*call]
		}
		at++
		counts := New([16]byte{}).Metrics(md, func(_ ID, p *graph.Point) error {
			require.NotNil(t, want)
			a, b := p.Key.Caller, p.Key.Callee
			if nobodys(b.Service) {
				// A word of Istio's for calls that no service has.
				require.Equal(t, corpusEnd{}, want.Destination)
				b.Service = ""
			}
			known += want.Source.holds(t, corpusEnd{a.Cluster, a.Region, a.Namespace, a.Workload, "", a.Version})
			known += want.Destination.holds(t, corpusEnd{b.Cluster, b.Region, b.Namespace, b.Workload, b.Service, b.Version})
			return nil
		})
		assert.Equal(t, 1, counts[Taken]+counts[Carrier], "%v", outcomes(&counts))
	}
	return known
}
