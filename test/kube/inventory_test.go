// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/meshinventoryreceiver"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

func TestInventoryIsWhatTheAPIServerHolds(t *testing.T) {
	const n = 300
	c, nodes, pods := inventoryCluster(t, n)
	h := newInventoryHub()
	r := startInventory(t, c, h, "a")
	awaitTruth(t, c, h)

	bytes, running := 0, 0
	for _, a := range h.from("a", 0) {
		if a.message.Kind == inventory.KindSnapshot {
			bytes += a.size
		}
	}
	running = len(hubPods(h, c.Name))
	require.GreaterOrEqual(t, running, n)
	require.LessOrEqual(t, bytes/running, 200)
	t.Logf("snapshot: %d bytes a pod, with nodes, services and all", bytes/running)

	k := c.Kubelet()
	for i, p := range pods[:60] {
		switch i % 3 {
		case 0: // the address goes to another pod at once
			require.NoError(t, k.Remove(t.Context(), p))
			successor, err := c.Client.CoreV1().Pods("shop").Create(t.Context(), kubetest.Pod(kubetest.PodOptions{
				Namespace: "shop", Workload: "successor", Ordinal: i, Node: p.Spec.NodeName,
			}), meta.CreateOptions{})
			require.NoError(t, err)
			_, err = k.Run(t.Context(), successor, netip.MustParseAddr(p.Status.HostIP), netip.MustParseAddr(p.Status.PodIP))
			require.NoError(t, err)
		case 1:
			require.NoError(t, k.Remove(t.Context(), p))
		case 2:
			_, err := k.Complete(t.Context(), p, true)
			require.NoError(t, err)
		}
	}
	for i := range 30 {
		runPod(t, c, nodes, n+i)
	}
	awaitTruth(t, c, h)

	s := h.store.Snapshot()
	require.Equal(t, 3, s.Stats().Nodes)
	known, ok := s.Cluster(c.Name)
	require.True(t, ok)
	require.Equal(t, "net-west", known.Network)
	require.Equal(t, "west.example", known.TrustDomain)
	require.Equal(t, "westeurope", known.Region)
	kubeSystem, err := c.Client.CoreV1().Namespaces().Get(t.Context(), "kube-system", meta.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, string(kubeSystem.UID), known.Facts().UID)
	gateways := slices.Collect(s.Gateways(c.Name))
	require.Len(t, gateways, 1)

	// All of it again, from a snapshot alone: what the next leader publishes.
	r.stop(t)
	fresh := newInventoryHub()
	startInventory(t, c, fresh, "b")
	awaitTruth(t, c, fresh)
	require.Empty(t, h.errs)
	require.Zero(t, h.assembler.Counters().Lost)
}

func TestInventoryReplicasPublishOnce(t *testing.T) {
	c, nodes, _ := inventoryCluster(t, 20)
	h := newInventoryHub()
	a := startInventory(t, c, h, "a")
	awaitTruth(t, c, h)
	b := startInventory(t, c, h, "b")
	for i := range 10 {
		runPod(t, c, nodes, 100+i)
	}
	awaitTruth(t, c, h)
	n := h.count()
	// Longer than the lease lasts.
	require.Eventually(t, func() bool { return len(h.from("a", n)) > 10 }, within, 20*time.Millisecond)
	require.Empty(t, h.from("b", 0), "two publish")
	first := h.from("a", 0)[0].message.Epoch

	// Killed: from here on it can neither renew nor release.
	a.proxy.Refuse()
	a.proxy.Cut()
	killed := time.Now()
	a.stop(t)
	n = h.count()
	require.Eventually(t, func() bool { return len(h.from("b", 0)) > 0 }, within, 20*time.Millisecond)
	took := time.Since(killed)
	t.Logf("killed: the other one publishes after %s (lease_duration 3s)", took.Round(10*time.Millisecond))
	require.Less(t, took, 3*time.Second+5*time.Second, "the lease, a retry, and reading the cluster on a busy machine")
	second := h.from("b", 0)[0].message
	require.Equal(t, inventory.KindSnapshot, second.Kind)
	require.Greater(t, second.Epoch, first)
	runPod(t, c, nodes, 200)
	awaitTruth(t, c, h)
	require.Empty(t, h.from("a", n))

	// Cut off, and alive: it stops by itself before the other one begins.
	third := startInventory(t, c, h, "c")
	b.proxy.Refuse()
	b.proxy.Cut()
	require.Eventually(t, func() bool { return len(h.from("c", 0)) > 0 }, within, 20*time.Millisecond)
	require.Eventually(t, func() bool { return b.host.status() == componentstatus.StatusRecoverableError }, within, 20*time.Millisecond)
	n = h.count()
	require.Eventually(t, func() bool { return len(h.from("c", n)) > 5 }, within, 20*time.Millisecond)
	require.Empty(t, h.from("b", n))

	// Stopped in order: the other one need not wait for the lease to run out.
	b.proxy.Resume()
	require.Eventually(t, func() bool { return b.host.status() == componentstatus.StatusOK }, within, 20*time.Millisecond)
	n = h.count()
	stopped := time.Now()
	third.stop(t)
	require.Eventually(t, func() bool { return len(h.from("b", n)) > 0 }, within, 20*time.Millisecond)
	t.Logf("stopped: the other one publishes after %s", time.Since(stopped).Round(10*time.Millisecond))
	require.Greater(t, h.from("b", n)[0].message.Epoch, h.from("c", 0)[0].message.Epoch)
	awaitTruth(t, c, h)
	require.Empty(t, h.errs)
	require.Zero(t, h.assembler.Counters().OldEpoch)
	require.Zero(t, h.assembler.Counters().Lost)
}

func TestInventorySaysHowOldItIsWhileTheAPIServerIsDown(t *testing.T) {
	c, nodes, _ := inventoryCluster(t, 10)
	h := newInventoryHub()
	// With an election it would fall silent after renew_deadline, as nobody can tell who leads.
	r := startInventory(t, c, h, "a", func(cfg *meshinventoryreceiver.Config) { cfg.LeaderElection.Enabled = false })
	awaitTruth(t, c, h)
	require.NoError(t, c.KillAPIServer())
	down, n := time.Now(), h.count()
	require.Eventually(t, func() bool { return r.host.status() == componentstatus.StatusRecoverableError }, within, 20*time.Millisecond)
	require.Eventually(t, func() bool { return len(h.from("a", n)) > 5 }, within, 20*time.Millisecond, "heartbeats go on")
	for _, a := range h.from("a", n) {
		require.False(t, a.message.At.After(down), "%v was confirmed while the API server was down since %v", a.message.At, down)
	}
	require.NoError(t, c.StartAPIServer(t.Context()))
	runPod(t, c, nodes, 50)
	awaitTruth(t, c, h)
	require.Eventually(t, func() bool { return r.host.status() == componentstatus.StatusOK }, within, 20*time.Millisecond)
	t.Logf("the API server was back, and the hub knew, %s after it was killed", time.Since(down).Round(10*time.Millisecond))
}
