// SPDX-License-Identifier: Apache-2.0

// Package graph holds the graph that the hub serves against what really happened in the demo mesh: what the applications
// wrote down themselves, what the load driver sent, and what the Envoys counted.
package graph

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/demo/stack"
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoybin"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

const (
	west, north = "aks-westeurope", "aks-northeurope"
	// within bounds every wait; it is generous, because it only matters when something is broken.
	within = 2 * time.Minute
	// settle is how long the hub waits for the other reporter of a request here: agents report every five seconds.
	settle = 15 * time.Second
	// often is how long a poll pauses.
	often = 100 * time.Millisecond
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startMesh starts all of it and waits until it serves.
func startMesh(t *testing.T) *stack.Stack {
	t.Helper()
	envoy, err := envoybin.Path(t.Context())
	require.NoError(t, err)
	configs, err := filepath.Abs("../../distribution/config")
	require.NoError(t, err)
	dir := t.TempDir()
	s, err := stack.Start(t.Context(), stack.Options{
		Binary: collectortest.Binary(t), Envoy: envoy, Configs: configs, Dir: dir,
		// The shipped pace is for agents that report every minute.
		Hub: []string{"yaml:connectors::mesh_graph::interval: 1s", "yaml:connectors::mesh_graph::settle: " + settle.String()},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, s.Stop())
		if t.Failed() {
			showLogs(t, dir, s.Roles())
		}
	})
	ready, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for _, role := range s.Roles() {
		require.NoError(t, s.RoleReady(ready, role))
	}
	// What an Envoy counted before its agent watched is not known to the agent. So the mesh begins anew, with Envoys that
	// are younger than their agents, by more than the second that an Envoy's uptime is rounded to.
	require.NoError(t, s.Mesh().Stop(ready))
	pause(t, 3*time.Second)
	require.NoError(t, s.Mesh().Start(ready))
	require.NoError(t, s.Ready(ready))
	return s
}

func showLogs(t *testing.T, dir string, roles []string) {
	for _, role := range roles {
		raw, err := os.ReadFile(filepath.Join(dir, "logs", role+".log"))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
		t.Logf("the last lines of %s:\n%s", role, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
}

// eventually polls until what is wrong is nothing, and fails the test with the last of it after a while.
func eventually(t *testing.T, what string, wrong func() string) {
	t.Helper()
	eventuallyIn(t, within, what, wrong)
}

func eventuallyIn(t *testing.T, within time.Duration, what string, wrong func() string) {
	t.Helper()
	ticker := time.NewTicker(often)
	defer ticker.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		last := wrong()
		if last == "" {
			return
		}
		select {
		case <-ctx.Done():
			require.Failf(t, what, "%s", last)
		case <-ticker.C:
		}
	}
}

// pause lets the load go on; it waits for nothing that something could tell.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		require.NoError(t, t.Context().Err())
	}
}

// duration is how long the load lasts: OTELCOL_MESH_CONSERVATION=10m is what the figures in docs/graph.md were taken with.
func duration(t *testing.T) time.Duration {
	text := os.Getenv("OTELCOL_MESH_CONSERVATION")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "OTELCOL_MESH_CONSERVATION")
	return d
}

// way is an edge: workload@cluster of both ends.
type way struct{ caller, callee string }

func (w way) String() string { return fmt.Sprintf("%s -> %s", w.caller, w.callee) }
