// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func TestConfigAttributes(t *testing.T) {
	for name, c := range map[string]struct {
		in   map[string]any
		want attributeSet
		err  string
	}{
		"all by default": {in: map[string]any{}, want: allAttributes},
		"a few": {
			in:   map[string]any{"attributes": []any{"mesh.traffic.locality", "mesh.destination.cluster", "mesh.resolution.destination"}},
			want: setOf(localityKey, "mesh.destination.cluster", destinationResolutionKey),
		},
		"of no end":         {in: map[string]any{"attributes": []any{"mesh.traffic.cross_cluster"}}, want: setOf(crossClusterKey)},
		"none":              {in: map[string]any{"attributes": []any{}}, err: "'attributes' is empty"},
		"nothing":           {in: map[string]any{"attributes": nil}, err: "'attributes' is empty"},
		"a mistyped name":   {in: map[string]any{"attributes": []any{"mesh.source.clutser"}}, err: `'attributes[0]': "mesh.source.clutser"`},
		"another's name":    {in: map[string]any{"attributes": []any{"k8s.cluster.name"}}, err: `'attributes[0]'`},
		"twice":             {in: map[string]any{"attributes": []any{"mesh.via", "mesh.tls", "mesh.via"}}, err: `'attributes[2]': "mesh.via" is listed twice`},
		"without cluster":   {in: map[string]any{"attributes": []any{"mesh.source.zone", "mesh.resolution.source"}}, err: `add "mesh.source.cluster"`},
		"without what told": {in: map[string]any{"attributes": []any{"mesh.destination.cluster"}}, err: `add "mesh.resolution.destination"`},
		"only what told":    {in: map[string]any{"attributes": []any{"mesh.resolution.source"}}, err: `add "mesh.source.cluster"`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := NewFactory().CreateDefaultConfig().(*Config)
			err := confmap.NewFromStringMap(c.in).Unmarshal(cfg)
			if err == nil {
				err = cfg.Validate()
			}
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			set, err := attributesOf(cfg.Attributes)
			require.NoError(t, err)
			assert.Equal(t, c.want, set)
		})
	}
}

func TestEachAttributeHasItsIndex(t *testing.T) {
	for i, name := range attributeNames {
		index, ok := attributeIndex(name)
		assert.True(t, ok, name)
		assert.Equal(t, i, index, name)
	}
	for _, other := range []string{"", "mesh.", "mesh.source.", "mesh.source.pod", "mesh.upstream.host", "mesh.destination.clusters"} {
		_, ok := attributeIndex(other)
		assert.False(t, ok, other)
	}
}

// TestAHubFillsInWhatAnAgentLeftOut: an agent that writes a few attributes costs the hub no knowledge of the ends, as
// long as the hub knows the clusters.
func TestAHubFillsInWhatAnAgentLeftOut(t *testing.T) {
	agent := local()
	agent.Attributes = []string{
		"mesh.source.cluster", "mesh.source.namespace", "mesh.source.workload", sourceResolutionKey,
		"mesh.destination.cluster", "mesh.destination.namespace", "mesh.destination.workload", destinationResolutionKey,
	}
	few := passTraces(t, agent, batchOf(1, 1))
	assert.Equal(t, len(agent.Attributes), stampedOn(spanOf(few)))
	whole := passTraces(t, createDefaultConfig().(*Config), few)
	want := passTraces(t, createDefaultConfig().(*Config), passTraces(t, local(), batchOf(1, 1)))
	assert.Equal(t, spanOf(want).AsRaw(), spanOf(whole).AsRaw())

	last := createDefaultConfig().(*Config)
	last.Attributes = []string{localityKey}
	assert.Equal(t, 1, stampedOn(spanOf(passTraces(t, last, whole))), "what is not listed does not leave")
}

func stampedOn(attrs pcommon.Map) (n int) {
	for key := range attrs.All() {
		if _, ok := attributeIndex(key); ok {
			n++
		}
	}
	return n
}

func spanOf(td ptrace.Traces) pcommon.Map {
	return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
}
