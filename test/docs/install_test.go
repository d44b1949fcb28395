// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
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

var (
	// block is a fenced block with its language.
	block = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")
	// fileName is the first line of a block that is a file.
	fileName = regexp.MustCompile(`^# ([a-z-]+\.yaml)\n`)
	// install is a command that installs a chart of this repository; lines that end in \ are joined before.
	install = regexp.MustCompile(`(?m)^\s*helm (?:--kube-context \S+ )?(?:install|upgrade --install) (\S+) (distribution/\S+) (.*)$`)
	flag    = regexp.MustCompile(`(-f|--set) (\S+)`)
	shell   = regexp.MustCompile(`\$\([^)]*\)|\$[A-Z_]+`)
)

// TestInstallationRenders prevents that a guide tells values or commands that the charts do not take: each helm command of a guide is
// rendered with the values files that stand above it.
func TestInstallationRenders(t *testing.T) {
	files := t.TempDir() // the second guide goes on from the first one
	for _, guide := range []struct {
		name     string
		commands int
	}{{"docs/install-aks.md", 4}, {"docs/migration.md", 1}} {
		commands := 0
		for _, b := range block.FindAllStringSubmatch(read(t, guide.name), -1) {
			language, text := b[1], b[2]
			if language == "yaml" {
				var values map[string]any
				require.NoError(t, yaml.UnmarshalStrict([]byte(text), &values), text)
				if name := fileName.FindStringSubmatch(text); name != nil {
					require.NoError(t, os.WriteFile(filepath.Join(files, name[1]), []byte(text), 0o600))
				}
			}
			for _, c := range install.FindAllStringSubmatch(strings.ReplaceAll(text, "\\\n", " "), -1) {
				commands++
				chart, err := filepath.Abs(filepath.Join(root, c[2]))
				require.NoError(t, err)
				args := []string{"template", c[1], chart, "--namespace", "otelcol-mesh"}
				for _, f := range flag.FindAllStringSubmatch(shell.ReplaceAllString(c[3], "x"), -1) {
					value := strings.ReplaceAll(f[2], "'", "")
					if f[1] == "-f" {
						value = filepath.Join(files, f[2])
						if strings.HasPrefix(f[2], "distribution/") {
							value, err = filepath.Abs(filepath.Join(root, f[2]))
							require.NoError(t, err)
						}
					}
					args = append(args, f[1], value)
				}
				out, err := charttest.Helm(t, args...)
				if assert.NoError(t, err, "%s: %s", guide.name, c[0]) {
					assert.Contains(t, out, "kind:", c[0])
				}
			}
		}
		assert.Equal(t, guide.commands, commands, "%s: helm commands", guide.name)
	}
}

// TestOverlaysOfTheGuideAreSeen shows that what a guide gets wrong is found.
func TestOverlaysOfTheGuideAreSeen(t *testing.T) {
	_, err := charttest.Helm(t, "template", "otelcol-mesh", ".", "--set", "hub.enabled=true", "--set", "hub.tls.secret=x")
	require.Error(t, err)
}
