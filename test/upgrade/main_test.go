// SPDX-License-Identifier: Apache-2.0

// Package upgrade replaces agents, hub replicas and routers one after the other while numbered telemetry flows, as
// Kubernetes does it at an upgrade and when the number of replicas changes, and asks in the end for every item that was
// acknowledged. What runs is the built distribution with the shipped configurations, as processes; the test plays the
// controllers, kubelet and kube-proxy.
package upgrade

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// within bounds every wait; it matters only when something is broken.
const within = 90 * time.Second

// Signals, and the markers of the ledger.
const (
	traces  = "traces"
	logs    = "logs"
	metrics = "metrics"
)

// west and north are the clusters of the two agents.
const (
	west  = "aks-westeurope"
	north = "aks-northeurope"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lasts is how long the load flows at least. OTELCOL_MESH_UPGRADE=10m is what the figures in docs/upgrades.md were taken
// with; without it each thing is replaced once.
func lasts(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("OTELCOL_MESH_UPGRADE")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "OTELCOL_MESH_UPGRADE")
	return d
}

// errNotYet is what [until] ends with when nothing else is known.
var errNotYet = errors.New("it did not come to pass")

// until returns nil as soon as done returns true, and an error when ctx ends first.
func until(ctx context.Context, done func() bool) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(errNotYet, ctx.Err())
		}
	}
	return nil
}

// eventually fails the test if a condition does not come true, and returns how long it took.
func eventually(t *testing.T, what string, done func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	require.NoError(t, until(ctx, done), what)
	return time.Since(began)
}
