// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOneVersion prevents a release whose parts name different versions. `dist.version` of builder-config.yaml is the one
// place; the scope of what the collector emits has it from there by way of the binary.
func TestOneVersion(t *testing.T) {
	want := version(t)

	binary := os.Getenv("OTELCOL_MESH_BINARY")
	if binary == "" {
		binary = filepath.Join(root, "build/distribution/otelcol-mesh")
	}
	out, err := exec.CommandContext(t.Context(), binary, "--version").Output()
	require.NoError(t, err, "run 'make build'")
	assert.Equal(t, "otelcol-mesh version "+want+"\n", string(out))

	raw, err := os.ReadFile(filepath.Join(root, "distribution/chart/Chart.yaml"))
	require.NoError(t, err)
	var chart struct {
		Version    string `yaml:"version"`
		AppVersion string `yaml:"appVersion"`
	}
	require.NoError(t, yaml.Unmarshal(raw, &chart))
	assert.Equal(t, want, chart.Version, "version in Chart.yaml")
	assert.Equal(t, want, chart.AppVersion, "appVersion in Chart.yaml")

	// What is not released yet is the next version; a release names and dates it, and nothing stands above.
	raw, err = os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	require.NoError(t, err)
	headings := regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(string(raw), -1)
	require.NotEmpty(t, headings)
	released := regexp.MustCompile(`^` + regexp.QuoteMeta(want) + ` \(\d{4}-\d{2}-\d{2}\)$`)
	assert.True(t, headings[0][1] == "Unreleased" || released.MatchString(headings[0][1]),
		"the first heading of CHANGELOG.md is %q: write 'Unreleased', or '%s (YYYY-MM-DD)' for the release", headings[0][1], want)
	for _, h := range headings[1:] {
		assert.False(t, released.MatchString(h[1]), "%s is released already, and there is more above it: raise dist.version", want)
	}
}

// TestToolchain prevents a Dockerfile and a workflow that build with another Go than each other: other bytes.
func TestToolchain(t *testing.T) {
	found := map[string]bool{}
	for file, pattern := range map[string]string{
		"distribution/image/Dockerfile": `(?m)^FROM golang:([0-9.]+)-`,
		".github/workflows/release.yml": `(?m)GO_VERSION: "([0-9.]+)"`,
		".github/workflows/ci.yml":      `(?m)GO_VERSION: "([0-9.]+)"`,
		"docs/releases.md":              `(?m)^\| ` + regexp.QuoteMeta(version(t)) + ` \| ([0-9.]+) \|`,
	} {
		raw, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		m := regexp.MustCompile(pattern).FindSubmatch(raw)
		require.NotNil(t, m, file)
		found[string(m[1])] = true
	}
	assert.Len(t, found, 1, "versions of Go: %v", found)
}
