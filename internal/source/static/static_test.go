// SPDX-License-Identifier: Apache-2.0

package static

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "topology.yaml"))
	require.NoError(t, err)
	s, err := Parse(data, topology.Limits{}, time.Unix(7, 0))
	require.NoError(t, err)
	assert.Equal(t, "mesh1", s.MeshID())
	assert.Equal(t, time.Unix(7, 0), s.Built())
	assert.Equal(t, topology.Stats{Clusters: 2, Workloads: 2, Pods: 3, Gateways: 1, Services: 1, Nodes: 1}, s.Stats())
	pod, ok := s.ByAddress("vnet-westeurope", netip.MustParseAddr("127.1.0.31"))
	require.True(t, ok)
	assert.Equal(t, "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews", pod.End().Principal)
	assert.Equal(t, "westeurope-1", pod.End().Zone, "a bare Azure zone is spelled out")
	pod, ok = s.ByPod("aks-northeurope", "bookinfo", "ratings-v1-2")
	require.True(t, ok)
	assert.Equal(t, "northeurope-2", pod.End().Zone)
}

func TestParseErrors(t *testing.T) {
	const head = "clusters:\n  - name: a\n    network: n\n"
	tests := []struct{ name, yaml, want string }{
		{"empty file", "", "write at least one cluster"},
		{"no clusters", "mesh_id: m\n", "write at least one cluster"},
		{"unknown key", head + "    regoin: westeurope\n", `line 4, column 5: unknown field "regoin"`},
		{"wrong type", head + "    gateways:\n      - {port: many}\n", "line 5"},
		{"port out of range", head + "    gateways:\n      - {port: 70000}\n", "line 5"},
		{"no YAML", "clusters: [", "line 1"},
		{"key twice", "mesh_id: a\nmesh_id: b\n" + head, "line 2"},
		{"missing name", "clusters:\n  - region: r\n", "line 2, clusters[0].name: write the cluster's name"},
		{
			"address with a port", head + "    nodes:\n      - name: n\n        addresses: [10.0.0.1:80]\n",
			`line 6, clusters[0].nodes[0].addresses: "10.0.0.1:80" is no IP address; write one without port`,
		},
		{
			"address twice",
			head + "    workloads:\n      - name: w\n        namespace: ns\n        pods:\n" +
				"          - name: p1\n            addresses: [10.0.0.1]\n          - name: p2\n            addresses: [10.0.0.1]\n",
			`line 11, clusters[0].workloads[0].pods[1].addresses: address 10.0.0.1 in network "n" belongs to pod ns/p1 of cluster "a" and to pod ns/p2 of cluster "a"`,
		},
		{"cluster twice", head + "  - name: a\n", `line 4, clusters[1].name: cluster "a" is described twice`},
		{"unspecified address", head + "    nodes:\n      - {name: n, addresses: [0.0.0.0]}\n", `"0.0.0.0" is no IP address`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.yaml), topology.Limits{}, time.Now())
			require.Error(t, err)
			assert.Contains(t, err.Error(), tt.want)
			assert.NotContains(t, err.Error(), "\x1b", "no colors in logs")
		})
	}
}

func TestLimitIsAnError(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "topology.yaml"))
	require.NoError(t, err)
	_, err = Parse(data, topology.Limits{MaxPods: 2}, time.Now())
	require.ErrorIs(t, err, topology.ErrLimit)
	require.ErrorContains(t, err, "'max_pods'")
}

const (
	one = "clusters: [{name: one}]\n"
	two = "clusters: [{name: one}, {name: two}]\n"
	bad = "clusters: [{nam: one}]\n"
)

// harness holds a source whose readings the test makes one by one, a second apart.
type harness struct {
	source  *Source
	reports chan error
	now     time.Time
	// full and confirmations count readings, deltas and gone are those of the last one.
	full, confirmations int
	deltas              []*topology.Delta
	gone                []string
}

func start(t *testing.T, file string) *harness {
	t.Helper()
	h := &harness{reports: make(chan error, 10), now: time.Unix(1000, 0)}
	h.source = New(Settings{
		File: file, Emit: h.emit, Report: func(err error) { h.reports <- err }, Now: func() time.Time { return h.now },
	})
	require.NoError(t, h.source.Load())
	return h
}

func (h *harness) emit(deltas []*topology.Delta, gone []string) {
	h.deltas, h.gone = deltas, gone
	if deltas[0].Full {
		h.full++
	} else {
		h.confirmations++
	}
}

func (h *harness) tick() {
	h.now = h.now.Add(time.Second)
	h.source.reload()
}

