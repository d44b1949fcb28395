// SPDX-License-Identifier: Apache-2.0

// Package chart_test checks the chart without a cluster: what it renders, what it refuses, and that what it is made of is the
// distribution's own. test/kube/chart has the API server.
package chart_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
)

var update = flag.Bool("update", false, "write the rendered examples and the table in README.md anew")

// object is a rendered manifest.
type object map[string]any

// at returns what is at a path of keys, or nil.
func (o object) at(path ...string) any {
	var v any = map[string]any(o)
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func (o object) id() string { return o["kind"].(string) + "/" + o.at("metadata", "name").(string) }

func parse(t *testing.T, manifests string) []object {
	t.Helper()
	var objects []object
	for _, document := range regexp.MustCompile(`(?m)^---\s*$`).Split(manifests, -1) {
		var o object
		require.NoError(t, yaml.Unmarshal([]byte(document), &o))
		if len(o) > 0 {
			objects = append(objects, o)
		}
	}
	require.NotEmpty(t, objects)
	return objects
}

// shipped returns a file of the distribution that the chart reads through its links, by its name.
func shipped(t *testing.T, name string) string {
	t.Helper()
	for _, file := range []string{"config/" + name, "examples/" + name, "examples/" + strings.Replace(name, "argo-rollouts-", "argo-rollouts/", 1)} {
		if raw, err := os.ReadFile(filepath.Join("..", file)); err == nil {
			return string(raw)
		}
	}
	require.Fail(t, "the distribution has no file "+name)
	return ""
}

// configMaps returns the data of the ConfigMaps by their names.
func configMaps(objects []object) map[string]map[string]any {
	maps := map[string]map[string]any{}
	for _, o := range objects {
		if o["kind"] == "ConfigMap" {
			maps[o.at("metadata", "name").(string)] = o["data"].(map[string]any)
		}
	}
	return maps
}

// rules is the spec of the PrometheusRule.
var rules = regexp.MustCompile(`(?ms)(^kind: PrometheusRule$.*?^spec:\n).*?(\n---$|\z)`)

var checksum = regexp.MustCompile(`otelcol-mesh/config: [0-9a-f]{64}`)

// brief is the rendered text with a word in place of each file of the distribution, which would otherwise be in it whole and
// change with every change of it. TestTheConfigurationIsTheDistributions looks at them.
func brief(t *testing.T, rendered string) string {
	t.Helper()
	for _, data := range configMaps(parse(t, rendered)) {
		for name, text := range data {
			if name == "values.yaml" || name == "helper.conf" {
				continue
			}
			var indented strings.Builder
			for line := range strings.Lines(strings.TrimSuffix(text.(string), "\n")) {
				indented.WriteString("    " + line)
			}
			// Two roles may have the same file.
			mark := "    <the distribution's " + name + ">"
			require.True(t, strings.Contains(rendered, indented.String()) || strings.Contains(rendered, mark), name)
			rendered = strings.ReplaceAll(rendered, indented.String(), mark)
		}
	}
	rendered = rules.ReplaceAllString(rendered, "${1}  <the distribution's alerts.yaml>\n${2}")
	return checksum.ReplaceAllString(rendered, "otelcol-mesh/config: <checksum>")
}

// TestExamplesRenderAsRecorded shows each change of the chart in what users apply. After an intended one: go test -update.
func TestExamplesRenderAsRecorded(t *testing.T) {
	examples := charttest.Examples(t)
	require.NotEmpty(t, examples)
	for _, e := range examples {
		t.Run(e.Name, func(t *testing.T) {
			_, err := charttest.Helm(t, append([]string{"lint", "--strict"}, lintArgs(e)...)...)
			require.NoError(t, err)
			got := brief(t, e.Render(t))
			golden := filepath.Join("examples", e.Name, "rendered.yaml")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), got, "go test ./distribution/chart -update writes it anew")
		})
	}
}

// lintArgs leaves out the name of the release, which lint does not take.
func lintArgs(e charttest.Example) []string { return e.Args[1:] }

