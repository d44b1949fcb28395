// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

const root = "../../../../.."

// measurement is Argo Rollouts' v1alpha1.Measurement, as far as it is looked at.
type measurement struct {
	Phase   string `json:"phase"`
	Message string `json:"message"`
	Value   string `json:"value"`
}

// argo builds the program that measures with Argo Rollouts' own code.
func argo(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "argorollouts")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	cmd.Dir = filepath.Join(root, "tools", "argorollouts")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return program
}

// run takes the template's measurements from a hub.
func run(t *testing.T, program, template, hub string) map[string]measurement {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, template,
		"hub="+hub, "namespace=shop", "service=reviews", "version=v2", "token=secret")
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	require.NoError(t, cmd.Run(), errors.String())
	var m map[string]measurement
	require.NoError(t, json.Unmarshal(out.Bytes(), &m))
	return m
}

// The example's template asks a real server, by the code of Argo Rollouts: its strict types, its validation, its web provider,
// its JSON path and its conditions.
func TestArgoRollouts(t *testing.T) {
	program := argo(t)
	example := filepath.Join(root, "distribution", "examples", "argo-rollouts", "analysis-template.yaml")
	fast, slow := spread(100), make([]float64, 100)
	for i := range slow {
		slow[i] = 700
	}
	stable := edge("v1", "west", 5000, 0, 0, fast...)
	const good, failed, unsure = "Successful", "Failed", "Inconclusive"
	for _, c := range []struct {
		name                   string
		edges                  []graph.Edge
		success, slow, service string
	}{
		{"healthy", []graph.Edge{stable, edge("v2", "west", 100, 0, 0, fast...)}, good, good, good},
		{"one in a hundred fails", []graph.Edge{stable, edge("v2", "west", 99, 1, 0, fast...)}, good, good, good},
		{"two in a hundred fail", []graph.Edge{stable, edge("v2", "west", 98, 2, 0, fast...)}, failed, good, good},
		{"slow", []graph.Edge{stable, edge("v2", "west", 100, 0, 0, slow...)}, good, failed, good},
		{"too few", []graph.Edge{stable, edge("v2", "west", 99, 0, 0, fast[:99]...)}, unsure, unsure, good},
		{"not there", []graph.Edge{stable}, unsure, unsure, good},
		{"its pods are gone", []graph.Edge{stable, edge("", "", 0, 0, 500)}, unsure, unsure, failed},
		{"nobody calls", nil, unsure, unsure, unsure},
		{"measured by nobody", []graph.Edge{stable, edge("v2", "west", 100, 0, 0)}, good, unsure, good},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := store(t, append(c.edges, edge("v9", "west", 0, 0, 0))...)
			hub := httptest.NewServer(authorized(t, Analysis(Sources{Window: s, Now: func() time.Time { return noon }})))
			defer hub.Close()
			m := run(t, program, example, hub.URL)
			assert.Equal(t, c.success, m["success-rate"].Phase, m["success-rate"])
			assert.Equal(t, c.slow, m["latency-p99"].Phase, m["latency-p99"])
			assert.Equal(t, c.service, m["service-error-rate"].Phase, m["service-error-rate"])
			assert.Len(t, m, 3)
		})
	}
}

func authorized(t *testing.T, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "Bearer secret", r.Header.Get("Authorization"))
		next.ServeHTTP(w, r)
	})
}

// What a template gets that asks wrongly: an error, never a success or a failure.
func TestArgoRolloutsErrors(t *testing.T) {
	program := argo(t)
	hub := httptest.NewServer(Analysis(Sources{Window: store(t), Now: func() time.Time { return noon }}))
	defer hub.Close()
	raw, err := os.ReadFile(filepath.Join(root, "distribution", "examples", "argo-rollouts", "analysis-template.yaml"))
	require.NoError(t, err)
	for name, change := range map[string]*strings.Replacer{
		"a wrong parameter": strings.NewReplacer("window=5m", "window=90s"),
		"a condition that forgets to ask for enough": strings.NewReplacer(
			`"{$}"`, `"{$.value}"`, "result.enough && result.value", "result"),
		"a name that is not in the answer": strings.NewReplacer(`"{$}"`, `"{$.rate}"`),
	} {
		template := filepath.Join(t.TempDir(), "template.yaml")
		require.NoError(t, os.WriteFile(template, []byte(change.Replace(string(raw))), 0o600))
		for metric, m := range run(t, program, template, hub.URL) {
			assert.Equal(t, "Error", m.Phase, "%s: %s: %s", name, metric, m.Message)
		}
	}
	template := filepath.Join(t.TempDir(), "template.yaml")
	require.NoError(t, os.WriteFile(template, []byte(strings.Replace(string(raw), "jsonPath:", "jsonpaths:", 1)), 0o600))
	out, err := exec.CommandContext(t.Context(), program, template).CombinedOutput()
	assert.Error(t, err, "the program reads strictly")
	assert.Contains(t, string(out), "jsonpaths")
}
