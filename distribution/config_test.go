// SPDX-License-Identifier: Apache-2.0

// Package distribution_test checks what users install: the shipped configurations against the built binary.
package distribution_test

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/static"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

const connectionString = "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=http://127.0.0.1:9"

// binary returns the distribution as ocb built it; in-process factories would not notice a part missing from the manifest.
func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("OTELCOL_MESH_BINARY")
	if path == "" {
		path = "../build/distribution/otelcol-mesh"
	}
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	require.FileExists(t, path, "the distribution is not built: run 'make build'")
	return path
}

func configs(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("config/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 5)
	return files
}

func validate(t *testing.T, file string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), "validate", "--config", file)
	cmd.Env = append([]string{"MESH_STORAGE_DIR=" + t.TempDir()}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestShippedConfigurationsValidate prevents the bug that a key is renamed in a component and the file users install
// still has the old one.
func TestShippedConfigurationsValidate(t *testing.T) {
	for _, file := range configs(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			out, err := validate(t, file, "MESH_CLUSTER=aks-westeurope", "MESH_NODE_NAME=aks-pool-0", "MESH_HUB_SERVICE=otelcol-mesh-hub.otelcol-mesh", "APPLICATION_INSIGHTS_CONNECTION_STRING="+connectionString)
			assert.NoError(t, err, out)
		})
	}
}

// TestMissingSettingsAreNamed prevents the bug that a forgotten environment variable becomes an empty string in silence.
func TestMissingSettingsAreNamed(t *testing.T) {
	for _, missing := range []struct{ file, env, named string }{
		{"config/agent.yaml", "", "'cluster' is empty"},
		{"config/agent.yaml", "MESH_CLUSTER=aks-westeurope", "'kubernetes::node_name' is missing"},
		{"config/inventory.yaml", "", "'cluster' is missing"},
	} {
		out, err := validate(t, missing.file, missing.env)
		require.Error(t, err, "%s with %q alone", missing.file, missing.env)
		assert.Contains(t, out, missing.named, missing.file)
	}

	out, err := validate(t, "config/hub.yaml", "MESH_CLUSTER=unused")
	require.Error(t, err, "a hub without a connection string")
	assert.Contains(t, out, "connection_string")
	assert.Contains(t, out, "environment variable")
}

type configuration struct {
	Processors map[string]any `yaml:"processors"`
	Exporters  map[string]struct {
		Retry *struct {
			MaxElapsedTime any `yaml:"max_elapsed_time"`
		} `yaml:"retry_on_failure"`
		Queue *struct {
			Storage string `yaml:"storage"`
		} `yaml:"sending_queue"`
	} `yaml:"exporters"`
	Service struct {
		Pipelines map[string]struct {
			Receivers  []string `yaml:"receivers"`
			Processors []string `yaml:"processors"`
		} `yaml:"pipelines"`
	} `yaml:"service"`
}

// TestPipelinesKeepWhatTheyAcknowledge holds the rules that a reader of the files cannot see broken: the memory limiter
// is first behind every receiver, no batch processor stands before a queue on disk, and a retry never ends.
func TestPipelinesKeepWhatTheyAcknowledge(t *testing.T) {
	for _, file := range configs(t) {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var c configuration
		require.NoError(t, yaml.Unmarshal(raw, &c), file)
		for name, p := range c.Service.Pipelines {
			if strings.HasPrefix(p.Receivers[0], "forward/") || p.Receivers[0] == "mesh_graph" {
				continue
			}
			require.NotEmpty(t, p.Processors, "%s %s", file, name)
			assert.Equal(t, "memory_limiter", p.Processors[0], "%s: first processor of %s", file, name)
		}
		for name := range c.Processors {
			assert.False(t, strings.HasPrefix(name, "batch"), "%s: batches are made in sending_queue", file)
		}
		for name, e := range c.Exporters {
			if e.Queue == nil {
				continue
			}
			assert.Equal(t, "queue_storage", e.Queue.Storage, "%s: %s", file, name)
			if e.Retry == nil && strings.HasPrefix(name, "application_insights") {
				// Its default is without end.
				continue
			}
			require.NotNil(t, e.Retry, "%s: %s", file, name)
			assert.EqualValues(t, 0, e.Retry.MaxElapsedTime, "%s: %s retries without end", file, name)
		}
	}
}

// TestEndpointsAreOnLoopbackByDefault prevents the bug that a debug port is open to the network unless closed by hand.
func TestEndpointsAreOnLoopbackByDefault(t *testing.T) {
	endpoint := regexp.MustCompile(`(?m)^\s*(?:endpoint|host):\s*(\S+)`)
	for _, file := range configs(t) {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range endpoint.FindAllStringSubmatch(string(raw), -1) {
			assert.Contains(t, m[1], ":-127.0.0.1", "%s: %s", file, m[0])
		}
	}
}

// TestStaticTopologyExampleMerges prevents the bug that the overlay for those who have no Kubernetes leaves the sources on
// that need it.
func TestStaticTopologyExampleMerges(t *testing.T) {
	for _, file := range []string{"config/agent.yaml", "config/hub.yaml"} {
		cmd := exec.CommandContext(t.Context(), binary(t), "validate", "--config", file, "--config", "examples/static-topology.yaml")
		// No MESH_NODE_NAME: the source that needs it is off.
		cmd.Env = []string{"MESH_STORAGE_DIR=" + t.TempDir(), "MESH_CLUSTER=aks-westeurope", "APPLICATION_INSIGHTS_CONNECTION_STRING=" + connectionString}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", file, out)
	}
}

// TestMutualTLSExampleMerges prevents the bug that the example is merged into a place where the receiver does not look.
func TestMutualTLSExampleMerges(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), binary(t), "validate", "--config", "config/hub.yaml", "--config", "examples/hub-mtls.yaml")
	cmd.Env = []string{"MESH_STORAGE_DIR=" + t.TempDir(), "APPLICATION_INSIGHTS_CONNECTION_STRING=" + connectionString}
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "without its certificate")
	assert.Contains(t, string(out), "extensions::cluster_identity: ")
	cmd = exec.CommandContext(t.Context(), binary(t), "validate", "--config", "config/hub.yaml", "--config", "examples/hub-mtls.yaml")
	cmd.Env = []string{
		"MESH_STORAGE_DIR=" + t.TempDir(), "APPLICATION_INSIGHTS_CONNECTION_STRING=" + connectionString,
		"MESH_HUB_SERVER_CERT_FILE=tls.crt", "MESH_HUB_SERVER_KEY_FILE=tls.key", "MESH_HUB_CLIENT_CA_FILE=ca.crt",
	}
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

// TestExampleTopologyIsRight prevents the bug that people copy an example which the extension refuses.
func TestExampleTopologyIsRight(t *testing.T) {
	raw, err := os.ReadFile("examples/topology.yaml")
	require.NoError(t, err)
	snapshot, err := static.Parse(raw, topology.Limits{}, time.Now())
	require.NoError(t, err)
	for network, workload := range map[string]string{"vnet-westeurope": "productpage-v1", "vnet-northeurope": "reviews-v1"} {
		pod, ok := snapshot.ByAddress(network, netip.MustParseAddr("10.244.0.21"))
		if assert.True(t, ok, network) {
			assert.Equal(t, workload, pod.End().Workload)
		}
	}
}
