// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the whole path as users do: the built distribution with the shipped configurations, real Envoys, and
// the local Application Insights endpoint.
package e2e

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

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/stack"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoybin"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

const (
	west, north = "aks-westeurope", "aks-northeurope"
	// within bounds every wait; it is generous, because it only matters when something is broken.
	within = 90 * time.Second
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestWholePath is one mesh, because starting it is most of the work; the parts build on each other in order.
func TestWholePath(t *testing.T) {
	s := startStack(t)
	t.Run("a call is a dependency of the caller and a request of the callee", func(t *testing.T) { callIsPaired(t, s) })
	t.Run("every signal arrives from both regions", func(t *testing.T) { everySignalArrives(t, s) })
	t.Run("one trace spans both regions through the east/west gateway", func(t *testing.T) { failover(t, s) })
	t.Run("malformed input is refused and counted", func(t *testing.T) { malformedInput(t, s) })
	t.Run("a broken topology file keeps the last good one", func(t *testing.T) { brokenTopology(t, s) })
	t.Run("kill -9 of any process wedges nothing", func(t *testing.T) { killEverything(t, s) })
	t.Run("everything that is said agrees with the layout", func(t *testing.T) { agreesWithLayout(t, s) })
}

// startStack starts a mesh and its load, which lasts as long as the test.
func startStack(t *testing.T) *stack.Stack {
	t.Helper()
	s := startMesh(t)
	startLoad(t, s)
	return s
}

func startMesh(t *testing.T) *stack.Stack {
	t.Helper()
	configs, err := filepath.Abs("../../distribution/config")
	require.NoError(t, err)
	envoy, err := envoybin.Path(t.Context())
	require.NoError(t, err)

	dir := t.TempDir()
	s, err := stack.Start(t.Context(), stack.Options{
		Binary: collectortest.Binary(t), Envoy: envoy, Configs: configs, Dir: dir,
		// Nothing may be forgotten before it was compared.
		Insights: ingestiontest.Config{MaxItems: 10_000_000, MaxItemBytes: 8 << 30},
		Log:      slog.New(slog.NewTextHandler(t.Output(), nil)),
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
	require.NoError(t, s.Ready(ready))
	return s
}

// startLoad starts the load. stop ends it and waits for the last answers; it may be called more than once.
func startLoad(t *testing.T, s *stack.Stack) (stop func()) {
	t.Helper()
	load, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := s.Mesh().Load(load, 10, nil)
		assert.NoError(t, err)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// showLogs prints the end of each collector's log, which is what one needs first when this fails on another machine.
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

// waitFor returns the first item that the filter selects, or fails the test after a while.
func waitFor(t *testing.T, s *stack.Stack, what string, filter ingestiontest.Filter) ingestiontest.Item {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var found []ingestiontest.Item
	err := s.Insights().Wait(ctx, func() bool {
		found = s.Insights().Items(filter)
		return len(found) > 0
	})
	require.NoErrorf(t, err, "%s did not arrive; there are %v", what, s.Insights().Summary().ByRole)
	return found[0]
}

// since selects items accepted after this moment.
func since(s *stack.Stack) func(ingestiontest.Item) bool {
	last := s.Insights().Summary().Accepted
	return func(i ingestiontest.Item) bool { return i.Sequence > last }
}

func dependencyWith(properties map[string]string) ingestiontest.Item {
	return ingestiontest.Item{Type: "Dependency", Role: "productpage.bookinfo@" + west, RoleInstance: "productpage-v1-564d4686f-abcde", Envelope: ai.Envelope{Data: ai.NewData(&ai.RemoteDependencyData{Properties: properties})}}
}

func callIsPaired(t *testing.T, s *stack.Stack) {
	item := waitFor(t, s, "productpage's call of details", ingestiontest.Filter{
		Type: "Dependency", Role: "productpage.bookinfo@" + west, ResultCode: "200",
		Match: func(i ingestiontest.Item) bool { return i.Properties()["mesh.destination.service"] == "details" },
	})
	dependency, ok := item.Envelope.Data.BaseData.(*ai.RemoteDependencyData)
	require.True(t, ok)
	assert.Equal(t, "HTTP", dependency.Type)
	assert.Equal(t, "details.bookinfo@"+west, dependency.Target)
	assert.Equal(t, "GET details.bookinfo.svc.cluster.local:9080/*", dependency.Name)
	assert.Equal(t, "200", dependency.ResultCode)
	assert.True(t, dependency.Success)
	assert.Equal(t, "westeurope", item.Region)

	callee := waitFor(t, s, "details' side of that call", ingestiontest.Filter{
		Type: "Request", OperationID: item.OperationID, ParentID: item.ID,
	})
	assert.Equal(t, "details.bookinfo@"+west, callee.Role)
	assert.Equal(t, "westeurope", callee.Region)
	assert.Equal(t, "200", callee.ResultCode)
}

func everySignalArrives(t *testing.T, s *stack.Stack) {
	for _, region := range []string{"westeurope", "northeurope"} {
		for _, itemType := range []string{"Request", "Dependency", "Message"} {
			waitFor(t, s, itemType+" of "+region, ingestiontest.Filter{Type: itemType, Region: region, Match: func(i ingestiontest.Item) bool {
				return i.Role != "" && i.Properties()["mesh.resolution.source"] != ""
			}})
		}
		waitFor(t, s, "Metric of "+region, ingestiontest.Filter{Type: "Metric", Match: func(i ingestiontest.Item) bool {
			return i.Role != "" && i.Properties()["mesh.source.region"] == region && i.Properties()["mesh.destination.region"] == region
		}})
	}
	for _, name := range []string{"istio_requests_total", "istio_request_duration_milliseconds"} {
		waitFor(t, s, name, ingestiontest.Filter{Type: "Metric", Name: name})
	}
}

func failover(t *testing.T, s *stack.Stack) {
	after := since(s)
	require.NoError(t, s.Mesh().Fail(west, "reviews"))
	request := waitFor(t, s, "a call answered in the other region", ingestiontest.Filter{
		Type: "Request", Role: "reviews.bookinfo@" + north, ResultCode: "200",
		Match: func(i ingestiontest.Item) bool {
			if !after(i) || i.ParentID == "" {
				return false
			}
			// The endpoint must not be called from within a filter, so the parent is looked up below.
			return strings.HasPrefix(i.Properties()["mesh.resolution.source"], "unknown:") || i.Properties()["mesh.via"] != ""
		},
	})
	assert.Equal(t, "northeurope", request.Region)
	dependency := waitFor(t, s, "the caller's side of it", ingestiontest.Filter{
		Type: "Dependency", OperationID: request.OperationID, ID: request.ParentID,
	})
	assert.Equal(t, "productpage.bookinfo@"+west, dependency.Role)
	assert.Equal(t, "westeurope", dependency.Region)
	properties := dependency.Properties()
	assert.Equal(t, north, properties["mesh.destination.cluster"])
	assert.Equal(t, "northeurope", properties["mesh.destination.region"])
	assert.Equal(t, "cross_region", properties["mesh.traffic.locality"])
	assert.Equal(t, "true", properties["mesh.traffic.cross_cluster"])
	assert.Contains(t, properties["mesh.via"], "istio-eastwestgateway")
	data, ok := dependency.Envelope.Data.BaseData.(*ai.RemoteDependencyData)
	require.True(t, ok)
	assert.Equal(t, "reviews.bookinfo@"+north, data.Target)

	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	require.NoError(t, s.Mesh().Heal(ctx, west, "reviews"))
	after = since(s)
	waitFor(t, s, "traffic that came home", ingestiontest.Filter{Type: "Request", Role: "reviews.bookinfo@" + west, Match: after})
}

func killEverything(t *testing.T, s *stack.Stack) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*within)
	defer cancel()
	flows := func(what string) {
		after := since(s)
		for _, role := range []string{"productpage.bookinfo@" + west, "productpage.bookinfo@" + north} {
			waitFor(t, s, role+" after "+what, ingestiontest.Filter{Type: "Request", Role: role, Match: after})
		}
	}
	for _, role := range s.Roles() {
		pid := s.PID(role)
		require.NoError(t, s.Kill(role))
		eventually(t, role+" is started again", func() bool { p := s.PID(role); return p != 0 && p != pid })
		require.NoError(t, s.RoleReady(ctx, role))
		flows("kill -9 of " + role)
	}
	for _, truth := range mesh.Truth() {
		require.NoError(t, s.Mesh().KillEnvoy(truth.Pod))
	}
	require.NoError(t, s.Mesh().Ready(ctx))
	flows("kill -9 of every Envoy")
}

// agreesWithLayout is the promise: of all that carries mesh.* attributes, nothing is wrong.
func agreesWithLayout(t *testing.T, s *stack.Stack) {
	items := s.Insights().Items(ingestiontest.Filter{Match: func(i ingestiontest.Item) bool {
		properties := i.Properties()
		return properties["mesh.resolution.source"] != "" || properties["mesh.resolution.destination"] != "" ||
			(i.Type == "Metric" && properties["mesh.source.cluster"]+properties["mesh.destination.cluster"] != "")
	}})
	counts, resolved := map[string]int{}, map[string]int{}
	dependencies := map[[2]string]ingestiontest.Item{}
	var wrong int
	report := func(item ingestiontest.Item, problems []string) {
		if len(problems) == 0 {
			return
		}
		if wrong++; wrong <= 10 {
			t.Errorf("%s of %s: %s\n%v", item.Type, item.Role, strings.Join(problems, "; "), item.Properties())
		}
	}
	for _, item := range items {
		counts[item.Type]++
		for _, side := range []string{"source", "destination"} {
			resolved[item.Type+" "+side+" "+item.Properties()["mesh.resolution."+side]]++
		}
		if item.Type == "Metric" {
			report(item, checkPoint(item))
			continue
		}
		report(item, checkItem(item))
		if dependency, ok := item.Envelope.Data.BaseData.(*ai.RemoteDependencyData); ok {
			if dependency.Type == "" || dependency.Target == "" || dependency.ResultCode == "" {
				report(item, []string{fmt.Sprintf("type %q, target %q, result code %q", dependency.Type, dependency.Target, dependency.ResultCode)})
			}
			dependencies[[2]string{item.OperationID, item.ID}] = item
		}
	}
	pairs := 0
	for _, item := range items {
		if dependency, ok := dependencies[[2]string{item.OperationID, item.ParentID}]; ok && item.Type == "Request" {
			pairs++
			report(item, checkPair(dependency, item))
		}
	}
	t.Logf("checked %v and %d pairs, %d wrong; resolutions: %v", counts, pairs, wrong, resolved)
	for _, itemType := range []string{"Request", "Dependency", "Message", "Metric"} {
		assert.Positive(t, counts[itemType], "checked items of type %s", itemType)
	}
	assert.Positive(t, pairs)
	assert.Zero(t, wrong, fmt.Sprintf("of %d items", len(items)))
}
