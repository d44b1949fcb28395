// SPDX-License-Identifier: Apache-2.0

package router

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// reports makes what one agent reports of calls among n services: reporter is source or destination, and the resource is
// that of the reporting workload. Each caller calls each service; the last service is known to nobody. Beside each there is what
// the workload says of itself.
func reports(cluster, reporter string, n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for own := range n {
		rm := md.ResourceMetrics().AppendEmpty()
		for key, value := range map[string]string{
			"k8s.cluster.name": cluster, "service.name": fmt.Sprintf("%s-%d", reporter, own), "k8s.namespace.name": "shop",
			"cloud.provider": "azure", "cloud.platform": "azure.aks", "cloud.region": "westeurope", "deployment.environment.name": "production",
			"k8s.deployment.name": fmt.Sprintf("%s-%d", reporter, own), "telemetry.sdk.name": "otelcol-mesh", "mesh.network": "vnet",
		} {
			rm.Resource().Attributes().PutStr(key, value)
		}
		list := rm.ScopeMetrics().AppendEmpty().Metrics()
		metric := list.AppendEmpty()
		metric.SetName("istio_requests_total")
		sum := metric.SetEmptySum()
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		sum.SetIsMonotonic(true)
		for other := range n {
			caller, called := own, other
			if reporter == "destination" {
				caller, called = other, own
			}
			point := sum.DataPoints().AppendEmpty()
			point.SetIntValue(1)
			attrs := point.Attributes()
			attrs.PutStr("reporter", reporter)
			attrs.PutStr("response_code", "200")
			attrs.PutStr("response_flags", "-")
			attrs.PutStr("request_protocol", "http")
			attrs.PutStr("mesh.source.workload", fmt.Sprintf("caller-%d", caller))
			attrs.PutStr("mesh.source.namespace", "shop")
			if called < n-1 {
				attrs.PutStr("mesh.destination.namespace", "shop")
				attrs.PutStr("mesh.destination.service", fmt.Sprintf("called-%d", called))
			}
		}
		about := list.AppendEmpty()
		about.SetName("load")
		about.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
	}
	return md
}

// where returns at which of the replicas the points of each edge are, by reporter, and the points that name no service.
func where(replicas []*replica) (edges map[string]map[string][]int, unknown int) {
	edges = map[string]map[string][]int{}
	for i, r := range replicas {
		r.mu.Lock()
		for edge, reporters := range r.edges {
			if edge.called == "" {
				unknown += len(reporters)
				continue
			}
			for reporter := range reporters {
				name := edge.caller + " → " + edge.called
				if edges[name] == nil {
					edges[name] = map[string][]int{}
				}
				edges[name][reporter] = append(edges[name][reporter], i)
			}
		}
		r.mu.Unlock()
	}
	return edges, unknown
}

// TestBothReportersOfACall: what the two proxies of a call report, of other clusters and through other routers, comes to one
// replica; calls of nobody knows what, and what is about no call, come too, and are spread.
func TestBothReportersOfACall(t *testing.T) {
	replicas := []*replica{startReplica(t, "127.12.2.16"), startReplica(t, "127.12.2.17"), startReplica(t, "127.12.2.18")}
	var routers []*process
	for _, host := range []string{"127.12.2.14", "127.12.2.15"} {
		routers = append(routers, start(t, host, []string{"../../../distribution/examples/router-static.yaml"},
			"MESH_HUB_REPLICAS=[127.12.2.16:14317, 127.12.2.17:14317, 127.12.2.18:14317]"))
	}
	const n = 30
	deliver(t, routers[0].dial(t), reports("west", "source", n))
	deliver(t, routers[1].dial(t), reports("north", "destination", n))
	edges, unknown := where(replicas)
	require.Len(t, edges, n*(n-1))
	used := map[int]int{}
	for name, reporters := range edges {
		require.Len(t, reporters, 2, name)
		require.Len(t, reporters["source"], 1, name)
		require.Equal(t, reporters["source"], reporters["destination"], name)
		used[reporters["source"][0]]++
	}
	assert.Len(t, used, len(replicas), "%v", used)
	assert.Equal(t, 2*n, unknown)
	spreads, others := spread(replicas, func(r *replica) map[string]int { return r.points })
	assert.Equal(t, len(replicas), spreads)
	assert.Equal(t, 2*n, others, "each once")

	// They come again to the same replica, as delta sums need.
	deliver(t, routers[1].dial(t), reports("west", "source", n))
	again, _ := where(replicas)
	assert.Equal(t, edges, again)
}

// TestOnePartOfMetricsIsRefused: if one replica takes its part and the other does not, the sender keeps everything; and gets it in later.
func TestOnePartOfMetricsIsRefused(t *testing.T) {
	one, two := startReplica(t, "127.12.2.22"), startReplica(t, "127.12.2.23")
	p := start(t, "127.12.2.21", []string{"../../../distribution/examples/router-static.yaml"}, "MESH_HUB_REPLICAS=[127.12.2.22:14317, 127.12.2.23:14317]")
	conn := p.dial(t)
	two.failWith(status.Error(codes.Unavailable, "sending queue is full"))
	for _, reporter := range []string{"source", "destination"} {
		require.Equal(t, codes.Unavailable, status.Code(export(t, conn, reports("west", reporter, 20))))
	}
	two.failWith(nil)
	deliver(t, conn, reports("west", "source", 20))
	edges, unknown := where([]*replica{one, two})
	assert.Len(t, edges, 20*19)
	assert.NotZero(t, unknown)
	assert.Contains(t, edges["caller-3 → called-7"], "source")
}
