// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
	"github.com/otelcol-mesh/otelcol-mesh/processors/clusteridentityprocessor/claimtest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/clusteridentityprocessor/internal/metadatatest"
)

// tested is a processor of one signal with what it tells.
type tested struct {
	*clusterIdentity
	telemetry *componenttest.Telemetry
	logs      *observer.ObservedLogs
}

func newTested(t *testing.T, cfg *Config, s signal) tested {
	t.Helper()
	require.NoError(t, cfg.Validate())
	telemetry := componenttest.NewTelemetry()
	settings := telemetry.NewTelemetrySettings()
	core, logs := observer.New(zap.WarnLevel)
	settings.Logger = zap.New(core)
	p, err := newClusterIdentity(processor.Settings{ID: component.MustNewID("cluster_identity"), TelemetrySettings: settings}, cfg, s)
	require.NoError(t, err)
	require.NoError(t, p.start(t.Context(), nil))
	t.Cleanup(func() {
		require.NoError(t, p.shutdown(context.Background()))
		require.NoError(t, telemetry.Shutdown(context.Background()))
	})
	return tested{p, telemetry, logs}
}

// from returns the context of a request of a sender that may speak for these clusters.
func from(t testing.TB, clusters ...string) context.Context {
	return client.NewContext(context.Background(), client.Info{Auth: mayOnly(t, clusters...)})
}

func point(n int64, s signal, why reason, action string) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.String("signal", string(s)),
		attribute.String("reason", reasonWords[why]), attribute.String("action", action))}
}

// otherAuth is what another authenticator found.
type otherAuth struct{}

func (otherAuth) GetAttribute(string) any { return west }

func (otherAuth) GetAttributeNames() []string { return nil }

// TestUnverified: without a verified sender nothing passes by default, and everything where the configuration says so;
// both are counted, and an authenticator of another kind verified nothing.
func TestUnverified(t *testing.T) {
	three := newEnvelope(traces)
	claimtest.Own(three.Add("a"))
	three.Add("b")
	for name, ctx := range map[string]context.Context{
		"nobody": context.Background(), "another authenticator": client.NewContext(context.Background(), client.Info{Auth: otherAuth{}}),
	} {
		p := newTested(t, createDefaultConfig().(*Config), traces)
		td := ptrace.NewTraces()
		three.Traces.CopyTo(td)
		_, err := p.processTraces(ctx, td)
		assert.Equal(t, codes.Unavailable, status.Code(err), name)
		assert.False(t, consumererror.IsPermanent(err), "the sender keeps it until the hub is configured")
		assert.ErrorContains(t, err, "'middlewares'")
		assert.Zero(t, td.ResourceSpans().Len())
		metadatatest.AssertEqualProcessorClusterIdentityFlaggedResources(t, p.telemetry, []metricdata.DataPoint[int64]{point(2, traces, unverified, "rejected")}, metricdatatest.IgnoreTimestamp())
	}
	cfg := createDefaultConfig().(*Config)
	cfg.Unverified = Accept
	for _, s := range []signal{traces, logs, metrics} {
		p := newTested(t, cfg, s)
		assert.Equal(t, 1, p.logs.FilterMessageSnippet("on one machine only").Len())
		e := newEnvelope(s)
		e.Add("a").Resource.PutStr(clusterKey, "whoever")
		var err error
		switch s {
		case traces:
			_, err = p.processTraces(t.Context(), e.Traces)
		case logs:
			_, err = p.processLogs(t.Context(), e.Logs)
		default:
			_, err = p.processMetrics(t.Context(), e.Metrics)
		}
		require.NoError(t, err)
		assert.Equal(t, 1, e.Traces.ResourceSpans().Len()+e.Logs.ResourceLogs().Len()+e.Metrics.ResourceMetrics().Len())
		metadatatest.AssertEqualProcessorClusterIdentityFlaggedItems(t, p.telemetry, []metricdata.DataPoint[int64]{point(1, s, unverified, "accepted")}, metricdatatest.IgnoreTimestamp())
	}
}

func TestUnnamed(t *testing.T) {
	for name, c := range map[string]struct {
		action  Action
		may     []string
		want    string
		refused bool
	}{
		"overwrite":            {Overwrite, []string{west}, west, false},
		"overwrite by several": {Overwrite, []string{west, north}, "", true},
		"overwrite by any":     {Overwrite, []string{"*"}, "", false},
		"reject":               {Reject, []string{west}, "", true},
		"accept":               {Accept, []string{west}, "", false},
	} {
		for _, value := range []string{"", "unknown", "-", "Kubernetes"} {
			cfg := createDefaultConfig().(*Config)
			cfg.Unnamed = c.action
			p := newTested(t, cfg, metrics)
			e := newEnvelope(metrics)
			resource := e.Add("a").Resource
			if value != "" {
				resource.PutStr(clusterKey, value)
			}
			_, err := p.processMetrics(from(t, c.may...), e.Metrics)
			if c.refused {
				assert.Equal(t, codes.PermissionDenied, status.Code(err), name)
				assert.True(t, consumererror.IsPermanent(err))
				continue
			}
			require.NoError(t, err)
			want := c.want
			if want == "" {
				want = value
			}
			got, _ := e.Metrics.ResourceMetrics().At(0).Resource().Attributes().Get(clusterKey)
			assert.Equal(t, want, got.Str(), "%s %q", name, value)
			if c.want != "" {
				metadatatest.AssertEqualProcessorClusterIdentityNamedResources(t, p.telemetry,
					[]metricdata.DataPoint[int64]{{Value: 1, Attributes: attribute.NewSet(attribute.String("signal", "metrics"))}}, metricdatatest.IgnoreTimestamp())
			}
		}
	}
}

