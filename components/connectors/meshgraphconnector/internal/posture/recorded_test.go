// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/feed"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

const corpus = "../../../../../test/corpus/cases/metric"

var labelPair = regexp.MustCompile(`(\w+)="([^"]*)"`)

// recorded is what the agent's and the hub's mesh_topology made of the Prometheus page of a case of the corpus, n of each
// counter.
func recorded(t *testing.T, name string, n float64) pmetric.Metrics {
	var items []struct{ Mesh, Reporter map[string]string }
	data, err := os.ReadFile(filepath.Join(corpus, name, "expected.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &items))
	page, err := os.ReadFile(filepath.Join(corpus, name, "input.txt"))
	require.NoError(t, err)
	md := pmetric.NewMetrics()
	at := 0
	for line := range strings.SplitSeq(string(page), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		rm := md.ResourceMetrics().AppendEmpty()
		for k, v := range items[at].Reporter {
			rm.Resource().Attributes().PutStr(k, v)
		}
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		metric, _, _ := strings.Cut(line, "{")
		m.SetName(metric)
		m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		p := m.Sum().DataPoints().AppendEmpty()
		p.SetDoubleValue(n)
		p.SetTimestamp(pcommon.NewTimestampFromTime(start))
		for _, pair := range labelPair.FindAllStringSubmatch(line, -1) {
			p.Attributes().PutStr(pair[1], pair[2])
		}
		for k, v := range items[at].Mesh {
			p.Attributes().PutStr(k, v)
		}
		at++
	}
	return md
}

// What proxies of every kind report of one call is one edge, and counts once: through east/west gateways, in plain text, over
// ztunnels, and at a waypoint.
func TestRecordedCalls(t *testing.T) {
	type edge struct {
		caller, callee string
		requests       uint64
		bytes          uint64
		crossZone      uint64
		state          State
		reporters      int
	}
	const (
		west, north   = "aks-westeurope/productpage-v1", "aks-northeurope/reviews-v2"
		ambient, shop = "aks-ambient-west/productpage-v1", "aks-ambient-west/reviews-v1"
	)
	for name, tt := range map[string]struct {
		cases []string
		edges []edge
	}{
		"both sidecars, through an east/west gateway": {
			[]string{"sidecar_outbound/other-region-1.31", "sidecar_inbound/other-region-1.31"},
			[]edge{{west, north, 5, 0, 0, Mutual, 2}},
		},
		"both sidecars, in plain text": {
			[]string{"sidecar_outbound/plain-text", "sidecar_inbound/plain-text"},
			[]edge{{west, "aks-westeurope/reviews-v1", 5, 0, 0, Plaintext, 2}},
		},
		"a gateway that carries a connection is no end of one": {
			[]string{"east_west_gateway/gateway-as-source"}, nil,
		},
		"both ztunnels": {
			[]string{"ztunnel/source-1.30", "ztunnel/destination-1.30"},
			[]edge{{ambient, shop, 0, 5, 5, Unknown, 2}},
		},
		"a waypoint": {
			[]string{"waypoint/request"}, []edge{{ambient, shop, 5, 0, 0, Mutual, 1}},
		},
		// The waypoint's requests and the ztunnels' bytes are of other protocols, so they are edges of their own.
		"a waypoint, and ztunnels of a call that did not go through it": {
			[]string{"waypoint/request", "ztunnel/source-1.30", "ztunnel/destination-1.30"},
			[]edge{{ambient, shop, 5, 0, 0, Mutual, 1}, {ambient, shop, 0, 5, 5, Unknown, 2}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := graph.New(graph.DefaultConfig(), start)
			require.NoError(t, err)
			f := feed.New([16]byte{})
			for _, c := range tt.cases {
				f.Metrics(recorded(t, c, 5), func(_ feed.ID, p *graph.Point) error { return g.Add(p) })
			}
			now := start
			for range 10 {
				now = now.Add(time.Minute)
				g.Roll(now)
			}
			r := New().Update(g.Snapshot(), nil)
			require.Len(t, g.Snapshot().Edges, len(tt.edges))
			states := map[string]State{}
			for _, e := range r.Edges {
				states[e.Protocol] = e.State
				// Where a request or connection was told, its ends have the identities of their accounts.
				if e.State != Unknown {
					assert.Len(t, e.Identities, 2)
				}
			}
			for i, e := range g.Snapshot().Edges {
				c := e.Total
				assert.Equal(t, tt.edges[i], edge{
					e.Caller.Cluster + "/" + e.Caller.Workload, e.Callee.Cluster + "/" + e.Callee.Workload, c.Requests(),
					c.RequestBytes + c.ResponseBytes, c.RequestCrossZone + c.ResponseCrossZone, states[e.Protocol.String()], len(e.Reporters),
				})
			}
			assert.Equal(t, uint64(0), r.Summary.OtherIdentities)
		})
	}
}

// A call through a waypoint in front of which and behind which ztunnels carry connections: these name the waypoint, so an end
// of theirs is unknown, and with it its region. They are no second price of what the waypoint counts.
func TestZtunnelsAroundAWaypointHaveAnUnknownEnd(t *testing.T) {
	g, err := graph.New(graph.DefaultConfig(), start)
	require.NoError(t, err)
	f := feed.New([16]byte{})
	behind := map[string]string{
		"ztunnel/source-1.30": "destination", "ztunnel/destination-1.30": "source",
	}
	add := func(_ feed.ID, p *graph.Point) error { return g.Add(p) }
	f.Metrics(recorded(t, "waypoint/request", 5), add)
	for name, end := range behind {
		md := recorded(t, name, 7)
		for _, rm := range md.ResourceMetrics().All() {
			attrs := rm.ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).Attributes()
			// What mesh_topology does where the labels name a waypoint.
			attrs.RemoveIf(func(k string, _ pcommon.Value) bool {
				return strings.HasPrefix(k, "mesh."+end+".") && k != "mesh."+end+".namespace" && k != "mesh."+end+".service"
			})
			attrs.PutStr("mesh.resolution."+end, "unknown:behind_gateway")
			attrs.PutStr("mesh.traffic.locality", "unknown")
		}
		f.Metrics(md, add)
	}
	for minute := range 10 {
		g.Roll(start.Add(time.Duration(minute+1) * time.Minute))
	}
	whole := 0
	for _, e := range g.Snapshot().Edges {
		if e.Caller.Region != "" && e.Callee.Region != "" {
			whole++
			assert.Equal(t, graph.HTTP, e.Protocol)
			assert.Equal(t, uint64(5), e.Total.Requests())
		}
	}
	assert.Equal(t, 1, whole, "one edge with a price")
}
