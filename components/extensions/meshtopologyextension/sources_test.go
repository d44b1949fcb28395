// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

const described = `clusters:
  - {name: west, network: vnet-west, workloads: [{name: w, namespace: ns, pods: [{name: static, addresses: [10.0.0.1]}]}]}
  - {name: north, network: vnet-north, workloads: [{name: w, namespace: ns, pods: [{name: static, addresses: [10.0.0.1]}]}]}
`

// A cluster that both the file and an inventory describe is the inventory's, once that is whole, and the file's again
// when the inventory has expired.
func TestTheInventoryOverrulesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	replace(t, file, described)
	cfg := withStatic(hub(t), file)
	f := started(t, cfg)
	assert.Equal(t, "west/static", f.holder("vnet-west", "10.0.0.1"))

	west := newSpoke("west", "u1", 1, 1)
	whole := west.snapshot(begin)
	f.accept(whole...)
	f.tick()
	assert.Equal(t, "west/p0", f.holder("vnet-west", "10.0.0.1"))
	assert.Equal(t, "north/static", f.holder("vnet-north", "10.0.0.1"))
	assert.Equal(t, []string{"west: sources inventory, static"}, f.ongoing(topology.KindDuplicateClusterName))
	assert.Equal(t, topology.SeverityInfo, f.finding(topology.KindDuplicateClusterName).Severity)

	f.clock.Add(int64(time.Second))
	replace(t, file, described+"  - {name: south}\n")
	f.eventually(func() bool { return f.Snapshot().Stats().Clusters == 3 }, "read again")
	assert.Equal(t, "west/p0", f.holder("vnet-west", "10.0.0.1"), "the file does not take it back")
	f.tick()
	assert.Positive(t, f.engine.totals.Load().overruled)

	f.forward(25 * time.Hour)
	f.eventually(func() bool { return f.holder("vnet-west", "10.0.0.1") == "west/static" }, "better than nothing")
	assert.Empty(t, f.ongoing(topology.KindDuplicateClusterName))
}

// Until an inventory is whole, what the file says stays.
func TestHalfAnInventoryOverrulesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	replace(t, file, described)
	cfg := withStatic(hub(t), file)
	f := started(t, cfg)
	west := newSpoke("west", "u1", 1, 1)
	f.accept(west.delta(&topology.Delta{At: begin, Pods: []topology.PodState{podOf(7)}})...)
	f.tick()
	assert.Equal(t, "west/static", f.holder("vnet-west", "10.0.0.1"))
	assert.False(t, f.stale("west"))
	f.accept(west.snapshot(begin)...)
	f.tick()
	assert.Equal(t, "west/p0", f.holder("vnet-west", "10.0.0.1"))
	assert.Equal(t, "west/p7", f.holder("vnet-west", "10.0.0.8"))
	require.NoError(t, f.Shutdown(context.Background()))
}

// fakeKube is an API server's source that a test speaks for.
type fakeKube struct {
	settings kube.Settings
	mu       sync.Mutex
	state    kube.State
	deltas   chan *topology.Delta
	ran      *atomic.Int32
}

func (k *fakeKube) Run(ctx context.Context, emit func(*topology.Delta)) error {
	k.ran.Add(1)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d := <-k.deltas:
			emit(d)
		}
	}
}

func (k *fakeKube) State() kube.State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

func (k *fakeKube) set(state kube.State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state = state
}

func (*fakeKube) Counters() kube.Counters { return kube.Counters{Events: 5, Lists: 1} }

func withKubernetes(cfg *Config) *Config {
	cfg.PublishInterval = 10 * time.Millisecond
	cfg.Kubernetes = configoptional.Some(KubernetesConfig{Cluster: "west", NodeName: "n1", SystemNamespace: "istio-system", IstioRevision: "1-27", StaleAfter: 90 * time.Second})
	return cfg
}

// withFake lets the extension open the fake in the place of an API server's source.
func withFake(t *testing.T, cfg *Config) (*fixture, *fakeKube) {
	t.Helper()
	f := build(t, cfg)
	k := &fakeKube{deltas: make(chan *topology.Delta), ran: &atomic.Int32{}}
	f.openKube = func(s kube.Settings) (kubeSource, error) {
		k.settings = s
		return k, nil
	}
	require.NoError(t, f.Start(context.Background(), f.host))
	return f, k
}

