// SPDX-License-Identifier: Apache-2.0

package components

import (
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
)

const ownModule = "github.com/otelcol-mesh/otelcol-mesh"

type manifestModule struct {
	GoMod  string `yaml:"gomod"`
	Import string `yaml:"import"`
}

// importPath is what ocb imports for this line: `import:` if given, the module itself otherwise.
func (m manifestModule) importPath() string {
	if m.Import != "" {
		return m.Import
	}
	path, _, _ := strings.Cut(m.GoMod, " ")
	return path
}

type manifest struct {
	Extensions []manifestModule `yaml:"extensions"`
	Receivers  []manifestModule `yaml:"receivers"`
	Processors []manifestModule `yaml:"processors"`
	Exporters  []manifestModule `yaml:"exporters"`
	Connectors []manifestModule `yaml:"connectors"`
	Providers  []manifestModule `yaml:"providers"`
	Converters []manifestModule `yaml:"converters"`
	Replaces   []string         `yaml:"replaces"`
}

func (m manifest) components() []manifestModule {
	var all []manifestModule
	for _, kind := range [][]manifestModule{m.Extensions, m.Receivers, m.Processors, m.Exporters, m.Connectors} {
		all = append(all, kind...)
	}
	return all
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	raw, err := os.ReadFile("../builder-config.yaml")
	require.NoError(t, err)
	var m manifest
	require.NoError(t, yaml.Unmarshal(raw, &m))
	return m
}

func readGoMod(t *testing.T) *modfile.File {
	t.Helper()
	raw, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	mod, err := modfile.Parse("go.mod", raw, nil)
	require.NoError(t, err)
	return mod
}

// TestManifestEqualsFactories prevents the bug that tests pass against one set of components while users run another: a
// component added to components.go alone is tested but not shipped, one added to the manifest alone is shipped untested.
func TestManifestEqualsFactories(t *testing.T) {
	m := readManifest(t)

	file, err := parser.ParseFile(token.NewFileSet(), "components.go", nil, parser.ImportsOnly)
	require.NoError(t, err)
	notComponents := map[string]bool{
		"go.opentelemetry.io/collector/confmap":                             true,
		"go.opentelemetry.io/collector/connector":                           true,
		"go.opentelemetry.io/collector/exporter":                            true,
		"go.opentelemetry.io/collector/extension":                           true,
		"go.opentelemetry.io/collector/processor":                           true,
		"go.opentelemetry.io/collector/receiver":                            true,
		"go.opentelemetry.io/collector/otelcol":                             true,
		"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry": true,
	}
	var imported []string
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		if !notComponents[path] {
			imported = append(imported, path)
		}
	}
	var listed []string
	for _, c := range slices.Concat(m.components(), m.Providers, m.Converters) {
		listed = append(listed, c.importPath())
	}
	assert.ElementsMatch(t, listed, imported, "builder-config.yaml and the imports of components.go")

	factories, err := Factories()
	require.NoError(t, err)
	assert.Len(t, m.Extensions, distinct(factories.Extensions), "extensions")
	assert.Len(t, m.Receivers, distinct(factories.Receivers), "receivers")
	assert.Len(t, m.Processors, distinct(factories.Processors), "processors")
	assert.Len(t, m.Exporters, distinct(factories.Exporters), "exporters")
	assert.Len(t, m.Connectors, distinct(factories.Connectors), "connectors")
	assert.Len(t, Providers(), len(m.Providers), "providers")
	assert.Len(t, Converters(), len(m.Converters), "converters")
}

// distinct counts factories, of which some stand under a deprecated alias as well.
func distinct[K comparable, V any](byType map[K]V) int {
	seen := map[any]struct{}{}
	for _, factory := range byType {
		seen[factory] = struct{}{}
	}
	return len(seen)
}

// TestManifestEqualsGoMod prevents the bug that ocb resolves another version of a part than the one the tests ran with.
func TestManifestEqualsGoMod(t *testing.T) {
	m := readManifest(t)
	mod := readGoMod(t)
	required := map[string]string{}
	for _, r := range mod.Require {
		required[r.Mod.Path] = r.Mod.Version
	}
	for _, c := range slices.Concat(m.components(), m.Providers, m.Converters) {
		path, version, ok := strings.Cut(c.GoMod, " ")
		require.Truef(t, ok, "gomod %q has no version", c.GoMod)
		if path == ownModule {
			assert.Equal(t, "v0.0.0", version, "own components are taken from this tree")
			assert.NotEmpty(t, c.Import, "own components name the package: %s", c.GoMod)
			continue
		}
		assert.Equal(t, version, required[path], "version of %s in go.mod", path)
	}

	var own int
	replaced := map[string]string{}
	for _, line := range m.Replaces {
		from, to, ok := strings.Cut(line, " => ")
		require.Truef(t, ok, "replaces line %q", line)
		if from == ownModule {
			own++
			continue
		}
		replaced[from] = to
	}
	assert.Equal(t, 1, own, "one replaces line for own components")
	inGoMod := map[string]string{}
	for _, r := range mod.Replace {
		inGoMod[r.Old.Path] = strings.TrimSpace(r.New.Path + " " + r.New.Version)
	}
	assert.Equal(t, inGoMod, replaced, "replaces of the manifest and of go.mod")
}

// behind are the modules that are one release behind on purpose: pkg/stanza v0.161.0, which file_log is made of, cannot be
// fetched. Take the line out when a later one can.
var behind = map[string]string{
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/filelogreceiver": "v0.160.0",
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza":               "v0.160.0",
}

// TestCollectorVersionsAgree prevents the bug that `go mod tidy` or a dependency lifts one collector module to a release
// the others were not made for.
func TestCollectorVersionsAgree(t *testing.T) {
	for _, r := range readGoMod(t).Require {
		path, version := r.Mod.Path, r.Mod.Version
		if known, ok := behind[path]; ok {
			assert.Equal(t, known, version, path)
			continue
		}
		if strings.HasPrefix(path, "go.opentelemetry.io/collector") || strings.HasPrefix(path, "github.com/open-telemetry/opentelemetry-collector-contrib/") {
			assert.Contains(t, []string{"v0.161.0", "v1.67.0"}, version, path)
		}
	}
}
