// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
)

// TestUnguarded: a pipeline that takes what is verified and compares it with nothing is an error, of whichever signal.
func TestUnguarded(t *testing.T) {
	const receivers = `
receivers:
  otlp: {protocols: {grpc: {auth: {authenticator: cluster_identity}, middlewares: [{id: request_limits}]}}}
  otlp/http: {protocols: {http: {middlewares: [{id: cluster_identity}]}}}
  otlp/plain: {protocols: {grpc: {middlewares: [{id: cluster_identity}]}}}
  otlp/other: {protocols: {grpc: {auth: {authenticator: cluster_identity/2}}}}
connectors: {forward: , forward/2: }
`
	for name, c := range map[string]struct{ pipelines, refused string }{
		"compared":           {"{traces: {receivers: [otlp], processors: [memory_limiter, cluster_identity/x], exporters: [a]}}", ""},
		"one signal":         {"{traces: {receivers: [otlp], processors: [cluster_identity], exporters: [a]}, logs: {receivers: [otlp/plain, otlp], processors: [batch], exporters: [a]}}", "'service::pipelines::logs' has no cluster_identity processor, and takes what cluster_identity verifies at the receiver otlp:"},
		"no processors":      {"{metrics/2: {receivers: [otlp], exporters: [a]}}", "'service::pipelines::metrics/2'"},
		"over HTTP":          {"{traces: {receivers: [otlp/http], exporters: [a]}}", "at the receiver otlp/http"},
		"verified by nobody": {"{traces: {receivers: [otlp/plain], exporters: [a]}}", ""},
		"by another":         {"{traces: {receivers: [otlp/other], exporters: [a]}}", ""},
		"behind a connector": {"{traces: {receivers: [otlp], exporters: [forward]}, traces/2: {receivers: [forward], processors: [cluster_identity], exporters: [a]}}", ""},
		"behind one of two":  {"{traces: {receivers: [otlp], exporters: [forward, forward/2]}, traces/2: {receivers: [forward], processors: [cluster_identity], exporters: [a]}, traces/3: {receivers: [forward/2], exporters: [a]}}", "'service::pipelines::traces'"},
		"beside a connector": {"{traces: {receivers: [otlp], exporters: [forward, a]}, traces/2: {receivers: [forward], processors: [cluster_identity], exporters: [a]}}", "'service::pipelines::traces'"},
		"in a circle":        {"{traces: {receivers: [otlp, forward/2], exporters: [forward]}, traces/2: {receivers: [forward], exporters: [forward/2]}}", ""},
		"too late":           {"{logs: {receivers: [otlp], processors: [memory_limiter, batch/x, cluster_identity], exporters: [a]}}", "'service::pipelines::logs::processors' has batch/x before cluster_identity"},
		"in time":            {"{traces: {receivers: [otlp], processors: [cluster_identity, tail_sampling], exporters: [a]}}", ""},
		"others' business":   {"{traces: {receivers: [otlp/plain], processors: [tail_sampling, cluster_identity], exporters: [a]}}", ""},
		"nothing":            {"{traces: }", ""},
	} {
		t.Run(name, func(t *testing.T) {
			retrieved, err := confmap.NewRetrievedFromYAML([]byte(receivers + "service: {pipelines: " + c.pipelines + "}"))
			require.NoError(t, err)
			conf, err := retrieved.AsConf()
			require.NoError(t, err)
			err = start(t, &Config{Rules: rules}).NotifyConfigSnapshot(t.Context(), extensioncapabilities.NewConfigSnapshot(conf, nil))
			if c.refused != "" {
				require.ErrorContains(t, err, c.refused)
				return
			}
			require.NoError(t, err)
		})
	}
}
