// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadatatest"
)

func newFuzzed(f *testing.F) *meshTopology {
	cfg := createDefaultConfig().(*Config)
	cfg.Cluster = "aks-westeurope"
	p, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg)
	require.NoError(f, err)
	require.NoError(f, p.start(context.Background(), newHost(f)))
	return p
}

// FuzzTraces holds that no spans make the processor panic or lose one.
func FuzzTraces(f *testing.F) {
	inputs, err := filepath.Glob(filepath.Join("testdata", "span_*", "input.yaml"))
	require.NoError(f, err)
	for _, input := range inputs {
		td, err := golden.ReadTraces(input)
		require.NoError(f, err)
		data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(f, err)
		f.Add(data)
	}
	p := newFuzzed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
		if err != nil {
			return
		}
		want := td.SpanCount()
		out, err := p.processTraces(context.Background(), td)
		require.NoError(t, err)
		require.Equal(t, want, out.SpanCount())
	})
}

// FuzzLogs holds that no records make the processor panic or lose one.
func FuzzLogs(f *testing.F) {
	inputs, err := filepath.Glob(filepath.Join("testdata", "log_*", "input.yaml"))
	require.NoError(f, err)
	for _, input := range inputs {
		ld, err := golden.ReadLogs(input)
		require.NoError(f, err)
		data, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
		require.NoError(f, err)
		f.Add(data)
	}
	p := newFuzzed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(data)
		if err != nil {
			return
		}
		want := ld.LogRecordCount()
		out, err := p.processLogs(context.Background(), ld)
		require.NoError(t, err)
		require.Equal(t, want, out.LogRecordCount())
	})
}
