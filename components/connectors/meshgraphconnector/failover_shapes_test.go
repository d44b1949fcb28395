// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// shape is what requests have in common that a proxy counts as one series.
type shape struct {
	reporter                        string
	fromCluster, fromRegion, caller string
	// cluster is empty for what reached nobody.
	service, cluster, region, version string
	code, flags                       string
}

// shapes are points as a hub got them from the agents of the demo mesh, one of each kind: by reporter, and by whether the call stayed
// in its cluster, went through the gateway into another one, or was refused. A caller's proxy does not know who answers behind a
// gateway: such a point has neither workload nor version.
type shapes struct {
	local, remote map[string]pcommon.Map
	refused       pcommon.Map
}

func readShapes(t *testing.T) *shapes {
	t.Helper()
	raw, err := os.ReadFile("testdata/demo-mesh.json")
	require.NoError(t, err)
	md, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(raw)
	require.NoError(t, err)
	s := &shapes{local: map[string]pcommon.Map{}, remote: map[string]pcommon.Map{}}
	for _, rm := range md.ResourceMetrics().All() {
		m := rm.ScopeMetrics().At(0).Metrics().At(0)
		require.Equal(t, "istio_requests_total", m.Name())
		a := m.Sum().DataPoints().At(0).Attributes()
		of := func(key string) string {
			v, _ := a.Get(key)
			return v.Str()
		}
		switch {
		case of("response_flags") != "-":
			s.refused = a
		case of("mesh.source.cluster") == of("mesh.destination.cluster"):
			s.local[of("reporter")] = a
		default:
			s.remote[of("reporter")] = a
		}
	}
	require.Len(t, s.local, 2)
	require.Len(t, s.remote, 2)
	require.NotZero(t, s.refused)
	return s
}

// put writes the attributes of a recorded point of its kind, with the names of this one where the recorded one has any.
func (k *shapes) put(s *shape, into pcommon.Map) {
	from := k.local[s.reporter]
	switch {
	case s.cluster == "":
		from = k.refused
	case s.cluster != s.fromCluster:
		from = k.remote[s.reporter]
	}
	from.CopyTo(into)
	set := func(key, value string) {
		if old, there := into.Get(key); there {
			old.SetStr(value)
		}
	}
	set("mesh.source.cluster", s.fromCluster)
	set("mesh.source.region", s.fromRegion)
	set("mesh.source.zone", s.fromRegion+"-1")
	set("mesh.source.network", "vnet-"+strings.TrimPrefix(s.fromCluster, "aks-"))
	set("mesh.source.workload", s.caller)
	set("mesh.source.service", s.caller)
	set("mesh.source.principal", "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-"+s.caller)
	cluster, region := s.cluster, s.region
	if cluster == "" {
		// The endpoint that was tried last.
		cluster, region = s.fromCluster, s.fromRegion
	}
	set("mesh.destination.cluster", cluster)
	set("mesh.destination.region", region)
	set("mesh.destination.zone", region+"-1")
	set("mesh.destination.network", "vnet-"+strings.TrimPrefix(cluster, "aks-"))
	set("mesh.destination.service", s.service)
	set("mesh.destination.workload", s.service+"-"+s.version)
	set("mesh.destination.version", s.version)
	set("mesh.destination.principal", "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-"+s.service)
	set("destination_service", s.service+".bookinfo.svc.cluster.local")
	set("destination_service_name", s.service)
	set("mesh.via", cluster+"/istio-system/istio-eastwestgateway")
	set("response_code", s.code)
	set("response_flags", s.flags)
	if region == s.fromRegion {
		set("mesh.traffic.locality", "same_zone")
	}
}
