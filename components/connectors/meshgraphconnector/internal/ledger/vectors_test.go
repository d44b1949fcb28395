// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

// vectors is testdata/vectors.json: traffic with the cents worked out by hand.
type vectors struct {
	Prices string `json:"prices"`
	Teams  []struct {
		Team       string   `json:"team"`
		Namespaces []string `json:"namespaces"`
	} `json:"teams"`
	InternetHosts []string `json:"internet_hosts"`
	Minutes       int      `json:"minutes"`
	Edges         []struct {
		From, FromNamespace, To, ToNamespace, Service string
		RequestGB, ResponseGB                         float64
		RequestSameZoneGB, RequestCrossZoneGB         float64
		ResponseSameZoneGB, ResponseCrossZoneGB       float64
		Cents                                         uint64
		UnpricedGB                                    float64
		Hand                                          string
	} `json:"edges"`
	Want struct {
		Total, Hour, Month uint64
		Paths              map[string]uint64
		Regions            map[string]uint64
		Services           map[string]uint64
		Namespaces         map[string][2]uint64
		Teams              map[string][2]uint64
		UnpricedGB         map[string]float64
	} `json:"want"`
}

func readVectors(t *testing.T) *vectors {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	require.NoError(t, err)
	var v vectors
	require.NoError(t, json.Unmarshal(raw, &v))
	require.NotEmpty(t, v.Edges)
	return &v
}

func bytesOfGB(f float64) uint64 { return uint64(f*1000+0.5) * (gb / 1000) }

func (v *vectors) edge(i int) graph.Edge {
	x := &v.Edges[i]
	e := edge(x.From, x.FromNamespace, x.To, x.ToNamespace, x.Service, bytesOfGB(x.RequestGB), bytesOfGB(x.ResponseGB))
	e.Interval.RequestSameZone, e.Interval.RequestCrossZone = bytesOfGB(x.RequestSameZoneGB), bytesOfGB(x.RequestCrossZoneGB)
	e.Interval.ResponseSameZone, e.Interval.ResponseCrossZone = bytesOfGB(x.ResponseSameZoneGB), bytesOfGB(x.ResponseCrossZoneGB)
	return e
}

func (v *vectors) ledger(t *testing.T) *Ledger {
	c := Config{InternetHosts: v.InternetHosts, MaxFlows: 100}
	for _, team := range v.Teams {
		c.Teams = append(c.Teams, Team{Team: team.Team, Namespaces: team.Namespaces})
	}
	_, prices, err := Open(filepath.Join("testdata", v.Prices))
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	l, err := New(c, prices)
	require.NoError(t, err)
	return l
}

// Each line of the table gives its cents, and all lines give the totals, through the ledger and its metrics.
func TestPriceVectors(t *testing.T) {
	v := readVectors(t)
	for i := range v.Edges {
		x := &v.Edges[i]
		l := v.ledger(t)
		l.Add(minuteOf(0, v.edge(i)))
		l.Add(minuteOf(1))
		r := l.Report()
		assert.Equal(t, x.Cents, r.Total.Cost.Cents(), "%s → %s: %s", x.From, x.To, x.Hand)
		assert.Equal(t, bytesOfGB(x.UnpricedGB), r.Total.Unpriced, x.Hand)
		assert.Equal(t, bytesOfGB(x.RequestGB)+bytesOfGB(x.ResponseGB), r.Total.Bytes+r.Total.Unpriced, x.Hand)
	}
	l := v.ledger(t)
	var edges []graph.Edge
	for i := range v.Edges {
		edges = append(edges, v.edge(i))
	}
	l.Add(minuteOf(0, edges...))
	for i := 1; i <= v.Minutes; i++ {
		l.Add(minuteOf(i))
	}
	r := l.Report()
	assert.Equal(t, v.Want.Total, r.Total.Cost.Cents())
	require.NotNil(t, r.Total.Hour, r.NotProjected)
	assert.Equal(t, v.Want.Hour, r.Total.Hour.Cents())
	assert.Equal(t, v.Want.Month, r.Total.Month.Cents())
	paths, regions, services, unpriced := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}, map[string]float64{}
	for _, p := range r.Paths {
		paths[string(p.Path)] = p.Cost.Cost.Cents()
	}
	for _, x := range r.Regions {
		if !x.Cost.Cost.IsZero() {
			regions[x.From+" → "+x.To] = x.Cost.Cost.Cents()
		}
	}
	for _, x := range r.Services {
		services[x.Namespace+"/"+x.Service] = x.Cost.Cost.Cents()
	}
	for _, x := range r.Unpriced {
		unpriced[string(x.Reason)] = float64(x.Bytes) / gb
	}
	assert.Equal(t, v.Want.Paths, paths)
	assert.Equal(t, v.Want.Regions, regions)
	assert.Equal(t, v.Want.Services, services)
	assert.Equal(t, v.Want.Namespaces, ownersOf(r.Namespaces))
	assert.Equal(t, v.Want.Teams, ownersOf(r.Teams))
	assert.Equal(t, v.Want.UnpricedGB, unpriced)

	metrics := pmetric.NewMetricSlice()
	l.Take().AppendMetrics(metrics, noon, noon.Add(time.Minute))
	assert.InDelta(t, float64(v.Want.Total)/100, sumsOf(metrics)["mesh.cost.estimate"], 0.005)
}

func ownersOf(list []OwnerCost) map[string][2]uint64 {
	out := map[string][2]uint64{}
	for _, x := range list {
		out[x.Name] = [2]uint64{x.Calls.Cost.Cents(), x.Called.Cost.Cents()}
	}
	return out
}

func sumsOf(metrics pmetric.MetricSlice) map[string]float64 {
	sums := map[string]float64{}
	for _, m := range metrics.All() {
		for _, p := range m.Sum().DataPoints().All() {
			sums[m.Name()] += p.DoubleValue() + float64(p.IntValue())
		}
	}
	return sums
}
