// SPDX-License-Identifier: Apache-2.0

package wholepath_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/churn"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

// Shorter times than the shipped ones, so that a test sees a cluster become stale and a leader be replaced; what recovers
// is the same.
const (
	impatientHub       = `{extensions: {mesh_topology: {inventory: {stale_after: 4s, save_interval: 1s}}}}`
	impatientInventory = `{receivers: {mesh_inventory: {delta_interval: 200ms, heartbeat_interval: 1s, snapshot_interval: 30s,
leader_election: {identity: HOST, lease_duration: 5s, renew_deadline: 3s, retry_period: 1s}}}}`
)

// TestTheHubRecovers breaks one thing after the other while pods come and go. Each has to mend itself, stale knowledge has
// to say that it is, and no answer may be wrong, neither now nor about the past.
func TestTheHubRecovers(t *testing.T) {
	s := newStage(t, impatientHub)
	west := s.regions[0]
	truth := churn.NewTruth()
	drivers := make([]*churn.Driver, len(s.regions))
	for i, r := range s.regions {
		drivers[i] = r.driver(t, truth, 60, 3, uint64(i)+11)
	}
	fill(t, drivers)
	for i, r := range s.regions {
		host := []string{"127.9.1.1", "127.9.2.1"}[i]
		s.inventory(r, host, strings.Replace(impatientInventory, "HOST", host, 1))
	}
	second := "127.9.1.2"
	s.inventory(west, second, strings.Replace(impatientInventory, "HOST", second, 1))
	s.eventually("the hub knows both clusters", func() bool { return s.fresh() })

	from := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, len(drivers))
	for _, d := range drivers {
		go func() { done <- d.Run(ctx) }()
	}
	for _, fault := range []struct {
		name string
		// stale says that the hub has to mark the cluster stale meanwhile.
		stale       bool
		strike, end func(t *testing.T)
	}{
		{
			name: "API server killed and restarted", stale: true,
			strike: func(t *testing.T) { require.NoError(t, west.KillAPIServer()) },
			end:    func(t *testing.T) { require.NoError(t, west.StartAPIServer(t.Context())) },
		},
		{
			name: "etcd compacted while the watches were down", stale: true,
			strike: func(*testing.T) { west.Proxy.Refuse() },
			end: func(t *testing.T) {
				_, err := west.Compact(t.Context())
				require.NoError(t, err)
				require.NoError(t, west.RestartAPIServer(t.Context()))
				west.Proxy.Resume()
			},
		},
		{name: "watches cut", strike: func(t *testing.T) { require.Positive(t, west.Proxy.Cut()) }},
		{
			name: "a network that swallows packets", stale: true,
			strike: func(*testing.T) { west.Proxy.Stall() }, end: func(*testing.T) { west.Proxy.Resume() },
		},
		{
			name: "expired token", stale: true,
			strike: func(t *testing.T) { s.expire(west) },
			end: func(t *testing.T) {
				token, err := west.Token(t.Context(), home, "otelcol-mesh-inventory", time.Hour)
				require.NoError(t, err)
				require.NoError(t, kubetest.WriteToken(filepath.Join(filepath.Dir(west.kubeconfig), "token"), token))
			},
		},
		{name: "leader of the inventory killed", strike: func(t *testing.T) { s.killLeader(west) }},
		{name: "hub killed", strike: func(t *testing.T) { require.NoError(t, s.hub.Kill()) }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			fault.strike(t)
			if fault.stale {
				took := s.eventually("the cluster is stale", func() bool { c, err := s.cluster(west.Name); return err == nil && c.Stale })
				t.Logf("stale after %s", took.Round(10*time.Millisecond))
			}
			if fault.end != nil {
				fault.end(t)
			}
			struck := time.Now()
			took := s.eventually("all is fresh again", func() bool { return s.fresh() && s.confirmed(struck) })
			t.Logf("fresh again after %s", took.Round(10*time.Millisecond))
		})
	}

	stop()
	for range drivers {
		require.NoError(t, <-done)
	}
	to := time.Now()
	s.eventually("the hub has heard of everything", func() bool { return s.confirmed(to.Add(slack)) })
	now, past := map[churn.Verdict]int{}, map[churn.Verdict]int{}
	for _, place := range truth.Places() {
		judge(t, now, truth, churn.Moment{Network: place.Network, Address: place.Address, At: to}, time.Time{})
	}
	t.Logf("now: %v", now)
	assert.Zero(t, now[churn.Wrong]+now[churn.Missed])
	for _, m := range truth.Moments(3, moments, from, to) {
		judge(t, past, truth, m, m.At)
	}
	// Pods that ended while nobody watched leave a time in which nobody can be named: missed is honest here.
	t.Logf("at %d moments of the past: %v", moments, past)
	assert.Zero(t, past[churn.Wrong])
}

// expire gives the inventory a token that is over soon, and lets it notice.
func (s *stage) expire(r *region) {
	s.t.Helper()
	token, err := r.TokenUntil(s.t.Context(), home, "otelcol-mesh-inventory", time.Now())
	require.NoError(s.t, err)
	require.NoError(s.t, kubetest.WriteToken(filepath.Join(filepath.Dir(r.kubeconfig), "token"), token))
	r.Proxy.Cut()
	// Clients read the file again once a minute.
	s.eventually("a request is refused for its token", func() bool {
		r.Proxy.Cut()
		c, err := s.cluster(r.Name)
		return err == nil && c.Stale
	})
}

// killLeader kills the replica that has the lease, for good.
func (s *stage) killLeader(r *region) {
	s.t.Helper()
	leader := s.leader(r)
	require.Contains(s.t, r.replicas, leader)
	require.NoError(s.t, r.replicas[leader].Hold())
	s.eventually("another replica has the lease", func() bool { return s.leader(r) != leader })
}

func (s *stage) leader(r *region) string {
	s.t.Helper()
	lease, err := r.Client.CoordinationV1().Leases(home).Get(s.t.Context(), "otelcol-mesh-inventory", meta.GetOptions{})
	require.NoError(s.t, err)
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	host, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return host
}
