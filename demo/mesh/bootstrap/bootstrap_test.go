// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoybin"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func params(p layout.Pod, certs string) Params {
	return Params{Pod: p, CertDir: certs, Agent: Agent{OTLP: p.Cluster.Prefix + ".0.250:4317", ALS: p.Cluster.Prefix + ".0.250:18090"}}
}

// TestGolden shows one configuration of each role as Envoy reads it, except that a metric's label is written in short.
func TestGolden(t *testing.T) {
	for file, want := range map[string]string{
		"sidecar.json":  "productpage-v1-564d4686f-abcde",
		"ingress.json":  "istio-ingressgateway-79788cd94-fghjk",
		"eastwest.json": "istio-eastwestgateway-6b9f4d7c85-fghjk",
	} {
		t.Run(file, func(t *testing.T) {
			pods := slices.DeleteFunc(layout.Pods(), func(p layout.Pod) bool { return p.Name != want })
			require.Len(t, pods, 1)
			config, err := JSON(params(pods[0], "certs"))
			require.NoError(t, err)
			var got any
			require.NoError(t, json.Unmarshal(config, &got))
			got = shorten(got)
			golden := filepath.Join("testdata", file)
			if *update {
				text, err := json.MarshalIndent(got, "", " ")
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(golden, append(text, '\n'), 0o644))
			}
			text, err := os.ReadFile(golden)
			require.NoError(t, err)
			var expected any
			require.NoError(t, json.Unmarshal(text, &expected))
			require.Equal(t, expected, got, "run the test with -update and read the difference")
		})
	}
}

// shorten writes each label of a metric as one string: name=format, with "|unknown" when an empty value becomes that.
func shorten(value any) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = shorten(v[i])
		}
	case map[string]any:
		if format, ok := v["value_format"].(string); ok && v["unit"] == nil && v["stat"] == nil {
			short := v["name"].(string) + "=" + format
			if v["rules"] != nil {
				short += "|unknown"
			}
			return short
		}
		for key := range v {
			v[key] = shorten(v[key])
		}
	}
	return value
}

// TestEnvoyAccepts has Envoy itself check every pod's configuration, warnings included: a deprecated field is one.
func TestEnvoyAccepts(t *testing.T) {
	envoy, err := envoybin.Path(t.Context())
	require.NoError(t, err)
	certs := t.TempDir()
	require.NoError(t, layout.WriteCerts(certs))
	for _, p := range layout.Pods() {
		t.Run(p.Name, func(t *testing.T) {
			config, err := JSON(params(p, certs))
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), "envoy.json")
			require.NoError(t, os.WriteFile(path, config, 0o600))
			output, err := exec.CommandContext(t.Context(), envoy, "--mode", "validate", "--config-path", path, "--log-level", "warning").CombinedOutput()
			require.NoError(t, err, "%s", output)
			require.False(t, bytes.Contains(output, []byte("[warning]")), "%s", output)
		})
	}
}

func TestAgentAddressesMustBeIPAndPort(t *testing.T) {
	for _, agent := range []Agent{{OTLP: "agent:4317", ALS: "127.0.0.1:1"}, {OTLP: "127.0.0.1:1", ALS: "127.0.0.1"}} {
		p := params(layout.Pods()[0], "certs")
		p.Agent = agent
		_, err := JSON(p)
		require.ErrorContains(t, err, "write ip:port")
	}
}

// TestFailoverPlan checks what the demo is about in every caller's configuration: the own region's pods first, all of
// them, then the other region's gateway with nothing known but its cluster.
func TestFailoverPlan(t *testing.T) {
	for _, c := range layout.Clusters() {
		other := layout.Clusters()[0]
		if other.Name == c.Name {
			other = layout.Clusters()[1]
		}
		raw, err := json.Marshal(localities(c, layout.Services()[2]))
		require.NoError(t, err)
		var plan []struct {
			Priority  int
			Locality  struct{ Region, Zone string }
			Endpoints []struct {
				Endpoint struct {
					Address struct {
						Socket struct{ Address string } `json:"socket_address"`
					}
				}
				Metadata struct {
					Filters map[string]map[string]string `json:"filter_metadata"`
				}
			} `json:"lb_endpoints"`
		}
		require.NoError(t, json.Unmarshal(raw, &plan))
		require.Len(t, plan, 4)
		local := 0
		for _, one := range plan {
			endpoint := one.Endpoints[0]
			if one.Priority == 0 {
				local++
				require.Equal(t, c.Region, one.Locality.Region)
				require.Contains(t, endpoint.Metadata.Filters["istio"]["workload"], ";"+c.Name)
				continue
			}
			require.Equal(t, other.Region, one.Locality.Region)
			require.Equal(t, other.Prefix+".0.15", endpoint.Endpoint.Address.Socket.Address)
			require.Equal(t, ";;;;"+other.Name, endpoint.Metadata.Filters["istio"]["workload"])
		}
		require.Equal(t, 3, local)
	}
}
