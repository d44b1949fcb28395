// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

func read(t *testing.T, raw map[string]any) (*Config, error) {
	t.Helper()
	config := createDefaultConfig().(*Config)
	if err := confmap.NewFromStringMap(raw).Unmarshal(config); err != nil {
		return nil, err
	}
	return config, confmap.Validate(config)
}

func TestDefaultsAreThoseOfTheParts(t *testing.T) {
	config, err := read(t, nil)
	require.NoError(t, err)
	assert.Equal(t, graph.DefaultConfig(), config.graph())
	assert.Equal(t, failover.DefaultConfig(), config.Failover.detector())
	assert.Equal(t, "127.0.0.1:13135", config.Admin.Endpoint)
	assert.False(t, config.Analysis.HasValue(), "off")
	assert.GreaterOrEqual(t, config.Settle, time.Minute+15*time.Second, "an agent's interval and a scrape")
}

func TestEveryKeyIsRead(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	config, err := read(t, conf.ToStringMap())
	require.NoError(t, err)
	assert.Equal(t, "mesh_topology", config.Topology.String())
	assert.Equal(t, 3*time.Second, config.Interval)
	assert.Equal(t, uint64(11), config.Failover.detector().MinMoved)
	assert.Equal(t, "checkout", config.Cost.Teams[0].Team)
	assert.Equal(t, "127.0.0.1:0", config.Analysis.Get().NetAddr.Endpoint)
	// What is written there differs from the defaults, so that a key which is read into nothing is found.
	assert.NotEqual(t, failover.DefaultConfig(), config.Failover.detector())
}

func TestErrorsNameTheKeyAndWhatToWrite(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "prices.json")
	require.NoError(t, os.WriteFile(broken, []byte("{}"), 0o600))
	for name, c := range map[string]struct {
		raw  map[string]any
		says []string
	}{
		"interval":        {map[string]any{"interval": "5s"}, []string{"'interval' is 5s", "from 1s to 4s"}},
		"flush":           {map[string]any{"metrics_interval": "2h"}, []string{"'metrics_interval' is 2h0m0s", "such as 1m"}},
		"settle":          {map[string]any{"settle": "2h"}, []string{"settle is 2h"}},
		"edges":           {map[string]any{"max_edges": 0}, []string{"max_edges is 0: write a number from 1 to 1000000"}},
		"expire":          {map[string]any{"expire": "1s"}, []string{"expire is 1s: write at least 1m"}},
		"journal":         {map[string]any{"max_journal_mib": 0}, []string{"'max_journal_mib' is 0: write a number from 1 to 65536"}},
		"window":          {map[string]any{"duplicates": map[string]any{"window": "1s"}}, []string{"'duplicates::window' is 1s", "such as 10m"}},
		"points":          {map[string]any{"duplicates": map[string]any{"max_points": 1}}, []string{"'duplicates::max_points' is 1"}},
		"failover":        {map[string]any{"failover": map[string]any{"min_share": 2}}, []string{"'failover'", "min_share is 2: write a part between 0 and 1"}},
		"series":          {map[string]any{"max_series": 0}, []string{"max_series"}},
		"flows":           {map[string]any{"cost": map[string]any{"max_flows": 0}}, []string{"'cost'", "max_flows"}},
		"no prices":       {map[string]any{"cost": map[string]any{"prices_file": "/nowhere.json"}}, []string{"cost::prices_file", "/nowhere.json"}},
		"broken prices":   {map[string]any{"cost": map[string]any{"prices_file": broken}}, []string{"cost::prices_file", broken}},
		"everybody":       {map[string]any{"admin": map[string]any{"endpoint": "0.0.0.0:13135"}}, []string{"'admin::endpoint' \"0.0.0.0:13135\" is reachable", "kubectl port-forward"}},
		"no port":         {map[string]any{"admin": map[string]any{"endpoint": "127.0.0.1"}}, []string{"is no host and port", "127.0.0.1:13135"}},
		"a name for port": {map[string]any{"admin": map[string]any{"endpoint": "localhost:http"}}, []string{"has no port number"}},
		"peers alone":     {map[string]any{"analysis_peers": map[string]any{"endpoint": "http://h"}}, []string{"'analysis_peers' without 'analysis'"}},
		"no peer":         {map[string]any{"analysis": nil, "analysis_peers": map[string]any{"endpoint": ""}}, []string{"'analysis_peers::endpoint' is missing"}},
		"unknown key":     {map[string]any{"max_edge": 1}, []string{"max_edge"}},
		"control planes":  {map[string]any{"control_planes": map[string]any{"max_clusters": 0}}, []string{"control_planes::max_clusters"}},
		"replica alone":   {map[string]any{"replica": map[string]any{"name": "hub-0"}}, []string{"'replica::name' is \"hub-0\"", "'replica::routed' is false"}},
		"long replica":    {map[string]any{"replica": map[string]any{"routed": true, "name": strings.Repeat("x", 254)}}, []string{"'replica::name' has 254 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, c.raw)
			require.Error(t, err)
			for _, words := range c.says {
				assert.ErrorContains(t, err, words)
			}
			assert.Equal(t, 1, strings.Count(err.Error(), c.says[0]), "told once: %s", err)
		})
	}
}

func TestTheLoopbackHasManyNames(t *testing.T) {
	for _, endpoint := range []string{"", "127.0.0.1:0", "127.7.8.9:1", "[::1]:1", "localhost:1", "LOCALHOST:1"} {
		_, err := read(t, map[string]any{"admin": map[string]any{"endpoint": endpoint}})
		assert.NoError(t, err, endpoint)
	}
	for _, endpoint := range []string{":1", "[::]:1", "10.0.0.1:1", "example.com:1"} {
		_, err := read(t, map[string]any{"admin": map[string]any{"endpoint": endpoint}})
		assert.Error(t, err, endpoint)
	}
}

// TestReplica: the only hub says nothing of itself, and one of several has a name, its host's if it was given none.
func TestReplica(t *testing.T) {
	c, err := read(t, map[string]any{})
	require.NoError(t, err)
	assert.Nil(t, c.Replica.served())
	c, err = read(t, map[string]any{"replica": map[string]any{"routed": true, "name": "hub-0"}})
	require.NoError(t, err)
	assert.Equal(t, "hub-0", c.Replica.served().Name)
	c.Replica.Name = ""
	host, err := os.Hostname()
	require.NoError(t, err)
	assert.Equal(t, host, c.Replica.served().Name)
	e, err := newEngine(c, zap.NewNop(), counter{}, time.Now())
	require.NoError(t, err)
	require.NotNil(t, e.planes.Document().Receiving, "its control planes may be another replica's")
}
