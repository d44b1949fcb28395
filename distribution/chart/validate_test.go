// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
)

// TestTheBinaryTakesEveryExample asks the distribution, as ocb built it, whether what is rendered for it is a configuration.
func TestTheBinaryTakesEveryExample(t *testing.T) {
	binary := os.Getenv("OTELCOL_MESH_BINARY")
	if binary == "" {
		binary = "../../build/distribution/otelcol-mesh"
	}
	binary, err := filepath.Abs(binary)
	require.NoError(t, err)
	require.FileExists(t, binary, "the distribution is not built: run 'make build'")
	rendered := map[string]string{}
	for _, e := range charttest.Examples(t) {
		rendered[e.Name] = e.Render(t)
	}
	for _, family := range []string{"IPv6", "DualStack"} {
		rendered[family] = charttest.Named(t, "one-cluster").Render(t, "--set", "ipFamily="+family)
	}
	for name, manifests := range rendered {
		objects := parse(t, manifests)
		maps := configMaps(objects)
		for _, w := range workloads(objects) {
			t.Run(name+"/"+w.name, func(t *testing.T) {
				root := t.TempDir()
				folder := filepath.Join(root, "etc", "otelcol-mesh")
				require.NoError(t, os.MkdirAll(folder, 0o700))
				for name, text := range maps[w.name] {
					require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text.(string)), 0o600))
				}
				args := []string{"validate"}
				for _, arg := range w.container["args"].([]any) {
					args = append(args, strings.Replace(arg.(string), "=/", "="+root+"/", 1))
				}
				cmd := exec.CommandContext(t.Context(), binary, args...)
				for name, value := range w.env {
					if strings.HasPrefix(value, "/") {
						value = root + value
					}
					if value == "" {
						value = elsewhere(t, name)
					}
					value = strings.ReplaceAll(value, "$("+name+"_IP)", "::1") // as a kubelet puts one variable into another
					cmd.Env = append(cmd.Env, name+"="+value)
				}
				// What the webhook of Azure's workload identity adds to pods with its label.
				cmd.Env = append(cmd.Env, "AZURE_CLIENT_ID=00000000-0000-0000-0000-000000000001", "AZURE_TENANT_ID=00000000-0000-0000-0000-00000000000a",
					"AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/azure/tokens/azure-identity-token")
				require.NoError(t, os.MkdirAll(filepath.Join(root, "var", "lib", "otelcol-mesh"), 0o700))
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, string(out))
			})
		}
	}
}

// elsewhere is what a variable has that a kubelet would look up.
func elsewhere(t *testing.T, name string) string {
	t.Helper()
	value, ok := map[string]string{
		"MESH_NODE_NAME": "aks-pool-0", "MESH_LISTEN_HOST": "127.0.0.1", "MESH_ADMIN_HOST": "127.0.0.1",
		"MESH_LISTEN_HOST_IP": "::1", "MESH_ADMIN_HOST_IP": "::1",
		"APPLICATION_INSIGHTS_CONNECTION_STRING": "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=http://127.0.0.1:9",
	}[name]
	require.True(t, ok, name)
	return value
}