func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	write := func(content string) { require.NoError(t, os.WriteFile(file, []byte(content), 0o600)) }
	write(one)
	h := start(t, file)
	assert.Len(t, h.deltas, 1)

	h.tick()
	assert.Equal(t, 1, h.full, "the same content is not taken twice")
	assert.Equal(t, []*topology.Delta{{Cluster: "one", At: time.Unix(1001, 0)}}, h.deltas, "it is confirmed")

	write(bad)
	h.tick()
	h.tick()
	require.ErrorContains(t, <-h.reports, `unknown field "nam"`)
	assert.Equal(t, 1, h.full, "a bad file keeps the last good content")
	assert.Equal(t, 1, h.confirmations, "and confirms nothing")
	assert.Empty(t, h.reports, "one bad content is reported once")

	write(two)
	h.tick()
	require.NoError(t, <-h.reports)
	assert.Len(t, h.deltas, 2)

	require.NoError(t, os.Remove(file))
	h.tick()
	require.ErrorIs(t, <-h.reports, os.ErrNotExist)
	assert.Equal(t, 2, h.full)
	assert.Empty(t, h.reports)

	write(two)
	h.tick()
	require.NoError(t, <-h.reports, "the file is back: the trouble is over")
	assert.Equal(t, 2, h.full)
	assert.Equal(t, 2, h.confirmations)

	h.source.Again()
	h.tick()
	assert.Equal(t, 3, h.full, "the writer wanted all of it again")
	assert.Empty(t, h.reports, "which is no news")
	h.tick()
	assert.Equal(t, 3, h.full, "once")

	write(one)
	h.tick()
	require.NoError(t, <-h.reports)
	assert.Equal(t, []string{"two"}, h.gone)
}

// A file knows no times, but an address that moves from one pod to another cannot have been with both always.
func TestAnAddressThatMovesGetsATime(t *testing.T) {
	const content = "clusters: [{name: a, workloads: [{name: w, namespace: n, pods: [{name: %s, addresses: [10.0.0.1]}, {name: q, addresses: [10.0.0.2]}]}]}]\n"
	file := filepath.Join(t.TempDir(), "topology.yaml")
	write := func(pod string) {
		require.NoError(t, os.WriteFile(file, []byte(strings.Replace(content, "%s", pod, 1)), 0o600))
	}
	write("old")
	h := start(t, file)
	require.Len(t, h.deltas[0].Pods, 2)
	assert.Zero(t, h.deltas[0].Pods[0].Since)
	h.tick()
	write("new")
	h.tick()
	pods := h.deltas[0].Pods
	assert.Equal(t, "new", pods[0].Name)
	assert.Equal(t, time.Unix(1001, 0), pods[0].Since, "when the old pod was last confirmed")
	assert.Equal(t, time.Unix(1002, 0), pods[0].Seen)
	assert.Zero(t, pods[1].Since, "the other pod did not move")
}

func TestDeltas(t *testing.T) {
	h := start(t, filepath.Join("testdata", "topology.yaml"))
	require.Len(t, h.deltas, 2)
	west := h.deltas[0]
	assert.True(t, west.Full)
	assert.Equal(t, time.Unix(1000, 0), west.At)
	assert.Equal(t, "vnet-westeurope", west.Facts.Network)
	assert.Equal(t, "mesh1", west.Facts.MeshID)
	assert.NotNil(t, h.deltas[1].Gateways, "none is not the same as not known")
	pod := west.Pods[0]
	assert.Equal(t, []string{"bookinfo", "reviews-v1", "bookinfo-reviews"}, []string{pod.Namespace, pod.Workload, pod.ServiceAccount})
}

// A ConfigMap mount is topology.yaml -> ..data/topology.yaml with ..data -> ..<date>, and the kubelet swaps ..data.
func TestReloadAfterASymlinkSwap(t *testing.T) {
	dir := t.TempDir()
	for version, content := range map[string]string{"..1": one, "..2": two} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, version, "topology.yaml"), []byte(content), 0o600))
	}
	require.NoError(t, os.Symlink("..1", filepath.Join(dir, "..data")))
	file := filepath.Join(dir, "topology.yaml")
	require.NoError(t, os.Symlink(filepath.Join("..data", "topology.yaml"), file))
	h := start(t, file)

	require.NoError(t, os.Symlink("..2", filepath.Join(dir, "..data_tmp")))
	require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	h.tick()
	require.NoError(t, <-h.reports)
	assert.Len(t, h.deltas, 2)
}

func TestLoadErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	src := New(Settings{File: file, Emit: func([]*topology.Delta, []string) { t.Error("nothing to emit") }})
	require.ErrorIs(t, src.Load(), os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, []byte(bad), 0o600))
	require.ErrorContains(t, src.Load(), "topology.yaml")
}

func TestRunKeepsItsInterval(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	require.NoError(t, os.WriteFile(file, []byte(one), 0o600))
	reports := make(chan error, 1)
	src := New(Settings{
		File: file, Interval: time.Millisecond, Emit: func([]*topology.Delta, []string) {}, Report: func(err error) { reports <- err },
	})
	require.NoError(t, src.Load())
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { src.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	require.NoError(t, os.WriteFile(file, []byte(two), 0o600))
	select {
	case err := <-reports:
		// The write is not atomic, so an empty file may be seen first.
		if err != nil {
			require.ErrorIs(t, err, errEmpty)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the changed file was not read")
	}
	cancel()
}

func FuzzParse(f *testing.F) {
	data, err := os.ReadFile(filepath.Join("testdata", "topology.yaml"))
	require.NoError(f, err)
	for _, seed := range []string{string(data), one, two, bad, "", "clusters: [", "a: &a [*a]", strings.Repeat("[", 100)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data, topology.Limits{MaxPods: 10, MaxClusters: 3}, time.Time{})
		if (s == nil) == (err == nil) {
			t.Fatal("exactly one of snapshot and error")
		}
		var invalid *topology.ValidationError
		if errors.As(err, &invalid) && invalid.Problem == "" {
			t.Fatal("an error must say what is wrong")
		}
		if s != nil && (s.Stats().Pods > 10 || s.Stats().Clusters > 3) {
			t.Fatal("above the ceiling")
		}
	})
}
