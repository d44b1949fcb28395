// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// TestGatewayIsNoEnd: where labels name an east/west gateway as an end (istio#58790, #58476), it carried the call.
func TestGatewayIsNoEnd(t *testing.T) {
	gateway := func(cluster string) mesh.End {
		return mesh.End{Cluster: cluster, Namespace: "istio-system", Workload: "ew", Service: "ew", Principal: "spiffe://" + cluster + ".mesh/ns/istio-system/sa/ew"}
	}
	byPrincipal := func(td string) mesh.End {
		return unknownBut(func(e *mesh.End) {
			e.Namespace, e.Principal = "istio-system", "spiffe://"+td+".mesh/ns/istio-system/sa/ew"
		})
	}
	tests := []struct {
		name                string
		reporter            string
		near                [3]string
		source, destination mesh.End
		via                 string
		wantSource          string
		sourceBy            mesh.Resolution
		wantDestination     string
		destinationBy       mesh.Resolution
	}{
		{
			"the remote gateway as destination: its network has two clusters", "waypoint",
			[3]string{"a", "shop", "web-1"},
			webEnd, gateway("b"),
			"b/istio-system/ew", "a", mesh.ByLabel, "", mesh.UnknownBehindGateway,
		},
		{
			"by its principal", "waypoint",
			[3]string{"a", "shop", "web-1"},
			webEnd, byPrincipal("b"),
			"b/istio-system/ew", "a", mesh.ByLabel, "", mesh.UnknownBehindGateway,
		},
		{
			"the gateway into a network of one cluster", "source",
			[3]string{"b", "shop", "db-1"},
			mesh.End{Cluster: "b", Namespace: "shop", Workload: "db"},
			gateway("a"),
			"a/istio-system/ew", "b", mesh.ByLabel, "a", mesh.ByGateway,
		},
		{
			"a name that two gateways have", "source",
			[3]string{"a", "shop", "web-1"},
			webEnd, gateway(""),
			"east_west", "a", mesh.ByLabel, "", mesh.UnknownBehindGateway,
		},
		{
			"the cluster id of every Istio", "source",
			[3]string{"a", "shop", "web-1"},
			webEnd, gateway("Kubernetes"),
			"east_west", "a", mesh.ByLabel, "", mesh.UnknownBehindGateway,
		},
		{
			"the own gateway, which nobody leaves by", "source",
			[3]string{"a", "shop", "web-1"},
			webEnd, gateway("a"),
			"east_west", "a", mesh.ByLabel, "", mesh.UnknownBehindGateway,
		},
		{
			"the gateway reports of itself", "source",
			[3]string{"b", "istio-system", "ew-1"},
			gateway("b"),
			mesh.End{Cluster: "c", Namespace: "shop", Workload: "db"},
			"b/istio-system/ew", "", mesh.UnknownBehindGateway, "c", mesh.ByLabel,
		},
		{
			"as the caller", "destination",
			[3]string{"b", "shop", "db-1"},
			gateway("b"),
			mesh.End{Cluster: "b", Namespace: "shop", Workload: "db"},
			"b/istio-system/ew", "", mesh.UnknownBehindGateway, "b", mesh.ByLabel,
		},
		{
			"an endpoint of another network of which the cluster alone is told", "source",
			[3]string{"a", "shop", "web-1"},
			webEnd,
			unknownBut(func(e *mesh.End) { e.Cluster = "b" }),
			"b/istio-system/ew", "a", mesh.ByLabel, "", mesh.UnknownBehindGateway,
		},
		{
			"the same in a network of one cluster", "source",
			[3]string{"b", "shop", "db-1"},
			mesh.End{Cluster: "b", Namespace: "shop", Workload: "db"},
			unknownBut(func(e *mesh.End) { e.Cluster = "a" }),
			"a/istio-system/ew", "b", mesh.ByLabel, "a", mesh.ByLabel,
		},
		{
			"the same in a cluster that nobody described", "source",
			[3]string{"a", "shop", "web-1"},
			webEnd,
			unknownBut(func(e *mesh.End) { e.Cluster = "z" }),
			"", "a", mesh.ByLabel, "", mesh.UnknownNoCluster,
		},
		{
			"the own cluster", "source",
			[3]string{"a", "shop", "web-1"},
			webEnd,
			unknownBut(func(e *mesh.End) { e.Cluster = "a" }),
			"", "a", mesh.ByLabel, "a", mesh.ByLabel,
		},
		{
			"the same in a cluster without a gateway of its own", "waypoint",
			[3]string{"a", "shop", "web-1"},
			webEnd,
			unknownBut(func(e *mesh.End) { e.Cluster = "c" }),
			"east_west", "a", mesh.ByLabel, "", mesh.UnknownBehindGateway,
		},
		{
			"the same within the network", "source",
			[3]string{"b", "shop", "db-1"},
			mesh.End{Cluster: "b", Namespace: "shop", Workload: "db"},
			unknownBut(func(e *mesh.End) { e.Cluster = "c" }),
			"", "b", mesh.ByLabel, "c", mesh.ByLabel,
		},
		{
			"a waypoint, as a ztunnel names it", "source",
			[3]string{"a", "istio-system", "ztunnel-1"},
			webEnd,
			mesh.End{Cluster: "b", Namespace: "shop", Workload: "waypoint", Service: "waypoint"},
			"", "a", mesh.ByLabel, "", mesh.UnknownBehindGateway,
		},
		{
			"a waypoint by its principal", "source",
			[3]string{"a", "shop", "web-1"},
			webEnd,
			unknownBut(func(e *mesh.End) { e.Namespace, e.Principal = "shop", "spiffe://b.mesh/ns/shop/sa/waypoint" }),
			"", "a", mesh.ByLabel, "", mesh.UnknownNoCluster,
		},
		{
			"a gateway that nobody described", "source",
			[3]string{"a", "shop", "web-1"},
			webEnd,
			mesh.End{Cluster: "z", Namespace: "istio-system", Workload: "istio-eastwestgateway"},
			"east_west", "a", mesh.ByLabel, "", mesh.UnknownBehindGateway,
		},
		{
			"a workload of another network", "source",
			[3]string{"a", "shop", "web-1"},
			webEnd,
			mesh.End{Cluster: "b", Namespace: "shop", Workload: "db"},
			"", "a", mesh.ByLabel, "b", mesh.ByLabel,
		},
	}
	s := threeClusters(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			near := reportedBy(s, tt.near[0], tt.near[1], tt.near[2])
			v := JudgeLabels(s.At(time.Time{}), &near, &Labels{Reporter: tt.reporter, Source: tt.source, Destination: tt.destination})
			assert.Equal(t, tt.via, v.Via)
			assert.Equal(t, tt.wantSource, v.Source.Cluster)
			assert.Equal(t, tt.sourceBy.String(), v.SourceBy.String())
			assert.Equal(t, tt.wantDestination, v.Destination.Cluster)
			assert.Equal(t, tt.destinationBy.String(), v.DestinationBy.String())
			assert.NotEqual(t, "ew", v.Source.Workload)
			assert.NotEqual(t, "ew", v.Destination.Workload)
			assert.NotContains(t, v.Destination.Principal, "/sa/ew")
		})
	}
}
