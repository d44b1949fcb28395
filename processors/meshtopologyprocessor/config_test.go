// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
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

func TestConfigWithoutTopology(t *testing.T) {
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	cfg.Topology = component.ID{}
	assert.ErrorIs(t, cfg.Validate(), errNoTopology)
}
