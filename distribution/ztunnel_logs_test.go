// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const ambientTopology = `
mesh_id: mesh1
clusters:
  - name: aks-westeurope
    region: westeurope
    network: vnet-westeurope
    trust_domain: cluster.local
    nodes: [{name: aks-pool-0, zone: westeurope-1}, {name: aks-pool-1, zone: westeurope-2}]
    workloads:
      - {name: shell, namespace: default, kind: deployment, service_account: default, pods: [{name: shell-6d5f7c9b8-abcde, addresses: [10.244.0.24], node: aks-pool-0}]}
      - {name: echo, namespace: default, kind: deployment, service_account: default, pods: [{name: echo-7bbb5b9cf7-fghjk, addresses: [10.244.0.42], node: aks-pool-1}]}
      - {name: ztunnel, namespace: istio-system, kind: daemonset, pods: [{name: ztunnel-x2x9p, addresses: [10.244.0.9], node: aks-pool-0}]}
`

// TestZtunnelLogsExample prevents that the overlay for ztunnel's log, which ztunnel has no other way to send, reads lines
// that nobody understands afterward: a line as a container runtime writes it goes in, and both ends come out.
func TestZtunnelLogsExample(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "topology.yaml"), []byte(ambientTopology), 0o600))
	pod := filepath.Join(dir, "pods", "istio-system_ztunnel-x2x9p_0b0e84ae-1abe-46af-bfe0-e229c41de4cc", "istio-proxy")
	require.NoError(t, os.MkdirAll(pod, 0o700))
	lines := []string{
		`2026-11-23T02:14:42.182974Z stdout F 2026-11-23T02:14:42.182974Z	info	access	connection complete	src.addr=10.244.0.24:46238 src.workload="shell-6d5f7c9b8-abcde" src.namespace="default" src.identity="spiffe://cluster.local/ns/default/sa/default" dst.addr=10.244.0.42:15008 dst.hbone_addr=10.244.0.42:80 dst.service="echo.default.svc.cluster.local" dst.workload="echo-7bbb5b9cf7-fghjk" dst.namespace="default" dst.identity="spiffe://cluster.local/ns/default/sa/default" direction="outbound" bytes_sent=67 bytes_recv=490 duration="13ms"`,
		`2026-11-23T02:14:43.182974Z stdout F 2026-11-23T02:14:43.182974Z	info	xds	received response`,
	}
	require.NoError(t, os.WriteFile(filepath.Join(pod, "0.log"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	output := filepath.Join(dir, "out.jsonl")
	overlay := "yaml:{receivers: {file_log/mesh: {start_at: beginning}}, exporters: {file: {path: '" + output + "', flush_interval: 100ms}}, " +
		"service: {pipelines: {logs/files: {exporters: [file]}}}}"
	stderr, _ := start(t, []string{"config/agent.yaml", "examples/static-topology.yaml", "examples/ztunnel-logs.yaml", overlay},
		"MESH_LISTEN_HOST="+standaloneHost, "MESH_ADMIN_HOST="+standaloneHost, "MESH_DEBUG_HOST="+standaloneHost, "MESH_STORAGE_DIR="+filepath.Join(dir, "storage"),
		"MESH_CLUSTER=aks-westeurope", "MESH_NODE_NAME=aks-pool-0", "MESH_HUB_INSECURE=true", "MESH_HUB_ENDPOINT="+standaloneHost+":9",
		"MESH_TOPOLOGY_FILE="+filepath.Join(dir, "topology.yaml"), "MESH_LOG_FILES="+filepath.Join(dir, "pods", "*", "istio-proxy", "*.log"))
	var said string
	eventually(t, stderr, func() bool {
		said = whole(output)
		return strings.Contains(said, "resourceLogs")
	})
	for key, value := range map[string]string{
		"k8s.pod.name": "ztunnel-x2x9p", "mesh.source.cluster": "aks-westeurope", "mesh.source.workload": "shell", "mesh.source.zone": "westeurope-1",
		"mesh.destination.cluster": "aks-westeurope", "mesh.destination.workload": "echo", "mesh.destination.zone": "westeurope-2",
		"mesh.traffic.locality": "cross_zone", "mesh.tls": "mutual",
	} {
		assert.Contains(t, said, `{"key":"`+key+`","value":{"stringValue":"`+value+`"}}`)
	}
	assert.NotContains(t, said, "received response", "what is no access log")
}