func fullOf(at time.Time, pods ...topology.PodState) *topology.Delta {
	return &topology.Delta{Cluster: "west", At: at, Full: true, Facts: &topology.ClusterFacts{Network: "vnet-west"}, Pods: pods}
}

func TestKubernetes(t *testing.T) {
	f, k := withFake(t, withKubernetes(createDefaultConfig().(*Config)))
	assert.Equal(t, kube.ScopeNode, k.settings.Scope)
	assert.Equal(t, "n1", k.settings.NodeName)
	assert.Equal(t, "1-27", k.settings.IstioRevision)
	f.tick()
	assert.Equal(t, componentstatus.StatusRecoverableError, f.host.last(), "not synced")
	k.settings.Report(topology.Finding{Kind: topology.KindKubernetesUnreachable, Cluster: "west", Subject: "west"})
	k.set(kube.State{LastError: "connection refused"})
	f.tick()
	assert.Len(t, f.ongoing(topology.KindKubernetesUnreachable), 1)

	k.deltas <- fullOf(begin, podOf(0))
	k.set(kube.State{Synced: true, Confirmed: begin, Watches: 3, Live: 3})
	f.eventually(func() bool { return f.holder("vnet-west", "10.0.0.1") == "west/p0" }, "visible")
	f.tick()
	assert.Equal(t, componentstatus.StatusOK, f.host.last())
	assert.Empty(t, f.ongoing(topology.KindKubernetesUnreachable))

	f.forward(100 * time.Second)
	assert.True(t, f.stale("west"))
	assert.Equal(t, []string{"west: kubernetes"}, f.ongoing(topology.KindClusterStale))
	f.forward(100 * time.Hour)
	assert.Equal(t, "west/p0", f.holder("vnet-west", "10.0.0.1"), "the own node is never forgotten")
	k.deltas <- &topology.Delta{Cluster: "west", At: f.at()}
	f.eventually(func() bool { return !f.stale("west") }, "confirmed")
	assert.Empty(t, f.ongoing(topology.KindClusterStale))
	metadatatest.AssertEqualExtensionMeshTopologyKubernetesEvents(t, f.telemetry, []metricdata.DataPoint[int64]{point(5)}, metricdatatest.IgnoreTimestamp())
	status := f.status().Sources[0]
	assert.Equal(t, "kubernetes", status.Source)
	assert.True(t, status.Ready)
	assert.Equal(t, 3, status.LiveWatches)
}

// A node's own cluster, in an agent that also has a file of the whole mesh: the API server knows better.
func TestKubernetesOverrulesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	replace(t, file, described)
	f, k := withFake(t, withKubernetes(withStatic(createDefaultConfig().(*Config), file)))
	assert.Equal(t, "west/static", f.holder("vnet-west", "10.0.0.1"))
	k.deltas <- fullOf(begin, podOf(0))
	f.eventually(func() bool { return f.holder("vnet-west", "10.0.0.1") == "west/p0" }, "visible")
	assert.Equal(t, []string{"west: sources kubernetes, static"}, f.ongoing(topology.KindDuplicateClusterName))
}

// When an inventory took the own cluster and expires, the API server is read anew.
func TestKubernetesTellsAllAgain(t *testing.T) {
	f, k := withFake(t, withKubernetes(hub(t)))
	k.deltas <- fullOf(begin, podOf(0))
	f.eventually(func() bool { return f.holder("vnet-west", "10.0.0.1") == "west/p0" }, "visible")
	f.accept(newSpoke("west", "u1", 1, 3).snapshot(begin)...)
	f.tick()
	assert.Equal(t, 3, f.Snapshot().Stats().Pods)
	f.forward(25 * time.Hour)
	f.eventually(func() bool { return k.ran.Load() == 2 }, "a new source")
	k.deltas <- fullOf(f.at(), podOf(4))
	f.eventually(func() bool { return f.holder("vnet-west", "10.0.0.5") == "west/p4" }, "visible")
	metadatatest.AssertEqualExtensionMeshTopologyKubernetesEvents(t, f.telemetry, []metricdata.DataPoint[int64]{point(10)}, metricdatatest.IgnoreTimestamp())
}

