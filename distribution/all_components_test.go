// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type named struct {
	Name string `yaml:"name"`
}

// TestEveryComponentStarts prevents the bug that a component is in the manifest, and so in every binary, but cannot be
// used: it is missing a build tag, panics at the start, or nobody ever configured it.
func TestEveryComponentStarts(t *testing.T) {
	const file = "testdata/all-components.yaml"
	out, err := exec.CommandContext(t.Context(), binary(t), "components").Output()
	require.NoError(t, err)
	var shipped struct{ Receivers, Processors, Exporters, Connectors, Extensions []named }
	require.NoError(t, yaml.Unmarshal(out, &shipped))
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var used struct{ Receivers, Processors, Exporters, Connectors, Extensions map[string]any }
	require.NoError(t, yaml.Unmarshal(raw, &used))
	for kind, pair := range map[string]struct {
		shipped []named
		used    map[string]any
	}{
		"receivers": {shipped.Receivers, used.Receivers}, "processors": {shipped.Processors, used.Processors},
		"exporters": {shipped.Exporters, used.Exporters}, "connectors": {shipped.Connectors, used.Connectors},
		"extensions": {shipped.Extensions, used.Extensions},
	} {
		require.NotEmpty(t, pair.shipped, kind)
		for _, c := range pair.shipped {
			assert.Contains(t, pair.used, c.Name, "%s in %s", kind, file)
		}
	}

	stderr, stop := start(t, file, "STORAGE="+t.TempDir())
	eventually(t, stderr, func() bool {
		log, err := os.ReadFile(stderr.Name())
		require.NoError(t, err)
		return strings.Contains(string(log), "Everything is ready")
	})
	assert.NoError(t, stop())
	log, err := os.ReadFile(stderr.Name())
	require.NoError(t, err)
	assert.NotContains(t, string(log), "deprecated", "a component under an old name")
}

// start runs the binary and returns its standard error and what ends it in order.
func start(t *testing.T, config string, env ...string) (stderr *os.File, stop func() error) {
	t.Helper()
	stderr, err := os.Create(t.TempDir() + "/stderr")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, stderr.Close()) })
	cmd := exec.Command(binary(t), "--config", config)
	cmd.Env, cmd.Stderr = env, stderr
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		return <-ended
	}
	t.Cleanup(func() { assert.NoError(t, stop(), "it ends in order on SIGTERM") })
	return stderr, stop
}
