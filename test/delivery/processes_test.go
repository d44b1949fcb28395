// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// rig is a hub and two agents as real processes of the built distribution with the shipped configurations, and the
// endpoint in this process. Only addresses, folders and what needs Kubernetes are laid over.
type rig struct {
	t      *testing.T
	dir    string
	server *ingestiontest.Server
	hub    *role
	agents []*role
}

// role is one collector.
type role struct {
	name, host string
	process    *supervise.Process
	storage    string
	// peak is the largest memory that one incarnation of the process has used, in KiB, disk the largest its folder was.
	mu         sync.Mutex
	peak, disk int64
	kills      int
}

// overlays are files that are merged over the shipped ones.
type overlays struct{ hub, agent []string }

func startRig(t *testing.T, net byte, over overlays) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	server, err := ingestiontest.Listen(fmt.Sprintf("127.8.%d.3:8080", net), ingestiontest.Config{Light: true, Ledger: markers, MaxRequests: 1 << 20})
	require.NoError(t, err)
	r.server = server
	t.Cleanup(func() {
		server.DropConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		assert.NoError(t, server.Shutdown(ctx))
	})
	host := func(last int) string { return fmt.Sprintf("127.8.%d.%d", net, last) }
	r.hub = r.start("hub", host(2), []string{"hub.yaml"}, over.hub,
		"APPLICATION_INSIGHTS_CONNECTION_STRING="+server.ConnectionString(), "MESH_HUB_UNVERIFIED=accept")
	for i, cluster := range []string{"aks-westeurope", "aks-northeurope"} {
		r.agents = append(r.agents, r.start("agent-"+cluster, host(10+i), []string{"agent.yaml"},
			append([]string{"receivers: {prometheus: {config: {scrape_configs: [{job_name: none, static_configs: []}]}}}\n"}, over.agent...),
			"MESH_CLUSTER="+cluster, "MESH_HUB_ENDPOINT="+host(2)+":14317", "MESH_HUB_INSECURE=true"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for _, role := range r.roles() {
		require.NoError(t, role.ready(ctx), r.log(role))
	}
	return r
}

func (r *rig) roles() []*role { return append([]*role{r.hub}, r.agents...) }

func (r *rig) start(name, host string, configs, overlays []string, env ...string) *role {
	t := r.t
	var args []string
	for _, file := range configs {
		args = append(args, "--config", filepath.Join("../../distribution/config", file))
	}
	args = append(args, "--config", "../../distribution/examples/static-topology.yaml")
	for i, overlay := range overlays {
		file := filepath.Join(r.dir, fmt.Sprintf("%s-overlay-%d.yaml", name, i))
		require.NoError(t, os.WriteFile(file, []byte(overlay), 0o600))
		args = append(args, "--config", file)
	}
	topology, err := filepath.Abs("../../distribution/examples/topology.yaml")
	require.NoError(t, err)
	o := &role{name: name, host: host, storage: filepath.Join(r.dir, "storage-"+name)}
	require.NoError(t, os.MkdirAll(o.storage, 0o700))
	o.process, err = supervise.Start(supervise.Spec{
		Name: name, Path: collectortest.Binary(t), Args: args,
		Env:     append(collectortest.Environment(collectortest.Clean(os.Environ()), host, o.storage, "MESH_TOPOLOGY_FILE="+topology), env...),
		LogFile: filepath.Join(r.dir, name+".log"),
		Log:     slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		assert.NoError(t, o.process.Stop(ctx))
		if t.Failed() {
			t.Log(r.log(o))
		}
	})
	return o
}

// log returns the end of the log of a role.
func (r *rig) log(o *role) string {
	return "the last lines of " + o.name + ":\n" + collectortest.Tail(filepath.Join(r.dir, o.name+".log"), 10, nil)
}

// ready returns when the health check answers.
func (o *role) ready(ctx context.Context) error {
	return eventually(ctx, func() error { return o.get(ctx, "13133", "/", nil) })
}

// kill sends SIGKILL; the supervisor starts another, as a kubelet would.
func (o *role) kill() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kills++
	return o.process.Kill()
}

func (o *role) get(ctx context.Context, port, path string, use func(line string)) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return collectortest.Get(ctx, o.host, port, path, use)
}

// metric returns the sum of a metric of the collector's own over all labels that contain each of the given texts, and
// false if there is none. The name may lack the suffix that tells unit and type.
func (o *role) metric(ctx context.Context, name string, labels ...string) (float64, bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	sum, found, err := collectortest.Metric(ctx, o.host, name, labels...)
	return sum, found && err == nil
}

// watch measures memory and disk of all roles until ctx ends.
func (r *rig) watch(ctx context.Context) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		for _, o := range r.roles() {
			memory, disk := peakMemory(o.process.PID()), size(o.storage)
			o.mu.Lock()
			o.peak, o.disk = max(o.peak, memory), max(o.disk, disk)
			o.mu.Unlock()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// peakMemory returns the largest resident size of a process so far, in KiB; 0 where the system does not tell.
func peakMemory(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if pid == 0 || err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n
		}
	}
	return 0
}

// size returns the sum of the files in a folder; one that goes meanwhile counts as nothing.
func size(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
