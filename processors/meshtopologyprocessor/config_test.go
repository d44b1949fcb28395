// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestConfigCluster(t *testing.T) {
	for name, c := range map[string]struct {
		in      map[string]any
		cluster string
		err     error
	}{
		"an agent":                            {in: map[string]any{"cluster": "aks-westeurope"}, cluster: "aks-westeurope"},
		"a hub":                               {in: map[string]any{}},
		"an agent whose environment lacks it": {in: map[string]any{"cluster": nil}, err: errEmptyCluster},
		"an agent with an empty cluster":      {in: map[string]any{"cluster": ""}, err: errEmptyCluster},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := NewFactory().CreateDefaultConfig().(*Config)
			err := confmap.NewFromStringMap(c.in).Unmarshal(cfg)
			require.ErrorIs(t, err, c.err)
			if c.err == nil {
				assert.Equal(t, c.cluster, cfg.Cluster)
				assert.NoError(t, cfg.Validate())
			}
		})
	}
}

// TestAClusterThatTheTopologyLacksIsSaid prevents the bug that a mistyped name shows only as many unknown ends.
func TestAClusterThatTheTopologyLacksIsSaid(t *testing.T) {
	for cluster, warnings := range map[string]int{"aks-westeurope": 0, "": 0, "aks-westeuorpe": 1} {
		core, logs := observer.New(zap.WarnLevel)
		settings := processortest.NewNopSettings(NewFactory().Type())
		settings.Logger = zap.New(core)
		p, err := newMeshTopology(settings, &Config{Topology: component.MustNewID("mesh_topology"), Cluster: cluster})
		require.NoError(t, err)
		require.NoError(t, p.start(t.Context(), newHost(t)))
		assert.Equal(t, warnings, logs.Len(), "%q: %v", cluster, logs.All())
		require.NoError(t, p.shutdown(t.Context()))
	}
}
