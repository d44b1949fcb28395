// SPDX-License-Identifier: Apache-2.0

package router

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// istiods is what the agents of n clusters scrape: of an istiod, what tells of the control plane and what does not, and the version
// of a proxy.
func istiods(n int) pmetric.Metrics {
	md, at := pmetric.NewMetrics(), pcommon.NewTimestampFromTime(time.Now())
	for i := range n {
		for service, names := range map[string][]string{
			"istiod": {"pilot_info", "pilot_xds", "istiod_uptime_seconds", "pilot_services"}, "reviews": {"istio_build"},
		} {
			rm := md.ResourceMetrics().AppendEmpty()
			rm.Resource().Attributes().PutStr("k8s.cluster.name", fmt.Sprint("cluster-", i))
			rm.Resource().Attributes().PutStr("service.name", service)
			for _, name := range names {
				m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
				m.SetName(name)
				p := m.SetEmptyGauge().DataPoints().AppendEmpty()
				p.SetTimestamp(at)
				p.SetIntValue(1)
			}
		}
	}
	return md
}

// TestControlPlanesComeToOneReplica: what tells of the control planes of all clusters comes to one replica by all routers, whichever
// sends it, and to one of the others by routers that know the first one as gone. The rest of istiods' metrics is spread by cluster.
func TestControlPlanesComeToOneReplica(t *testing.T) {
	hosts := []string{"127.12.2.33", "127.12.2.34", "127.12.2.35"}
	var replicas []*replica
	for _, host := range hosts {
		replicas = append(replicas, startReplica(t, host))
	}
	router := func(host string, of []string) *process {
		return start(t, host, []string{"../../../distribution/examples/router-static.yaml"},
			"MESH_HUB_REPLICAS=["+strings.Join(of, ":14317, ")+":14317]")
	}
	const n = 20
	// held returns what each replica has of control planes, and how many have something else.
	held := func() (planes []map[string]int, others int) {
		for _, r := range replicas {
			r.mu.Lock()
			own := map[string]int{}
			for name, count := range r.points {
				if name != "istiod/pilot_services" {
					own[name] = count
				}
			}
			if r.points["istiod/pilot_services"] > 0 {
				others++
			}
			r.mu.Unlock()
			planes = append(planes, own)
		}
		return planes, others
	}
	deliver(t, router("127.12.2.31", hosts).dial(t), istiods(n))
	deliver(t, router("127.12.2.32", []string{hosts[2], hosts[0], hosts[1]}).dial(t), istiods(n))
	planes, others := held()
	assert.Equal(t, len(hosts), others, "what is not about control planes is spread")
	owner := -1
	for i := range planes {
		if len(planes[i]) > 0 {
			require.Equal(t, -1, owner, "one replica has them: %v", planes)
			owner = i
		}
	}
	require.NotEqual(t, -1, owner)
	assert.Equal(t, map[string]int{"istiod/pilot_info": 2 * n, "istiod/pilot_xds": 2 * n, "istiod/istiod_uptime_seconds": 2 * n, "reviews/istio_build": 2 * n}, planes[owner])

	left := []string{hosts[(owner+1)%3], hosts[(owner+2)%3]}
	deliver(t, router("127.12.2.36", left).dial(t), istiods(n))
	after, _ := held()
	assert.Equal(t, planes[owner], after[owner])
	next := 0
	for i := range after {
		if i != owner && len(after[i]) > 0 {
			next++
			assert.Equal(t, n, after[i]["istiod/pilot_xds"])
			assert.Len(t, after[i], 4)
		}
	}
	assert.Equal(t, 1, next, "all of it goes to one other")
}
