// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/requestlimitsextension/internal/metadata"
)

// TestOnlyPlaintextIsReplaced: connections are watched where that takes nobody's TLS away, and one is told where they are not.
func TestOnlyPlaintextIsReplaced(t *testing.T) {
	const tlsOwn = "tls: {cert_file: a, key_file: b}"
	for name, c := range map[string]struct {
		receivers, extensions []string
		watched               bool
		warnings              int
	}{
		"plain":                     {[]string{"{grpc: {middlewares: [{id: request_limits}]}}"}, nil, true, 0},
		"plain, HTTP with TLS":      {[]string{"{grpc: {middlewares: [{id: request_limits}]}, http: {middlewares: [{id: request_limits}], " + tlsOwn + "}}"}, nil, true, 0},
		"HTTP alone":                {[]string{"{http: {middlewares: [{id: request_limits}]}}"}, nil, false, 0},
		"another one's":             {[]string{"{grpc: {middlewares: [{id: request_limits/2}]}}"}, nil, false, 0},
		"its own TLS":               {[]string{"{grpc: {middlewares: [{id: request_limits}], " + tlsOwn + "}}"}, nil, false, 1},
		"empty TLS":                 {[]string{"{grpc: {middlewares: [{id: request_limits}], tls: {}}}"}, nil, false, 1},
		"two, one with TLS":         {[]string{"{grpc: {middlewares: [{id: request_limits}]}}", "{grpc: {middlewares: [{id: request_limits}], " + tlsOwn + "}}"}, nil, false, 2},
		"cluster_identity with":     {[]string{"{grpc: {middlewares: [{id: cluster_identity}, {id: request_limits}]}}"}, []string{"{receiver_tls: {client_ca_file: a}}"}, false, 0},
		"cluster_identity without":  {[]string{"{grpc: {middlewares: [{id: request_limits}, {id: cluster_identity}]}}"}, []string{"{rules: []}"}, true, 0},
		"cluster_identity, nothing": {[]string{"{grpc: {middlewares: [{id: request_limits}, {id: cluster_identity}]}}"}, []string{"{receiver_tls: }"}, true, 0},
		"beside a stranger":         {[]string{"{grpc: {middlewares: [{id: request_limits}, {id: other}]}}"}, nil, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zapcore.WarnLevel)
			set := extensiontest.NewNopSettings(metadata.Type)
			set.ID, set.Logger = component.NewID(metadata.Type), zap.New(core)
			l, err := newRequestLimits(set, createDefaultConfig().(*Config))
			require.NoError(t, err)
			require.NoError(t, l.Start(t.Context(), componenttest.NewNopHost()))
			defer func() { require.NoError(t, l.Shutdown(t.Context())) }()
			receivers, extensions := map[string]any{}, map[string]any{}
			for n, text := range c.receivers {
				cfg := otlpreceiver.NewFactory().CreateDefaultConfig()
				require.NoError(t, confOf(t, "protocols: "+text).Unmarshal(cfg))
				receivers["otlp/"+string(rune('a'+n))] = cfg
			}
			for _, text := range c.extensions {
				extensions["cluster_identity"] = confOf(t, text).ToStringMap()
			}
			require.NoError(t, l.NotifyConfigSnapshot(t.Context(), told(t, receivers, extensions)))
			require.Equal(t, c.watched, l.plaintext.Load())
			require.Equal(t, c.warnings, logs.Len(), "%v", logs.All())
		})
	}
	l := newFixture(t, nil, nil, nil)
	require.True(t, l.plaintext.Load(), "the receiver of the tests is watched")
	require.NoError(t, l.NotifyConfigSnapshot(t.Context(), extensioncapabilities.NewConfigSnapshot(nil, nil)))
}

func confOf(t *testing.T, text string) *confmap.Conf {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	return conf
}
