// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// TestNoForeignIdentityIsMissedAmongReplicas: with several replicas of the hub the edges are split by the called service, so an identity
// of two clusters may have an edge at each of two. Then none of them says two_clusters. But each cluster in which it does not belong
// is a finding at the replica that sees it there, of the trust domain, and what one of them finds the only one finds, too.
func TestNoForeignIdentityIsMissedAmongReplicas(t *testing.T) {
	type key struct{ principal, cluster string }
	foreign := func(findings []Finding) (list map[key]bool, two map[string][]string) {
		list, two = map[key]bool{}, map[string][]string{}
		for _, f := range findings {
			switch f.Kind {
			case ForeignCluster, ForeignDomain:
				list[key{f.Principal, f.Cluster}] = true
			case TwoClusters:
				two[f.Principal] = f.Clusters
			}
		}
		return list, two
	}
	missed, known := 0, 0
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // a test's
		domains := []string{"a.mesh", "b.mesh", ""}
		var clusters []topology.ClusterSpec
		for n := range 3 {
			clusters = append(clusters, cluster(fmt.Sprint("c", n), domains[random.IntN(3)]))
		}
		whole, parts := newMesh(t, clusters...), []*mesh{newMesh(t, clusters...), newMesh(t, clusters...)}
		var calls []call
		for range 8 {
			calls = append(calls, call{
				cluster: fmt.Sprint("c", random.IntN(3)), workload: "web", tls: graph.TLSMutual, requests: 1,
				source: fmt.Sprintf("spiffe://%s/ns/shop/sa/web-%d", domains[random.IntN(2)], random.IntN(2)),
			})
		}
		all := whole.pass(16, calls...)
		list, two := foreign(all.Findings)
		union := map[key]bool{}
		partly := map[string][]string{}
		for n, m := range parts {
			own, twice := foreign(m.pass(16, calls[4*n:4*n+4]...).Findings)
			for k := range own {
				union[k] = true
			}
			maps.Copy(partly, twice)
		}
		require.Equal(t, list, union, "seed %d", seed)
		for principal, clusters := range two {
			found := 0
			for _, c := range clusters {
				if union[key{principal, c}] {
					found++
				}
			}
			assert.Positive(t, found, "seed %d: %s of %v", seed, principal, clusters)
			if partly[principal] == nil {
				missed++
			} else {
				known++
			}
		}
		for principal := range partly {
			assert.Contains(t, two, principal, "a part finds nothing that the whole does not")
		}
	}
	assert.Positive(t, missed, "else there were no limit to tell of")
	assert.Positive(t, known)
}
