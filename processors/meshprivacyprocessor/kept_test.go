// SPDX-License-Identifier: Apache-2.0

package meshprivacyprocessor

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/internal/metadatatest"
)

// mayChange are the attributes of the other processors' cases that have queries and user info in them.
var mayChange = map[string]bool{"http.url": true, "url.full": true, "url.query": true, "path": true}

// TestOtherProcessorsFieldsStay passes what mesh_topology and envoy_semconv write in their cases: all of it stays but for
// queries and user info.
func TestOtherProcessorsFieldsStay(t *testing.T) {
	p, err := newMeshPrivacy(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
	require.NoError(t, err)
	checked := 0
	compare := func(file string, before, after pcommon.Map) {
		for key, value := range before.All() {
			checked++
			now, ok := after.Get(key)
			assert.True(t, ok && value.Equal(now) || mayChange[key], "%s: %s", file, key)
		}
	}
	files, err := filepath.Glob(filepath.Join("..", "*", "testdata", "*", "expected.yaml"))
	require.NoError(t, err)
	for _, file := range files {
		if filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(file)))) == "meshprivacyprocessor" {
			continue
		}
		if td, err := golden.ReadTraces(file); err == nil {
			before, _ := golden.ReadTraces(file)
			_, _ = p.processTraces(context.Background(), td)
			for i, rs := range td.ResourceSpans().All() {
				was := before.ResourceSpans().At(i)
				compare(file, was.Resource().Attributes(), rs.Resource().Attributes())
				for j, ss := range rs.ScopeSpans().All() {
					for k, span := range ss.Spans().All() {
						assert.Equal(t, was.ScopeSpans().At(j).Spans().At(k).Name(), span.Name())
						compare(file, was.ScopeSpans().At(j).Spans().At(k).Attributes(), span.Attributes())
					}
				}
			}
		}
		if ld, err := golden.ReadLogs(file); err == nil {
			before, _ := golden.ReadLogs(file)
			_, _ = p.processLogs(context.Background(), ld)
			for i, rl := range ld.ResourceLogs().All() {
				was := before.ResourceLogs().At(i)
				compare(file, was.Resource().Attributes(), rl.Resource().Attributes())
				for j, sl := range rl.ScopeLogs().All() {
					for k, record := range sl.LogRecords().All() {
						compare(file, was.ScopeLogs().At(j).LogRecords().At(k).Attributes(), record.Attributes())
					}
				}
			}
		}
	}
	require.Greater(t, checked, 2000)
}