// TestUnsetNames: whose cluster is really called as Istio's default is held to it where the list of names for
// none is empty, and may use it where its certificate says so.
func TestUnsetNames(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.UnsetNames = nil
	strict, lax := newTested(t, cfg, metrics), newTested(t, createDefaultConfig().(*Config), metrics)
	batch := func(name string) pmetric.Metrics {
		e := newEnvelope(metrics)
		e.Add("a").Resource.PutStr(clusterKey, name)
		return e.Metrics
	}
	_, err := strict.processMetrics(from(t, west), batch("Kubernetes"))
	assert.ErrorContains(t, err, `k8s.cluster.name = "Kubernetes"`)
	md, err := lax.processMetrics(from(t, "Kubernetes"), batch("Kubernetes"))
	require.NoError(t, err)
	got, _ := md.ResourceMetrics().At(0).Resource().Attributes().Get(clusterKey)
	assert.Equal(t, "Kubernetes", got.Str())
}

// TestQuarantineNeedsAPlace: what a sender of several clusters claims falsely is rejected, as it can be put under none.
func TestQuarantineNeedsAPlace(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.ForeignCluster = Quarantine
	p := newTested(t, cfg, traces)
	e := newEnvelope(traces)
	e.Add("a").Resource.PutStr(clusterKey, "aks-south")
	_, err := p.processTraces(from(t, west, north), e.Traces)
	assert.Equal(t, codes.PermissionDenied, status.Code(err))
	assert.Zero(t, e.Traces.ResourceSpans().Len())
}

// TestLogging: who claimed what is logged, once a minute for each sender and reason, and no more of what a sender wrote
// than fits a line.
func TestLogging(t *testing.T) {
	p := newTested(t, createDefaultConfig().(*Config), traces)
	now := time.Now()
	p.now = func() time.Time { return now }
	send := func(claimed string) {
		e := newEnvelope(traces)
		e.Add("a").Resource.PutStr(clusterKey, claimed)
		_, err := p.processTraces(from(t, west), e.Traces)
		require.Error(t, err)
		assert.Less(t, len(err.Error()), 400)
	}
	send(strings.Repeat("n", 10000) + "\xff")
	send(north)
	assert.Equal(t, 1, p.logs.Len())
	now = now.Add(time.Minute)
	send(north)
	require.Equal(t, 2, p.logs.Len())
	fields := p.logs.All()[1].ContextMap()
	assert.Equal(t, "agent.example", fields["sender"])
	assert.Equal(t, north, fields["claimed"])
	assert.Equal(t, []any{west}, fields["may_speak_for"])
	assert.Equal(t, "foreign_cluster", fields["reason"])
	assert.Less(t, len(p.logs.All()[0].ContextMap()["claimed"].(string)), 200)
}

// TestNoInventories: who may not tell inventories gets none through, and everything else.
func TestNoInventories(t *testing.T) {
	agent := client.NewContext(context.Background(), client.Info{Auth: identityOf(t, identity.Rule{DNS: "agent.example", Clusters: []string{west}, NoInventories: true})})
	p := newTested(t, createDefaultConfig().(*Config), logs)
	e := newEnvelope(logs)
	claimtest.InventoryOf(west, "uid")(e.Add("a"))
	claimtest.Own(e.Add("b"))
	_, err := p.processLogs(agent, e.Logs)
	require.NoError(t, err)
	require.Equal(t, 1, e.Logs.ResourceLogs().Len())
	assert.False(t, hasInventory(e.Logs.ResourceLogs().At(0)))
	metadatatest.AssertEqualProcessorClusterIdentityFlaggedItems(t, p.telemetry, []metricdata.DataPoint[int64]{point(1, logs, foreignInventory, "rejected")}, metricdatatest.IgnoreTimestamp())
	inventory := newEnvelope(logs)
	claimtest.InventoryOf(west, "uid")(inventory.Add("a"))
	_, err = p.processLogs(from(t, west), inventory.Logs)
	require.NoError(t, err)
}

