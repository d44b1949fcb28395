// SPDX-License-Identifier: Apache-2.0

// Package charttest renders the chart for tests, with Helm itself (tools/helm).
package charttest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Namespace is where the examples install the chart.
const Namespace = "otelcol-mesh"

// Dir is the folder of the chart, absolute.
func Dir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

// Helm runs helm in the chart's folder and returns what it writes to its output. The error has what it says otherwise.
// OTELCOL_MESH_HELM is the path of the program, .tools/helm of the repository by default.
func Helm(t testing.TB, args ...string) (string, error) {
	t.Helper()
	program := os.Getenv("OTELCOL_MESH_HELM")
	if program == "" {
		program = filepath.Join(Dir(), "..", "..", ".tools", "helm")
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("helm is not built: run 'make kube-tools' (%v)", err)
	}
	watched.Do(watch)
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = Dir()
	home := t.TempDir()
	// Nothing of the user's Helm, and no cluster.
	cmd.Env = []string{
		"HOME=" + home, "HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home,
		"KUBECONFIG=" + filepath.Join(home, "none"),
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

var watched sync.Once

// watch looks at every file that helm reads: go test knows no other way that a result it keeps is out of date.
func watch() {
	for _, folder := range []string{".", "files/config", "files/examples", "files/rbac"} {
		// The slash follows a link.
		_ = filepath.WalkDir(filepath.Join(Dir(), folder)+string(filepath.Separator), func(path string, _ fs.DirEntry, _ error) error {
			_, err := os.Stat(path)
			return err
		})
	}
}

// Example is a folder of examples/.
type Example struct {
	Name string
	// Args are what stands behind "helm install" in the example's head: release, chart, namespace and files of values.
	Args []string
}

var command = regexp.MustCompile(`(?m)^# +helm install (.+)$`)

// Examples are all examples, each with the very command that its values.yaml tells users.
func Examples(t testing.TB) []Example {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(Dir(), "examples", "*", "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var examples []Example
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := command.FindSubmatch(raw)
		if found == nil {
			t.Fatal(errors.New(file + ": the head has no line with helm install"))
		}
		examples = append(examples, Example{Name: filepath.Base(filepath.Dir(file)), Args: strings.Fields(string(found[1]))})
	}
	return examples
}

// Named returns one of the examples.
func Named(t testing.TB, name string) Example {
	t.Helper()
	for _, e := range Examples(t) {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("there is no example %s", name)
	return Example{}
}

// Render returns the manifests of an example; more are further arguments of helm template.
func (e Example) Render(t testing.TB, more ...string) string {
	t.Helper()
	out, err := Helm(t, append(append([]string{"template"}, e.Args...), more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
