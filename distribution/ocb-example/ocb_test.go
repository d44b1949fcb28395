// SPDX-License-Identifier: Apache-2.0

// Package ocb_test builds the collector of docs/build-your-own.md.
package ocb_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// manifest is ocb's file, by kind of component.
type manifest map[string]any

type entry struct{ GoMod, Import string }

func read(t *testing.T, file string) manifest {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var m manifest
	require.NoError(t, yaml.UnmarshalStrict(raw, &m))
	return m
}

// entries returns the components of a kind.
func (m manifest) entries(t *testing.T, kind string) []entry {
	t.Helper()
	raw, err := yaml.Marshal(m[kind])
	require.NoError(t, err)
	var found []entry
	require.NoError(t, yaml.Unmarshal(raw, &found))
	return found
}

var kinds = []string{"extensions", "receivers", "processors", "exporters", "connectors", "providers", "converters"}

// TestEveryOwnComponentIsListed prevents that a component is added to the distribution and people who build their own never hear
// of it, and that the two name different versions of upstream's.
func TestEveryOwnComponentIsListed(t *testing.T) {
	shipped, example := read(t, "../../builder-config.yaml"), read(t, "builder-config.yaml")
	own := 0
	for _, kind := range kinds {
		all := shipped.entries(t, kind)
		for _, e := range all {
			if e.Import != "" {
				own++
				assert.Contains(t, example.entries(t, kind), e)
			}
		}
		for _, e := range example.entries(t, kind) {
			assert.Contains(t, all, e, "not in the distribution, so nothing tests it with ours")
		}
	}
	assert.Greater(t, own, 12)
}

// watch looks at every file that is compiled: go test knows no other way that a result it keeps is out of date.
func watch(t *testing.T, root string) {
	for _, folder := range []string{"components", "internal", "processors", "receivers"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") {
				_, err = os.Stat(path)
			}
			return err
		}))
	}
}

// TestItBuilds runs ocb over the example as its reader does, with the checkout beside it. What it compiles is in the build cache
// after `make build`, so that this takes seconds.
func TestItBuilds(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	builder := filepath.Join(root, ".tools", "builder")
	require.FileExists(t, builder, "run 'make build'")
	watch(t, root)
	dir := t.TempDir()
	require.NoError(t, os.Symlink(root, filepath.Join(dir, "otelcol-mesh")))
	raw, err := os.ReadFile("builder-config.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "builder-config.yaml"), raw, 0o600))
	run := func(program string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	run(builder, "--config", "builder-config.yaml")
	components := run(filepath.Join(dir, "build", "my-collector"), "components")
	for kind, names := range map[string][]string{
		"receivers":  {"envoy", "mesh_inventory", "otlp"},
		"processors": {"cluster_identity", "envoy_semconv", "mesh_noise", "mesh_privacy", "mesh_span_pairing", "mesh_topology"},
		"exporters":  {"application_insights", "otlp_grpc"},
		"extensions": {"azure_auth", "cluster_identity", "mesh_topology", "queue_storage", "request_limits"},
	} {
		section := regexp.MustCompile(`(?m)^` + kind + `:$`).FindStringIndex(components)
		require.NotNil(t, section, components)
		for _, name := range names {
			assert.Regexp(t, `(?m)^ +- name: `+name+`$`, strings.SplitAfter(components[section[1]:], "\n\n")[0], kind)
		}
	}
}