// TestInventoriesAreNotQuarantined: an inventory with a record that claims another cluster is rejected whatever is configured,
// as what is left of it would be believed.
func TestInventoriesAreNotQuarantined(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.ForeignCluster, cfg.ForeignSide, cfg.Malformed = Quarantine, Quarantine, Quarantine
	for name, claim := range map[string]func(claimtest.Parcel){
		"record":   func(p claimtest.Parcel) { p.Item.PutStr(istioKey, north) },
		"scope":    func(p claimtest.Parcel) { p.Scope.PutStr(istioKey, north) },
		"resource": func(p claimtest.Parcel) { p.Resource.PutStr("K8S.Cluster.Name", north) },
		"cluster":  func(p claimtest.Parcel) { p.Resource.PutStr(clusterKey, north) },
	} {
		p := newTested(t, cfg, logs)
		e := newEnvelope(logs)
		parcel := e.Add("a")
		claimtest.InventoryOf(west, "uid")(parcel)
		claim(parcel)
		_, err := p.processLogs(from(t, west), e.Logs)
		assert.Equal(t, codes.PermissionDenied, status.Code(err), name)
		assert.Zero(t, e.Logs.ResourceLogs().Len(), name)
		metadatatest.AssertEqualProcessorClusterIdentityFlaggedResources(t, p.telemetry, []metricdata.DataPoint[int64]{point(1, logs, foreignInventory, "rejected")}, metricdatatest.IgnoreTimestamp())
	}
}

// TestUIDs: a uid is its first cluster's until that falls silent, and a listed one is held to what the list says.
func TestUIDs(t *testing.T) {
	now := time.Now()
	u := newUIDs(map[string]string{"pinned": "p"})
	only := func(name string) func(string) bool { return func(asked string) bool { return asked == name } }
	assert.True(t, u.mine(north, "n", only(north), now))
	assert.False(t, u.mine(west, "n", only(west), now))
	assert.True(t, u.mine(west, "w", only(west), now))
	assert.True(t, u.mine(west, "", only(west), now), "absent if not known")
	assert.True(t, u.mine(north, "n", only(north), now.Add(50*time.Minute)))
	assert.False(t, u.mine("renamed", "n", only("renamed"), now.Add(100*time.Minute)), "it spoke 50 minutes ago")
	assert.True(t, u.mine("renamed", "n", only("renamed"), now.Add(111*time.Minute)))
	assert.True(t, u.mine("both", "w", func(string) bool { return true }, now), "one sender for both")
	assert.False(t, u.mine("pinned", "other", only("pinned"), now))
	assert.True(t, u.mine("pinned", "p", only("pinned"), now))
	assert.False(t, u.mine(west, "p", only(west), now))
}

// TestUIDsMadeUp: a sender that makes up uids fills no memory, and takes no other cluster's.
func TestUIDsMadeUp(t *testing.T) {
	now := time.Now()
	u := newUIDs(nil)
	only := func(name string) func(string) bool { return func(asked string) bool { return asked == name } }
	for i := range 2 * maxUIDs {
		assert.True(t, u.mine(west, fmt.Sprint("made up ", i), only(west), now))
	}
	assert.Len(t, u.seen, maxOfCluster)
	assert.True(t, u.mine(north, "n", only(north), now))
	assert.False(t, u.mine(west, "n", only(west), now))
	assert.False(t, u.mine(north, fmt.Sprint("made up ", 2*maxUIDs-1), only(north), now), "that is the last of the other's")
	assert.True(t, u.mine(north, "made up 0", only(north), now), "which was forgotten")

	// However many clusters there are, and however long it runs.
	for i := range 2 * maxUIDs {
		name := fmt.Sprint("cluster ", i)
		assert.True(t, u.mine(name, "uid of "+name, only(name), now))
	}
	assert.Len(t, u.seen, maxUIDs)
	assert.True(t, u.mine("late", "late", only("late"), now))
	assert.Len(t, u.seen, maxUIDs, "no room")
	now = now.Add(uidHeld)
	assert.True(t, u.mine("late", "late", only("late"), now))
	assert.Len(t, u.seen, 1, "those that fell silent are forgotten")
	assert.Len(t, u.of, 1)
	// Who takes over a silent one's has it alone.
	now = now.Add(uidHeld)
	assert.True(t, u.mine("next", "late", only("next"), now))
	assert.Equal(t, map[string][]string{"next": {"late"}}, u.of)
}

func TestConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for name, want := range map[string]string{
		"cluster_identity": "", "cluster_identity/all": "",
		"cluster_identity/unverified": "'unverified' is \"quarantine\": write reject or accept",
		"cluster_identity/unnamed":    "'unnamed' is \"drop\": write overwrite or reject or accept",
		"cluster_identity/foreign":    "'foreign_cluster' is \"overwrite\": write reject or quarantine",
		"cluster_identity/side":       "'foreign_side' is \"accept\"",
		"cluster_identity/malformed":  "'malformed' is \"accept\"",
		"cluster_identity/uids":       "'cluster_uids' has an empty name or uid",
	} {
		sub, err := conf.Sub(name)
		require.NoError(t, err)
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, sub.Unmarshal(cfg), name)
		if err := cfg.Validate(); want == "" {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorContains(t, err, want, name)
		}
	}
}

// TestEmpty: a request of nothing is one of nothing wrong.
func TestEmpty(t *testing.T) {
	p := newTested(t, createDefaultConfig().(*Config), logs)
	_, err := p.processLogs(from(t, west), plog.NewLogs())
	require.NoError(t, err)
	_, err = p.processLogs(t.Context(), plog.NewLogs())
	require.NoError(t, err)
}
