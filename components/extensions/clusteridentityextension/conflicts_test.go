// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
