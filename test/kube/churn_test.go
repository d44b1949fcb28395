// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/churn"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

// TestChurnRecordsWhatARealServerSays churns one cluster, kills its API server meanwhile, and compares the record with
// what the server lists at the end.
func TestChurnRecordsWhatARealServerSays(t *testing.T) {
	c := kubetest.Start(t, kubetest.Options{})
	c.Namespace(t, "churn", nil)
	nodes, err := churn.NodesOf(c.Nodes(t, 3, kubetest.NodeOptions{}))
	require.NoError(t, err)
	truth := churn.NewTruth()
	const pods = 60
	driver, err := churn.New(churn.Settings{
		Cluster: c.Name, Network: "net", Namespace: "churn", API: churn.Cluster(c), Truth: truth, Nodes: nodes, Pods: pods, Seed: 1,
	})
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, driver.Fill(t.Context()))
	t.Logf("%d pods after %s", pods, time.Since(began).Round(time.Millisecond))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- driver.Run(ctx) }()
	more := func() {
		t.Helper()
		before := driver.Counts()[churn.Replace]
		require.Eventually(t, func() bool { return driver.Counts()[churn.Replace] > before+5 }, within, 10*time.Millisecond)
	}
	more()
	require.NoError(t, c.KillAPIServer())
	require.NoError(t, c.StartAPIServer(t.Context()))
	more()
	stop()
	require.NoError(t, <-done)
	t.Logf("events: %v", driver.Counts())

	list, err := c.Client.CoreV1().Pods("churn").List(t.Context(), meta.ListOptions{})
	require.NoError(t, err)
	running := 0
	for i := range list.Items {
		pod := &list.Items[i]
		address, err := netip.ParseAddr(pod.Status.PodIP)
		require.NoError(t, err)
		holder := truth.Holder("net", address, time.Now(), 0).Holder
		id := churn.PodID{Cluster: c.Name, Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
		if pod.Status.Phase == core.PodSucceeded {
			assert.NotEqual(t, id, holder, "a finished pod has no address")
			continue
		}
		running++
		assert.Equal(t, id, holder)
	}
	assert.Equal(t, pods, running)
}
