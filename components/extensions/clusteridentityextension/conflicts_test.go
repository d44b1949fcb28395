// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
)

// TestTwoTLS: settings that would be of no effect are an error, and those of others are not.
func TestTwoTLS(t *testing.T) {
	e := start(t, &Config{
		Rules:       rules,
		ReceiverTLS: configoptional.Some(configtls.ServerConfig{}), ExporterTLS: configoptional.Some(configtls.ClientConfig{}),
	})
	ours := []any{map[string]any{"id": "request_limits"}, map[string]any{"id": "cluster_identity"}}
	notify := func(section string, settings map[string]any) error {
		conf := confmap.NewFromStringMap(map[string]any{section: settings})
		return e.NotifyConfigSnapshot(t.Context(), extensioncapabilities.NewConfigSnapshot(conf, nil))
	}
	grpc := func(keys map[string]any) map[string]any {
		keys["endpoint"] = "127.0.0.1:4317"
		return map[string]any{"otlp": map[string]any{"protocols": map[string]any{"grpc": keys}}}
	}
	own := map[string]any{"cert_file": "a", "key_file": "b"}
	require.NoError(t, notify("receivers", grpc(map[string]any{"middlewares": ours})))
	require.NoError(t, notify("receivers", grpc(map[string]any{"middlewares": ours[:1], "tls": own})))
	require.NoError(t, notify("receivers", map[string]any{"otlp": map[string]any{"protocols": map[string]any{"http": map[string]any{"middlewares": ours, "tls": own}}}}))
	err := notify("receivers", grpc(map[string]any{"middlewares": ours, "tls": own}))
	require.ErrorContains(t, err, "'receivers::otlp::protocols::grpc' has 'tls'")
	assert.ErrorContains(t, err, "'receiver_tls'")

	require.NoError(t, notify("exporters", map[string]any{"otlp_grpc/hub": map[string]any{"middlewares": ours, "tls": map[string]any{"insecure": false, "ca_file": ""}}}))
	require.ErrorContains(t, notify("exporters", map[string]any{"otlp_grpc/hub": map[string]any{"middlewares": ours, "tls": map[string]any{"insecure": true}}}),
		"'exporters::otlp_grpc/hub' has 'tls'")
	require.ErrorContains(t, notify("exporters", map[string]any{"load_balancing": map[string]any{"protocol": map[string]any{"otlp": map[string]any{"middlewares": ours, "tls": own}}}}),
		"'exporters::load_balancing::protocol::otlp' has 'tls'")
	require.NoError(t, e.NotifyConfigSnapshot(t.Context(), extensioncapabilities.NewConfigSnapshot(nil, nil)))

	e = start(t, &Config{Rules: rules})
	require.NoError(t, notify("receivers", grpc(map[string]any{"middlewares": ours, "tls": own})), "the receiver's own TLS is in force")
}

// watcher is an extension that watches connections.
type watcher struct{ component.Component }

func (*watcher) GuardConn(conn net.Conn) net.Conn { return conn }

// TestWhoWatches: the extension that stands beside this one at all receivers gets to see what is behind TLS.
func TestWhoWatches(t *testing.T) {
	one, two := &watcher{}, &watcher{}
	for name, c := range map[string]struct {
		receivers string
		guard     connectionGuard
		warned    int
	}{
		"one":                       {"{a: {grpc: {middlewares: [{id: request_limits}, {id: cluster_identity}]}}}", one, 0},
		"behind it":                 {"{a: {grpc: {middlewares: [{id: cluster_identity}, {id: request_limits/2}]}}}", two, 0},
		"the same at two":           {"{a: {grpc: {middlewares: [{id: request_limits}, {id: cluster_identity}]}}, b: {middlewares: [{id: cluster_identity}, {id: request_limits}]}}", one, 0},
		"none":                      {"{a: {grpc: {middlewares: [{id: other}, {id: cluster_identity}]}}}", nil, 0},
		"two":                       {"{a: {middlewares: [{id: request_limits}, {id: cluster_identity}]}, b: {middlewares: [{id: cluster_identity}, {id: request_limits/2}]}}", nil, 1},
		"one and none":              {"{a: {middlewares: [{id: request_limits}, {id: cluster_identity}]}, b: {middlewares: [{id: cluster_identity}]}}", nil, 1},
		"another one's":             {"{a: {middlewares: [{id: request_limits}, {id: cluster_identity}]}, b: {middlewares: [{id: request_limits/2}]}}", one, 0},
		"over HTTP it has no place": {"{a: {http: {middlewares: [{id: request_limits}, {id: cluster_identity}]}}}", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t, &Config{Rules: rules, ReceiverTLS: configoptional.Some(configtls.ServerConfig{})})
			e.guards = map[string]connectionGuard{"request_limits": one, "request_limits/2": two}
			retrieved, err := confmap.NewRetrievedFromYAML([]byte("receivers: " + c.receivers))
			require.NoError(t, err)
			conf, err := retrieved.AsConf()
			require.NoError(t, err)
			require.NoError(t, e.NotifyConfigSnapshot(t.Context(), extensioncapabilities.NewConfigSnapshot(conf, nil)))
			assert.True(t, c.guard == e.guard, "%v", e.guard)
			assert.Equal(t, c.warned, e.logs.Len())
		})
	}
}
