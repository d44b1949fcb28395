// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// istiodSays is a scrape of an istiod as an agent sends it.
func istiodSays(cluster, version string, proxies map[string]int64) pmetric.Metrics {
	md, at := pmetric.NewMetrics(), pcommon.NewTimestampFromTime(time.Now())
	rm := md.ResourceMetrics().AppendEmpty()
	for key, value := range map[string]string{
		"k8s.cluster.name": cluster, "k8s.namespace.name": "istio-system", "k8s.pod.name": "istiod-7d9c8b6f5-abcde",
		"k8s.deployment.name": "istiod", "service.name": "istiod", "service.instance.id": "istio-system.istiod-7d9c8b6f5-abcde",
	} {
		rm.Resource().Attributes().PutStr(key, value)
	}
	metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
	gauge := func(name, label string, values map[string]int64) {
		m := metrics.AppendEmpty()
		m.SetName(name)
		points := m.SetEmptyGauge().DataPoints()
		for key, value := range values {
			p := points.AppendEmpty()
			p.SetTimestamp(at)
			p.SetIntValue(value)
			if label != "" {
				p.Attributes().PutStr(label, key)
			}
		}
	}
	gauge("istiod_uptime_seconds", "", map[string]int64{"": 3600})
	gauge("pilot_info", "version", map[string]int64{version + "-0a1b2c3d-Clean": 1})
	gauge("pilot_xds", "version", proxies)
	return md
}

// TestControlPlanesOfAHub prevents that what istiods say gets lost between the receiver, the graph's connector, its JSON and
// Azure Monitor.
func TestControlPlanesOfAHub(t *testing.T) {
	a := newAzure(t)
	a.anybody = true
	h := newHub(t, a, []string{"APPLICATION_INSIGHTS_CONNECTION_STRING=" + connectionTo(1, a.url())}, quick("application_insights"),
		"yaml:{connectors: {mesh_graph: {metrics_interval: 4s, interval: 1s}}}")
	h.send(t, istiodSays("aks-westeurope", "1.31.0", map[string]int64{"1.31.0": 40, "1.30.2": 2}))
	h.send(t, istiodSays("aks-eastus", "1.29.4", map[string]int64{"1.29.4": 7}))
	var doc struct {
		SchemaVersion int    `json:"schema_version"`
		Newest        string `json:"newest"`
		ControlPlanes []struct {
			Cluster  string   `json:"cluster"`
			State    string   `json:"state"`
			Versions []string `json:"versions"`
			Proxies  struct {
				Connected    int `json:"connected"`
				OtherVersion int `json:"other_version"`
			} `json:"proxies"`
			Skew struct {
				MinorsBehind int `json:"minors_behind"`
			} `json:"skew"`
		} `json:"control_planes"`
	}
	eventually(t, h.stderr, func() bool {
		answer, err := http.Get("http://" + standaloneHost + ":13135/api/v1/control-planes")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK && json.NewDecoder(answer.Body).Decode(&doc) == nil && len(doc.ControlPlanes) == 2
	})
	assert.Equal(t, 1, doc.SchemaVersion)
	assert.Equal(t, "1.31.0", doc.Newest)
	east, west := doc.ControlPlanes[0], doc.ControlPlanes[1]
	assert.Equal(t, "aks-eastus", east.Cluster)
	assert.Equal(t, 2, east.Skew.MinorsBehind)
	assert.Equal(t, "reporting", west.State)
	assert.Equal(t, []string{"1.31.0"}, west.Versions)
	assert.Equal(t, 42, west.Proxies.Connected)
	assert.Equal(t, 2, west.Proxies.OtherVersion)

	// Two clusters, three versions of proxies.
	eventually(t, h.stderr, func() bool {
		names := map[string]int{}
		for _, item := range a.Items(ingestiontest.Filter{}) {
			if item.Type == "Metric" {
				names[item.Name]++
			}
		}
		return names["mesh.control_plane.proxies"] >= 3 && names["mesh.control_plane.istiods"] >= 2 && names["mesh.control_plane.version.behind"] >= 2
	})
	require.NoError(t, h.stop())
}
