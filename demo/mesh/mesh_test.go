// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/static"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNewRefuses(t *testing.T) {
	_, err := New(Options{})
	require.ErrorContains(t, err, "Options.Envoy is empty")
	_, err = New(Options{Envoy: "envoy", Agents: map[string]AgentAddresses{"aks-mars": {}}})
	require.ErrorContains(t, err, `names cluster "aks-mars"`)
}

func TestControlNeedsARunningMesh(t *testing.T) {
	m, err := New(Options{Envoy: "envoy"})
	require.NoError(t, err)
	require.ErrorIs(t, m.Fail("aks-westeurope", "reviews"), errNotRunning)
	require.ErrorIs(t, m.Heal(t.Context(), "aks-westeurope", "reviews"), errNotRunning)
	require.ErrorIs(t, m.KillEnvoy("127.1.0.31"), errNotRunning)
	require.ErrorIs(t, m.Ready(t.Context()), errNotRunning)
	require.ErrorContains(t, m.Fail("aks-mars", "reviews"), `no cluster "aks-mars"`)
	require.NoError(t, m.Stop(t.Context()), "stopping what does not run is no error")
}

func TestStartNamesTheTakenAddress(t *testing.T) {
	for address, want := range map[string]string{
		"127.1.0.31:15090": "address 127.1.0.31:15090 (reviews-v1-6d5f7c9b8-abcde) in use: is another demo or `make test` running?",
		claimAddress:       "address " + claimAddress + " (the mesh's lock) in use: is another demo or `make test` running?",
	} {
		t.Run(address, func(t *testing.T) {
			taken, err := net.Listen("tcp", address)
			require.NoError(t, err)
			defer func() { require.NoError(t, taken.Close()) }()
			m, err := New(Options{Envoy: "envoy", Dir: t.TempDir()})
			require.NoError(t, err)
			require.EqualError(t, m.Start(t.Context()), want)
			require.ErrorIs(t, m.Ready(t.Context()), errNotRunning)
		})
	}
}

func TestStartWaitsForItsTurn(t *testing.T) {
	taken, err := net.Listen("tcp", claimAddress)
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	m, err := New(Options{Envoy: "envoy", Dir: t.TempDir(), Wait: true})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*probeInterval)
	defer cancel()
	err = m.Start(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "is another demo or `make test` running?")
}

func TestStartSaysThatEnvoyIsMissing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "envoy")
	m, err := New(Options{Envoy: missing, Wait: true})
	require.NoError(t, err)
	for range 2 { // the first failure leaves nothing that the second one could trip over
		err := m.Start(t.Context())
		require.ErrorIs(t, err, os.ErrNotExist)
		require.ErrorContains(t, err, missing)
		require.Empty(t, m.PIDs())
		require.ErrorIs(t, m.Ready(t.Context()), errNotRunning)
	}
}

// TestTopologyIsWhatTheExtensionReads parses the file with the extension's own parser and looks every pod up.
func TestTopologyIsWhatTheExtensionReads(t *testing.T) {
	file, err := Topology()
	require.NoError(t, err)
	snapshot, err := static.Parse(file, topology.Limits{}, time.Unix(0, 0))
	require.NoError(t, err)
	require.Equal(t, layout.MeshID, snapshot.MeshID())
	require.Len(t, Truth(), 16)
	for _, truth := range Truth() {
		address := netip.MustParseAddr(truth.IP)
		pod, ok := snapshot.ByAddress(truth.End.Network, address)
		require.True(t, ok, truth.Pod)
		require.Equal(t, truth.Pod, pod.Name)
		require.Equal(t, truth.Node, pod.Node.Name)
		require.Equal(t, truth.End, pod.End())
		_, isGateway := snapshot.OwnGateway(truth.End.Network, address)
		require.Equal(t, truth.Gateway, isGateway, truth.Pod)
		for _, key := range []string{truth.IP, truth.Pod, truth.NodeID} {
			found, ok := TruthOf(key)
			require.True(t, ok, key)
			require.Equal(t, truth, found)
		}
	}
	_, ok := TruthOf("127.9.9.9")
	require.False(t, ok)
}

func TestScrapeTargets(t *testing.T) {
	require.Equal(t, []string{
		"127.2.0.21:15090", "127.2.0.25:15090", "127.2.0.31:15090", "127.2.0.32:15090", "127.2.0.33:15090", "127.2.0.41:15090",
	}, ScrapeTargets("aks-northeurope"))
	require.Empty(t, ScrapeTargets("aks-mars"))
	require.Equal(t, "http://127.1.0.10:8080", IngressURL("aks-westeurope"))
	require.Empty(t, IngressURL("aks-mars"))
}

func TestLoadRefusesRates(t *testing.T) {
	m, err := New(Options{Envoy: "envoy"})
	require.NoError(t, err)
	for _, rps := range []float64{0, -1, 1001} {
		_, err := m.Load(t.Context(), rps, nil)
		require.ErrorContains(t, err, "want more than 0, at most 1000")
	}
}

func TestLoadCountsFailures(t *testing.T) {
	m, err := New(Options{Envoy: "envoy", Wait: true})
	require.NoError(t, err)
	// Nobody listens on the ingress addresses: another mesh would, so take its lock.
	require.NoError(t, m.claimMachine(t.Context()))
	defer func() { require.NoError(t, m.cleanup()) }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	outcomes := 0
	summary, err := m.Load(ctx, 1000, func(o Outcome) {
		require.Error(t, o.Err)
		require.False(t, o.OK)
		if outcomes++; outcomes == 10 {
			cancel()
		}
	})
	require.NoError(t, err)
	require.GreaterOrEqual(t, summary.Sent, 10)
	require.Zero(t, summary.OK)
	require.Equal(t, summary.Sent, summary.ByStatus[0])
	require.Equal(t, summary.Sent, summary.ByCluster["aks-westeurope"]+summary.ByCluster["aks-northeurope"])
}

func TestPathMix(t *testing.T) {
	counts := map[string]int{}
	for n := range 100 {
		path, status := pathOf(n)
		counts[path]++
		require.Equal(t, path == "/productpage?missing=1", status == http.StatusNotFound)
	}
	require.Equal(t, map[string]int{"/productpage?missing=1": 5, "/productpage?broken=1": 4, "/productpage": 91}, counts)
}
