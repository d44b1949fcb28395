// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// route is where telemetry of a namespace and region has to go.
type route struct {
	namespace, region string
	key               int
}

// TestRoutesExampleDelivers prevents that a team's data lands at another one's resource, that a rotated key needs a restart,
// and that the environment variable of Microsoft's SDKs moves everything elsewhere.
func TestRoutesExampleDelivers(t *testing.T) {
	const others, shop, payments, rotated, thief = 1, 2, 3, 4, 9
	a := newAzure(t)
	a.anybody = true
	files := t.TempDir()
	put := func(name string, key int) {
		require.NoError(t, os.WriteFile(filepath.Join(files, name), []byte(connectionTo(key, a.url())+"\n"), 0o600))
	}
	put("shop-northeurope", shop)
	put("payments", payments)
	h := newHub(t, a, []string{
		"APPLICATION_INSIGHTS_CONNECTION_STRING=" + connectionTo(others, a.url()), "APPLICATIONINSIGHTS_CONNECTION_STRING=" + connectionTo(thief, a.url()),
		"MESH_CONNECTION_STRINGS_DIR=" + files,
	}, "examples/azure-monitor-routes.yaml", quick("application_insights"), soon)

	first, totals := 0, map[int]float64{}
	check := func(routes ...route) {
		wanted := map[int]map[string]int{}
		for _, r := range routes {
			from := first
			first += 5
			where := map[string]any{"k8s.namespace.name": r.namespace, "cloud.region": r.region}
			h.send(t, spansOf(from, first, where))
			h.send(t, logsOf(from, first, where))
			md := metricsOf(from, first)
			describe(md.ResourceMetrics().At(0).Resource(), where)
			h.send(t, md)
			for n := from; n < first; n++ {
				totals[r.key] += float64(n)
			}
			if wanted[r.key] == nil {
				wanted[r.key] = map[string]int{}
			}
			for name := range wantedNames(from, first) {
				wanted[r.key][name] = 1
			}
		}
		for key, names := range wanted {
			eventually(t, h.stderr, func() bool { return subset(names, itemsOf(a, key)) })
		}
		for key, names := range wanted {
			for other := range thief + 1 {
				if other == key {
					continue
				}
				for name := range itemsOf(a, other) {
					assert.NotContains(t, names, name, "at key %d what is for %d", other, key)
				}
			}
		}
	}
	check(
		route{"shop", "northeurope", shop}, route{"checkout", "northeurope", shop}, route{"shop", "westeurope", others},
		route{"payments", "northeurope", payments}, route{"payments", "westeurope", payments}, route{"default", "northeurope", others}, route{"", "", others},
	)

	put("shop-northeurope", rotated)
	eventually(t, h.stderr, func() bool {
		h.send(t, logsOf(first, first+1, map[string]any{"k8s.namespace.name": "shop", "cloud.region": "northeurope"}))
		first++
		return len(itemsOf(a, rotated)) > 0
	})
	check(route{"checkout", "northeurope", rotated}, route{"payments", "northeurope", payments})

	// A file that is damaged leaves the key before it in use.
	require.NoError(t, os.WriteFile(filepath.Join(files, "payments"), []byte("InstrumentationKey="), 0o600))
	check(route{"payments", "westeurope", payments}, route{"shop", "northeurope", rotated})

	for key, want := range totals {
		eventually(t, h.stderr, func() bool { return requestsOf(a, key) >= want })
		assert.InDelta(t, want, requestsOf(a, key), 0, "requests at key %d", key)
	}
	assert.Empty(t, a.Items(ingestiontest.Filter{InstrumentationKey: keyOf(thief)}), "the variable counts for nothing")
	require.NoError(t, h.stop())
	assert.NotContains(t, h.log(t), dropping)
}

func itemsOf(a *azure, key int) map[string]int {
	return names(a.Items(ingestiontest.Filter{InstrumentationKey: keyOf(key)}))
}

func subset(part, all map[string]int) bool {
	for name := range part {
		if all[name] == 0 {
			return false
		}
	}
	return true
}

// requestsOf adds up what the points of a sum say.
func requestsOf(a *azure, key int) (sum float64) {
	for _, item := range a.Items(ingestiontest.Filter{InstrumentationKey: keyOf(key), Type: "Metric"}) {
		for _, point := range item.Envelope.Data.BaseData.(*ai.MetricData).Metrics {
			if point.Name == "istio_requests_total" {
				sum += point.Value
			}
		}
	}
	return sum
}
