// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

func TestFlowsOfAnInterval(t *testing.T) {
	g, err := graph.New(graph.DefaultConfig(), start)
	require.NoError(t, err)
	caller := graph.Caller{Cluster: "west", Region: "westeurope", Namespace: "shop", Workload: "web", Version: "v1"}
	callee := graph.Callee{
		Cluster: "north", Region: "northeurope", Namespace: "shop", Service: "reviews", Workload: "reviews-v2", Version: "v2",
	}
	add := func(p graph.Point) {
		p.GRPC = -1
		require.NoError(t, g.Add(&p))
	}
	whole := graph.Key{Caller: caller, Callee: callee, Protocol: graph.HTTP}
	add(graph.Point{Key: whole, Status: 200, Requests: 90})
	add(graph.Point{Key: whole, Reporter: graph.Destination, Status: 200, Requests: 90})
	add(graph.Point{Key: whole, Status: 503, Requests: 10, Flags: "UF,URX"})
	nobody := whole
	nobody.Callee = graph.Callee{Namespace: "shop", Service: "reviews"}
	add(graph.Point{Key: nobody, Status: 503, Requests: 4, Flags: "UH"})
	tcp := whole
	tcp.Protocol = graph.TCP
	add(graph.Point{Key: tcp, Opened: 3, FailedConnections: 1})
	stranger := whole
	stranger.Caller = graph.Caller{}
	add(graph.Point{Key: stranger, Reporter: graph.Destination, Status: 200, Requests: 5})
	flow := func(f Flow) Flow {
		f.From, f.Caller, f.Service = "westeurope", "shop/web", svc("reviews")
		return f
	}
	place := Place{"northeurope", "north"}
	assert.Equal(t, []Flow{
		flow(Flow{Requests: 4, Errors: 4, Flagged: 4, Flags: []string{"UH"}}),
		flow(Flow{To: place, Version: "v2", Requests: 100, Errors: 10, Flagged: 10, Flags: []string{"UF", "URX"}}),
		flow(Flow{To: place, Version: "v2", Requests: 4, Errors: 1}),
	}, Flows(g.Roll(start.Add(time.Minute))))
}
