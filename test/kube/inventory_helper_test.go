// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/meshinventoryreceiver"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/leastprivilege"
)

const inventoryAccount = "otelcol-mesh-inventory"

// arrival is a message that a replica published.
type arrival struct {
	replica string
	message *inventory.Message
	size    int
}

// inventoryHub takes what all replicas publish, in the order in which it arrives, and assembles it.
type inventoryHub struct {
	mu        sync.Mutex
	arrivals  []arrival
	assembler *inventory.Assembler
	writer    *topology.Writer
	store     topology.Store
	errs      []error
}

func newInventoryHub() *inventoryHub {
	h := &inventoryHub{assembler: inventory.NewAssembler(inventory.AssemblerSettings{})}
	h.writer = topology.NewWriter(topology.WriterSettings{History: time.Hour, Store: &h.store})
	return h
}

// inventorySink is the hub as one replica sends to it.
type inventorySink struct {
	hub  *inventoryHub
	name string
}

func (inventorySink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (r inventorySink) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, resource := range logs.ResourceLogs().All() {
		for _, record := range resource.ScopeLogs().At(0).LogRecords().All() {
			m, err := inventorylog.FromLogRecord(record, resource.Resource().Attributes())
			if err != nil {
				h.errs = append(h.errs, err)
				continue
			}
			h.arrivals = append(h.arrivals, arrival{replica: r.name, message: m, size: len(m.Body)})
			h.take(m)
		}
	}
	return nil
}

func (h *inventoryHub) take(m *inventory.Message) {
	actions, err := h.assembler.Accept(m, time.Now())
	if err != nil {
		h.errs = append(h.errs, err)
	}
	for i := range actions {
		switch a := &actions[i]; a.Kind {
		case inventory.ActionApply:
			for j := range a.Update.Past {
				p := &a.Update.Past[j]
				h.writer.ApplyPast(a.Cluster, &p.PodState, p.Earliest, p.Latest, p.Gap)
			}
			h.writer.Apply(&a.Update.Delta)
		case inventory.ActionRemove:
			h.writer.Remove(a.Cluster)
		}
	}
	h.writer.Publish()
}

// from returns what the replica published, from the nth arrival of all on.
func (h *inventoryHub) from(name string, n int) []arrival {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []arrival
	for _, a := range h.arrivals[n:] {
		if a.replica == name {
			list = append(list, a)
		}
	}
	return list
}

func (h *inventoryHub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.arrivals)
}

// statusHost keeps the last status of a component.
type statusHost struct {
	mu   sync.Mutex
	last componentstatus.Status
}

func (*statusHost) GetExtensions() map[component.ID]component.Component { return nil }

func (h *statusHost) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = event.Status()
}

func (h *statusHost) status() componentstatus.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// inventoryReplica is a started receiver.
type inventoryReplica struct {
	receiver receiver.Logs
	proxy    *kubetest.Proxy
	host     *statusHost
	name     string
}

func (r *inventoryReplica) stop(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), within)
	defer cancel()
	require.NoError(t, r.receiver.Shutdown(ctx))
}

// startInventory starts a replica with a connection of its own, as the service account of the manifest.
func startInventory(
	t *testing.T, c *kubetest.Cluster, h *inventoryHub, name string, mutate ...func(*meshinventoryreceiver.Config),
) *inventoryReplica {
	proxy, err := c.NewProxy()
	require.NoError(t, err)
	factory := meshinventoryreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig().(*meshinventoryreceiver.Config)
	cfg.Cluster = c.Name
	cfg.Kubernetes.Kubeconfig = c.KubeconfigVia(t, proxy, home, inventoryAccount)
	cfg.LeaderElection.LeaseNamespace = home
	cfg.LeaderElection.Identity = name
	cfg.LeaderElection.LeaseDuration = 3 * time.Second
	cfg.LeaderElection.RenewDeadline = 2 * time.Second
	cfg.LeaderElection.RetryPeriod = 200 * time.Millisecond
	cfg.DeltaInterval, cfg.HeartbeatInterval = 50*time.Millisecond, 500*time.Millisecond
	for _, m := range mutate {
		m(cfg)
	}
	require.NoError(t, cfg.Validate())
	rcv, err := factory.CreateLogs(t.Context(), receivertest.NewNopSettings(factory.Type()), cfg, inventorySink{h, name})
	require.NoError(t, err)
	r := &inventoryReplica{receiver: rcv, proxy: proxy, host: &statusHost{}, name: name}
	require.NoError(t, rcv.Start(t.Context(), r.host))
	t.Cleanup(func() {
		r.stop(t)
		proxy.Close()
	})
	return r
}

