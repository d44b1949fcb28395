// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"io"
	"net/http"
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

	stderr, stop := start(t, []string{file}, "STORAGE="+t.TempDir())
	assert.NoError(t, stop())
	log, err := os.ReadFile(stderr.Name())
	require.NoError(t, err)
	assert.NotContains(t, string(log), "deprecated", "a component under an old name")
}

// start runs the binary until it is ready, and returns its standard error and what ends it in order. The configuration
// serves pprof on [pprofURL].
func start(t *testing.T, configs []string, env ...string) (stderr *os.File, stop func() error) {
	t.Helper()
	p := launch(t, configs, env...)
	return p.stderr, p.stop
}

// process is a running binary.
type process struct {
	stderr *os.File
	cmd    *exec.Cmd
	ended  chan error
	over   bool
}

// launch is [start] for those who want to kill it. What begins with two dashes among the configurations is another option.
func launch(t *testing.T, configs []string, env ...string) *process {
	t.Helper()
	stderr, err := os.Create(t.TempDir() + "/stderr")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, stderr.Close()) })
	cmd := exec.Command(binary(t))
	for _, c := range configs {
		if !strings.HasPrefix(c, "--") {
			cmd.Args = append(cmd.Args, "--config")
		}
		cmd.Args = append(cmd.Args, c)
	}
	cmd.Env, cmd.Stderr = env, stderr
	require.NoError(t, cmd.Start())
	p := &process{stderr: stderr, cmd: cmd, ended: make(chan error, 1)}
	go func() { p.ended <- cmd.Wait() }()
	t.Cleanup(func() { assert.NoError(t, p.stop(), "it ends in order on SIGTERM") })
	eventually(t, stderr, func() bool { return inControlLoop(t, stderr) })
	return p
}

// stop ends it in order; it does nothing once the process is over.
func (p *process) stop() error {
	if p.over {
		return nil
	}
	p.over = true
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return <-p.ended
}

// kill ends it on the spot.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.over = true
	require.NoError(t, p.cmd.Process.Kill())
	require.ErrorContains(t, <-p.ended, "killed")
}

const pprofURL = "http://" + standaloneHost + ":1777/debug/pprof/goroutine?debug=2"

// inControlLoop says whether the collector has taken over signals. It does so a moment after it says that it is ready;
// a SIGTERM in between would end it on the spot. After that its first goroutine waits in a select.
func inControlLoop(t *testing.T, stderr *os.File) bool {
	t.Helper()
	log, err := os.ReadFile(stderr.Name())
	require.NoError(t, err)
	if !strings.Contains(string(log), "Everything is ready") {
		return false
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, pprofURL, http.NoBody)
	require.NoError(t, err)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	goroutines, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return strings.Contains(string(goroutines), "goroutine 1 [select")
}
