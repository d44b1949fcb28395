// SPDX-License-Identifier: Apache-2.0

package wholepath_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	// memoryRest is how long an agent does nothing but scrape before it is looked at.
	memoryRest = 10 * time.Second
	// topologyMemory is what the project promises.
	topologyMemory = 10_000_000
)

// testNeedsLittleMemory holds the agent against one that reads a file with one pod, and is the same otherwise: discovery and
// scraping are those of 100 pods in both.
//
// From run to run it was 1 to 3 MB more.
func (c *agentCluster) testNeedsLittleMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	pod := c.own[0]
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, onePod, c.Name, pod.Name, pod.Status.PodIP), 0o600))
	both := [2]*agent{
		c.startAgent(t, "static", "127.9.3.2", "../examples/static-topology.yaml", "MESH_TOPOLOGY_FILE="+file),
		c.startAgent(t, "kubernetes", "127.9.3.3", ""),
	}
	both[0].eventually("the static topology is loaded", func() bool { pods, source := both[0].overview(); return source.Ready && pods == 1 })
	both[1].eventually("the agent knows its node", func() bool { return both[1].knows(len(c.own)) })
	c.proxies.forget()
	both[0].eventually("everything is scraped", func() bool { return len(c.proxies.seen()) == len(c.own) })
	rest := time.NewTimer(memoryRest)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-t.Context().Done():
		require.NoError(t, t.Context().Err())
	}
	var of [2]map[string]int64
	for i, a := range both {
		of[i] = statusOf(t, a.process.PID())
		t.Logf("%s: resident %s, of it anonymous %s, at its peak %s",
			[]string{"static topology of one pod", "a node of 100 pods"}[i], mega(of[i]["VmRSS"]), mega(of[i]["RssAnon"]), mega(of[i]["VmHWM"]))
	}
	assert.Less(t, of[1]["VmRSS"]-of[0]["VmRSS"], int64(topologyMemory))
	assert.Less(t, of[1]["RssAnon"]-of[0]["RssAnon"], int64(topologyMemory))
}

const onePod = `mesh_id: mesh1
clusters:
  - name: %s
    region: westeurope
    network: vnet-westeurope
    trust_domain: cluster.local
    workloads:
      - {name: workload-0, namespace: shop, kind: deployment, pods: [{name: %s, addresses: ["%s"]}]}
`

// statusOf reads the bytes of a process's memory from the kernel.
func statusOf(t *testing.T, pid int) map[string]int64 {
	t.Helper()
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	defer file.Close()
	all := map[string]int64{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		key, text, _ := strings.Cut(lines.Text(), ":")
		var kilobytes int64
		if n, err := fmt.Sscanf(strings.TrimSpace(text), "%d kB", &kilobytes); err == nil && n == 1 {
			all[key] = kilobytes << 10
		}
	}
	require.NoError(t, lines.Err())
	require.Positive(t, all["VmRSS"])
	require.Positive(t, all["RssAnon"])
	return all
}

func mega(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