// inventoryCluster is a cluster with n running pods and the role of the inventory.
func inventoryCluster(t *testing.T, n int) (*kubetest.Cluster, []*core.Node, []*core.Pod) {
	c := kubetest.Start(t, kubetest.Options{Name: "aks-westeurope"})
	c.CRDs(t)
	c.Istio(t, kubetest.Istio{Network: "net-west", MeshID: "mesh1", TrustDomain: "west.example"})
	c.Namespace(t, home, nil)
	c.Namespace(t, "shop", nil)
	text, err := os.ReadFile(filepath.Join("..", "..", "distribution", "rbac", "inventory.yaml"))
	require.NoError(t, err)
	c.Apply(t, string(text))
	granted, err := leastprivilege.Parse(string(text), home, inventoryAccount)
	require.NoError(t, err)
	awaitGrants(t, c, kubetest.ServiceAccountUser(home, inventoryAccount), granted)
	nodes := c.Nodes(t, 3, kubetest.NodeOptions{})
	pods := make([]*core.Pod, 0, n)
	for i := range n {
		pods = append(pods, runPod(t, c, nodes, i))
	}
	c.Service(t, "shop", "workload-0", 80)
	c.EastWestGateway(t, "net-west", netip.MustParseAddr("20.50.0.1"))
	return c, nodes, pods
}

// runPod runs the ith pod, with the ith address.
func runPod(t *testing.T, c *kubetest.Cluster, nodes []*core.Node, i int) *core.Pod {
	node := nodes[i%len(nodes)]
	pod, err := c.Client.CoreV1().Pods("shop").Create(t.Context(), kubetest.Pod(kubetest.PodOptions{
		Namespace: "shop", Workload: fmt.Sprintf("workload-%d", i%20), Ordinal: i, Node: node.Name,
	}), meta.CreateOptions{})
	require.NoError(t, err)
	host := netip.MustParseAddr(node.Status.Addresses[0].Address)
	pod, err = c.Kubelet().Run(t.Context(), pod, host, netip.AddrFrom4([4]byte{10, 244, byte(i >> 8), byte(i)}))
	require.NoError(t, err)
	return pod
}

// heldPod is a pod as far as both sides tell it.
type heldPod struct{ namespace, name, uid, address, node string }

// apiPods lists the pods that hold an address, as the API server has them.
func apiPods(t assert.TestingT, c *kubetest.Cluster) []heldPod {
	list, err := c.Client.CoreV1().Pods("").List(context.Background(), meta.ListOptions{})
	assert.NoError(t, err)
	var pods []heldPod
	for i := range list.Items {
		p := &list.Items[i]
		if p.Status.PodIP != "" && p.Status.Phase == core.PodRunning {
			pods = append(pods, heldPod{p.Namespace, p.Name, string(p.UID), p.Status.PodIP, p.Spec.NodeName})
		}
	}
	return pods
}

// hubPods lists the pods that hold an address, as the hub has them.
func hubPods(h *inventoryHub, cluster string) []heldPod {
	var pods []heldPod
	for p := range h.store.Snapshot().Pods(cluster) {
		if p.Ended() || len(p.Addresses()) == 0 {
			continue
		}
		u := p.UID()
		node := ""
		if p.Node != nil {
			node = p.Node.Name
		}
		pods = append(pods, heldPod{
			p.Workload.Namespace, p.Name, fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:]),
			p.Addresses()[0].String(), node,
		})
	}
	return pods
}

// awaitTruth waits until the hub has exactly what the API server has.
func awaitTruth(t *testing.T, c *kubetest.Cluster, h *inventoryHub) {
	t.Helper()
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		assert.ElementsMatch(t, apiPods(t, c), hubPods(h, c.Name))
	}, within, 100*time.Millisecond)
}