func TestAKubeconfigThatIsNotThereStopsTheStart(t *testing.T) {
	cfg := withKubernetes(createDefaultConfig().(*Config))
	cfg.Kubernetes.Get().Kubeconfig = filepath.Join(t.TempDir(), "none")
	require.ErrorContains(t, startError(t, cfg), "'kubernetes': ")
	cfg = createDefaultConfig().(*Config)
	cfg.RemoteSecrets = configoptional.Some(RemoteSecretsConfig{ClientConfig: ClientConfig{Kubeconfig: "/nonexistent/kubeconfig"}})
	require.ErrorContains(t, startError(t, cfg), "'remote_secrets': ")
}

func TestAStartThatFailsHalfwayLeavesNothing(t *testing.T) {
	cfg := withStatic(hub(t), filepath.Join(t.TempDir(), "none.yaml"))
	f := build(t, withKubernetes(cfg))
	f.openKube = func(kube.Settings) (kubeSource, error) { return nil, errors.New("no such thing") }
	require.ErrorContains(t, f.Start(context.Background(), f.host), "no such thing")
}

func TestFindingsAboutAnAPIServerEnd(t *testing.T) {
	f, k := withFake(t, withKubernetes(createDefaultConfig().(*Config)))
	forbidden := func(subject string) {
		k.settings.Report(topology.Finding{Kind: topology.KindKubernetesForbidden, Cluster: "west", Subject: subject, At: f.at()})
	}
	forbidden("pods")
	forbidden("nodes")
	k.settings.Report(topology.Finding{Kind: topology.KindKubernetesUnreachable, Cluster: "west", Subject: "west"})
	k.set(kube.State{Synced: true, Watches: 3, Live: 2})
	f.tick()
	assert.Len(t, f.ongoing(topology.KindKubernetesUnreachable), 1, "a watch is missing")
	k.set(kube.State{Synced: true, Watches: 3, Live: 3})
	f.tick()
	assert.Empty(t, f.ongoing(topology.KindKubernetesUnreachable))

	k.settings.Resolve(topology.KindKubernetesForbidden, "pods")
	assert.Equal(t, []string{"west: nodes"}, f.ongoing(topology.KindKubernetesForbidden))
	f.forward(9 * time.Minute)
	assert.Equal(t, []string{"west: nodes"}, f.ongoing(topology.KindKubernetesForbidden))
	forbidden("nodes")
	f.forward(9 * time.Minute)
	assert.Equal(t, []string{"west: nodes"}, f.ongoing(topology.KindKubernetesForbidden), "it was repeated")
	f.forward(time.Minute)
	assert.Empty(t, f.ongoing(topology.KindKubernetesForbidden))

	k.settings.Report(topology.Finding{Kind: kube.KindMeshConfigMissing, Cluster: "west", Subject: "configmap a/istio", At: f.at()})
	f.forward(9 * time.Minute)
	assert.Equal(t, []string{"west: configmap a/istio"}, f.ongoing(kube.KindMeshConfigMissing))
	f.forward(time.Minute)
	assert.Empty(t, f.ongoing(kube.KindMeshConfigMissing))
}

// A workload that no pod is of is in the file too.
func TestAFileNamesWorkloadsWithoutPods(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	replace(t, file, "mesh_id: mesh1\n"+described+"  - {name: south, workloads: [{name: idle, namespace: ns, kind: job, service: s}]}\n")
	f := started(t, withStatic(createDefaultConfig().(*Config), file))
	w, ok := f.Snapshot().Workload("south", "ns", "idle")
	require.True(t, ok)
	assert.Equal(t, "s", w.End().Service)
	assert.Equal(t, "mesh1", f.Snapshot().MeshID())
	replace(t, file, described+"  - {name: south}\n")
	f.eventually(func() bool {
		_, ok := f.Snapshot().Workload("south", "ns", "idle")
		return !ok
	}, "gone")
}
