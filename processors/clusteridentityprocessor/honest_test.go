// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// contradictions are the folders that put one pod at both ends, which no proxy does: the points of metric_types have the
// same two ends under both reporters.
var contradictions = map[string]bool{"metric_types": true}

// TestHonestAgents: what the mesh_topology processor makes of everything that it is tested with passes under the certificate
// of the cluster that it is from.
func TestHonestAgents(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "meshtopologyprocessor", "testdata", "*", "expected.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	compared := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		name := filepath.Base(filepath.Dir(file))
		check := func(resource pcommon.Map, look func(b *batch, r *resourceClaims) finding) {
			cluster, ok := resource.Get(clusterKey)
			if !ok {
				return
			}
			b := batch{judge: judge{id: mayOnly(t, cluster.Str()), unset: []string{"Kubernetes"}}}
			r := b.resource(resource)
			found := r.bad
			if found.reason == fine {
				found = look(&b, &r)
			}
			compared++
			if contradictions[name] {
				return
			}
			assert.Equal(t, finding{}, found, "%s %s", name, cluster.Str())
		}
		switch {
		case bytes.HasPrefix(data, []byte("resourceSpans")):
			td, err := golden.ReadTraces(file)
			require.NoError(t, err)
			for _, rs := range td.ResourceSpans().All() {
				check(rs.Resource().Attributes(), func(b *batch, r *resourceClaims) finding { return b.spans(rs, r) })
			}
		case bytes.HasPrefix(data, []byte("resourceLogs")):
			ld, err := golden.ReadLogs(file)
			require.NoError(t, err)
			for _, rl := range ld.ResourceLogs().All() {
				check(rl.Resource().Attributes(), func(b *batch, r *resourceClaims) finding { return b.records(rl, r) })
			}
		default:
			md, err := golden.ReadMetrics(file)
			require.NoError(t, err)
			for _, rm := range md.ResourceMetrics().All() {
				check(rm.Resource().Attributes(), func(b *batch, r *resourceClaims) finding { return b.points(rm, r) })
			}
		}
	}
	assert.Greater(t, compared, 30)
}
