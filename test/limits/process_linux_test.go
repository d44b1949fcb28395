// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

const (
	mib = 1 << 20
	// agentMemory and hubMemory are MESH_MEMORY_MIB as the chart sets it, agentContainer and hubContainer the limits of the
	// containers then. They hold the pages of the program's own file too.
	agentMemory, agentContainer = 400, 500
	hubMemory, hubContainer     = 1600, 2000
	within                      = 60 * time.Second
)

// refusedMetric counts what request_limits refuses.
const refusedMetric = "otelcol_extension_request_limits_refused_requests"

// role is one collector: the built distribution with a shipped configuration. Only addresses, folders and what needs
// Kubernetes are laid over.
type role struct {
	t       *testing.T
	name    string
	host    string
	dir     string
	process *supervise.Process
}

// startRole starts a collector with the memory of its container and waits until it is ready. over are files that are
// merged over the shipped one.
func startRole(t *testing.T, name, host string, memory int, over []string, env ...string) *role {
	t.Helper()
	r := &role{t: t, name: name, host: host, dir: t.TempDir()}
	args := []string{
		"--config", filepath.Join("../../distribution/config", name+".yaml"),
		"--config", "../../distribution/examples/static-topology.yaml",
	}
	for i, text := range over {
		file := filepath.Join(r.dir, fmt.Sprintf("over-%d.yaml", i))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		args = append(args, "--config", file)
	}
	topology, err := filepath.Abs("../../distribution/examples/topology.yaml")
	require.NoError(t, err)
	storage := filepath.Join(r.dir, "storage")
	require.NoError(t, os.MkdirAll(storage, 0o700))
	r.process, err = supervise.Start(supervise.Spec{
		Name: name, Path: collectortest.Binary(t), Args: args, LogFile: filepath.Join(r.dir, "log"), Log: slog.New(slog.DiscardHandler),
		Env: append(collectortest.Environment([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir}, host, storage,
			"MESH_TOPOLOGY_FILE="+topology, fmt.Sprintf("MESH_MEMORY_MIB=%d", memory), fmt.Sprintf("GOMEMLIMIT=%dMiB", memory*8/10)), env...),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		assert.NoError(t, r.process.Stop(ctx))
		if t.Failed() {
			t.Log(r.log())
		}
	})
	require.Eventually(t, func() bool { return r.get("13133", "/", nil) == nil }, within, 50*time.Millisecond, r.log())
	return r
}

// startAgent starts an agent that sends to a hub without TLS and scrapes nothing.
func startAgent(t *testing.T, host, hub string) *role {
	t.Helper()
	return startAgentWith(t, host, hub)
}

// startAgentWith merges more over its configuration.
func startAgentWith(t *testing.T, host, hub string, over ...string) *role {
	t.Helper()
	none := "receivers: {prometheus: {config: {scrape_configs: [{job_name: none, static_configs: []}]}}}\n"
	return startRole(t, "agent", host, agentMemory, append([]string{none}, over...),
		"MESH_CLUSTER=aks-westeurope", "MESH_HUB_ENDPOINT="+hub, "MESH_HUB_INSECURE=true")
}

// log returns the end of the collector's log.
func (r *role) log() string {
	return "the last lines of " + r.name + ":\n" + collectortest.Tail(filepath.Join(r.dir, "log"), 10, nil)
}

func (r *role) get(port, path string, use func(line string)) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return collectortest.Get(ctx, r.host, port, path, use)
}

// metric returns a metric of the collector's own by the value of one of its labels, summed over the others.
func (r *role) metric(name, label string) map[string]int64 {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	samples, err := collectortest.Samples(ctx, r.host, name)
	assert.NoError(r.t, err)
	sums := make(map[string]int64)
	for _, sample := range samples {
		sums[sample.Label(label)] += int64(sample.Value)
	}
	return sums
}

// memory returns a line of the process's status in bytes: VmRSS or VmHWM, its peak.
func (r *role) memory(name string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.process.PID()))
	require.NoError(r.t, err)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name+":" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			require.NoError(r.t, err)
			return kib << 10
		}
	}
	require.FailNow(r.t, "no such line", name)
	return 0
}

func (r *role) resetPeak() {
	require.NoError(r.t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", r.process.PID()), []byte("5"), 0o600))
}

// peak runs do and returns the largest memory of the process meanwhile.
func (r *role) peak(do func()) int64 {
	r.resetPeak()
	do()
	return r.memory("VmHWM")
}

// cpu is the time that the process has run on a processor. It does not depend on what else runs on the machine, other than
// the time until an answer.
func (r *role) cpu() time.Duration {
	sum, err := collectortest.CPU(r.process.PID())
	require.NoError(r.t, err)
	return sum
}
