// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

func TestJudgeUpstream(t *testing.T) {
	s := threeClusters(t)
	web := reportedBy(s, "a", "shop", "web-1")
	ew := reportedBy(s, "b", "istio-system", "ew-1")
	tests := []struct {
		name                string
		near                *Near
		upstream            Upstream
		source, destination mesh.End
		destinationBy       mesh.Resolution
		via                 string
	}{
		{"outbound", &web, Upstream{Cluster: "outbound|80|v1|db.shop.svc.cluster.local;"}, web.End, mesh.End{Namespace: "shop", Service: "db"}, mesh.UnknownNoCluster, ""},
		{"outbound to a host", &web, Upstream{Cluster: "outbound|443||api.example.com"}, web.End, mesh.End{Service: "api.example.com"}, mesh.UnknownNoCluster, ""},
		{"inbound", &web, Upstream{Cluster: "inbound|80||"}, mesh.End{}, web.End, web.By, ""},
		{"past the mesh", &web, Upstream{Cluster: "PassthroughCluster"}, web.End, mesh.End{}, mesh.UnknownExternal, ""},
		{"refused", &web, Upstream{Cluster: "BlackHoleCluster"}, web.End, mesh.End{}, mesh.UnknownNoUpstream, ""},
		{"a gateway", &ew, Upstream{Cluster: "outbound_.80_._.db.shop.svc.cluster.local"}, mesh.End{}, mesh.End{Namespace: "shop", Service: "db"}, mesh.UnknownNoCluster, "b/istio-system/ew"},
		{"zones", &web, Upstream{Cluster: "outbound|80||db.shop.svc.cluster.local", From: "1", To: "s-2"}, web.End, mesh.End{Region: "s", Zone: "s-2", Namespace: "shop", Service: "db"}, mesh.UnknownNoCluster, ""},
		{"a zone of every region", &web, Upstream{Cluster: "outbound|80||db.shop.svc.cluster.local", From: "1", To: "2"}, web.End, mesh.End{Namespace: "shop", Service: "db"}, mesh.UnknownNoCluster, ""},
		{"a zone of another cloud", &web, Upstream{Cluster: "outbound|80||db.shop.svc.cluster.local", From: "r-1", To: "europe-west4-c"}, web.End, mesh.End{Zone: "europe-west4-c", Namespace: "shop", Service: "db"}, mesh.UnknownNoCluster, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, ok := JudgeUpstream(s.At(time.Time{}), tt.near, &tt.upstream)
			require.True(t, ok)
			assert.Equal(t, tt.source, v.Source)
			assert.Equal(t, tt.destination, v.Destination)
			assert.Equal(t, tt.destinationBy.String(), v.DestinationBy.String())
			assert.Equal(t, tt.via, v.Via)
			tt.upstream.Stamped = v
			again, _ := JudgeUpstream(s.At(time.Time{}), tt.near, &tt.upstream)
			assert.Equal(t, v, again, "a second pass must change nothing")
		})
	}
	for _, name := range []string{"", "xds-grpc", "connect_originate", "my_cluster"} {
		_, ok := JudgeUpstream(s.At(time.Time{}), &web, &Upstream{Cluster: name})
		assert.False(t, ok, name)
	}
}