// TestTheConfigurationIsTheDistributions prevents copies: what the collector is given is byte for byte what the distribution
// ships, in the order in which the arguments merge it.
func TestTheConfigurationIsTheDistributions(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range charttest.Examples(t) {
		objects := parse(t, e.Render(t))
		maps := configMaps(objects)
		for _, w := range workloads(objects) {
			data := maps[w.name]
			var named []string
			for _, arg := range w.container["args"].([]any) {
				name, found := strings.CutPrefix(arg.(string), "--config=/etc/otelcol-mesh/")
				require.True(t, found, arg)
				require.Contains(t, data, name)
				named = append(named, name)
				if name != "values.yaml" {
					seen[name] = true
					assert.Equal(t, shipped(t, name), data[name], "%s of %s", name, e.Name)
				}
			}
			assert.Len(t, data, len(named), "%s: files that no argument names", w.name)
			assert.Equal(t, strings.TrimPrefix(w.name, "otelcol-mesh-")+".yaml", named[0])
		}
	}
	for _, name := range []string{
		"agent.yaml", "inventory.yaml", "hub.yaml", "hub-mtls.yaml", "ztunnel-logs.yaml", "azure-monitor-entra.yaml", "azure-monitor-otlp.yaml",
		"metrics-tier.yaml", "agent-metrics-tier.yaml", "argo-rollouts-hub.yaml",
	} {
		assert.True(t, seen[name], "no example has %s", name)
	}
}

// TestEnvironmentIsKnown prevents the bug that a variable is renamed in a configuration and the chart still sets the old one.
func TestEnvironmentIsKnown(t *testing.T) {
	others := []string{"GOMEMLIMIT", "KUBE_FEATURE_WatchListClient"}
	for _, e := range charttest.Examples(t) {
		objects := parse(t, e.Render(t))
		maps := configMaps(objects)
		for _, w := range workloads(objects) {
			var text strings.Builder
			for _, file := range maps[w.name] {
				text.WriteString(file.(string))
			}
			read := regexp.MustCompile(`\$\{env:([A-Za-z0-9_]+)(:-[^}]*)?\}`).FindAllStringSubmatch(text.String(), -1)
			names := append([]string{}, others...)
			for _, r := range read {
				names = append(names, r[1])
				if r[2] == "" && r[1] != "APPLICATION_INSIGHTS_CONNECTION_STRING" {
					assert.Contains(t, w.env, r[1], "%s of %s: required, and not set", w.name, e.Name)
				}
			}
			for name := range w.env {
				assert.Contains(t, names, name, "%s of %s: nothing reads it", w.name, e.Name)
			}
		}
	}
}

// TestThePackageRendersTheSame prevents the bug that a package, or another place of the folder, has not the files behind the
// links.
func TestThePackageRendersTheSame(t *testing.T) {
	dir := t.TempDir()
	_, err := charttest.Helm(t, "package", ".", "--destination", dir)
	require.NoError(t, err)
	packages, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	require.NoError(t, err)
	require.Len(t, packages, 1)
	for _, e := range charttest.Examples(t) {
		want := e.Render(t)
		args := append([]string{"template"}, e.Args...)
		require.Equal(t, ".", args[2])
		args[2] = packages[0]
		got, err := charttest.Helm(t, args...)
		require.NoError(t, err)
		assert.Equal(t, want, got, e.Name)
	}
}

// TestOneVersion holds the chart's versions to that of the distribution.
func TestOneVersion(t *testing.T) {
	var builder struct {
		Dist struct{ Version string }
	}
	var chart struct{ Version, AppVersion string }
	for file, into := range map[string]any{"../../builder-config.yaml": &builder, "Chart.yaml": &chart} {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(raw, into))
	}
	require.NotEmpty(t, builder.Dist.Version)
	assert.Equal(t, builder.Dist.Version, chart.Version)
	assert.Equal(t, builder.Dist.Version, chart.AppVersion)
}

// TestAlertsAreTheDistributions holds the PrometheusRule to distribution/examples/alerts.yaml.
func TestAlertsAreTheDistributions(t *testing.T) {
	var want map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(shipped(t, "alerts.yaml")), &want))
	for _, o := range parse(t, charttest.Named(t, "hub-workload-identity").Render(t)) {
		if o["kind"] == "PrometheusRule" {
			assert.Equal(t, want, o["spec"])
			return
		}
	}
	assert.Fail(t, "no PrometheusRule")
}
