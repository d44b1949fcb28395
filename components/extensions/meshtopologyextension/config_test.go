// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

// load reads one section of testdata/config.yaml as the collector does.
func load(t *testing.T, id string) *Config {
	t.Helper()
	file, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	section, err := file.Sub(id)
	require.NoError(t, err)
	return unmarshal(t, section)
}

func unmarshal(t *testing.T, conf *confmap.Conf) *Config {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, conf.Unmarshal(cfg))
	return cfg
}

func TestConfig(t *testing.T) {
	with := func(change func(*Config)) *Config {
		cfg := createDefaultConfig().(*Config)
		change(cfg)
		return cfg
	}
	for id, want := range map[string]*Config{
		"mesh_topology": with(func(c *Config) {
			c.Static = configoptional.Some(StaticConfig{File: "topology.yaml", ReloadInterval: 10 * time.Second})
		}),
		"mesh_topology/agent": with(func(c *Config) {
			c.Kubernetes = configoptional.Some(KubernetesConfig{
				Cluster: "aks-westeurope", NodeName: "aks-pool-0", SystemNamespace: "istio-system", StaleAfter: 90 * time.Second,
			})
		}),
		"mesh_topology/hub": with(func(c *Config) {
			c.Inventory = configoptional.Some(InventoryConfig{
				Directory: "/var/lib/otelcol-mesh/topology", SaveInterval: 30 * time.Second, MaxJournalMiB: 64, StaleAfter: 90 * time.Second, ExpireAfter: 24 * time.Hour,
			})
			c.Admin.Endpoint = "127.0.0.1:13134"
		}),
		"mesh_topology/remote": with(func(c *Config) {
			c.RemoteSecrets = configoptional.Some(RemoteSecretsConfig{
				Namespace: "istio-system", StaleAfter: 90 * time.Second, ExpireAfter: 24 * time.Hour,
			})
		}),
		"mesh_topology/all": {
			Static: configoptional.Some(StaticConfig{File: "topology.yaml", ReloadInterval: time.Minute}),
			Kubernetes: configoptional.Some(KubernetesConfig{
				ClientConfig: ClientConfig{Kubeconfig: "/etc/kubeconfig", Context: "hub"},
				Cluster:      "hub", NodeName: "node-0", SystemNamespace: "mesh", IstioRevision: "1-27", StaleAfter: time.Minute,
			}),
			Inventory: configoptional.Some(InventoryConfig{
				Directory: "/data", SaveInterval: time.Minute, MaxJournalMiB: 32, StaleAfter: 2 * time.Minute, ExpireAfter: 48 * time.Hour,
			}),
			RemoteSecrets: configoptional.Some(RemoteSecretsConfig{
				ClientConfig: ClientConfig{Kubeconfig: "/etc/kubeconfig", Context: "hub"},
				Namespace:    "mesh", OwnCluster: "hub", StaleAfter: 3 * time.Minute, ExpireAfter: 72 * time.Hour,
			}),
			History: 2 * time.Hour, PublishInterval: 100 * time.Millisecond, QueueSize: 64, MaxClusters: 10, MaxPods: 11,
			MaxHistory: 12, MaxNodes: 13, MaxServices: 14, MaxGateways: 15, Admin: AdminConfig{Endpoint: "localhost:0"},
		},
	} {
		t.Run(id, func(t *testing.T) {
			cfg := load(t, id)
			require.NoError(t, confmap.Validate(cfg))
			assert.Equal(t, want, cfg)
		})
	}
}

// The demo runs the shipped configurations with an overlay that takes their sources away: null over a section is off,
// whatever the section had.
func TestAnOverlaySwitchesASourceOff(t *testing.T) {
	merged := confmap.NewFromStringMap(map[string]any{
		"kubernetes":     map[string]any{"cluster": "c", "node_name": "n"},
		"inventory":      map[string]any{"directory": "d"},
		"remote_secrets": map[string]any{},
		"static":         map[string]any{"file": "base.yaml", "reload_interval": "1m"},
	})
	require.NoError(t, merged.Merge(confmap.NewFromStringMap(map[string]any{
		"kubernetes": nil, "inventory": nil, "remote_secrets": nil, "static": map[string]any{"file": "f"},
	})))
	cfg := unmarshal(t, merged)
	require.NoError(t, confmap.Validate(cfg))
	assert.False(t, cfg.Kubernetes.HasValue())
	assert.False(t, cfg.Inventory.HasValue())
	assert.False(t, cfg.RemoteSecrets.HasValue())
	assert.Equal(t, &StaticConfig{File: "f", ReloadInterval: time.Minute}, cfg.Static.Get())

	require.NoError(t, merged.Merge(confmap.NewFromStringMap(map[string]any{"static": nil})))
	require.ErrorIs(t, unmarshal(t, merged).Validate(), errNoSource)
}

func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no source", func(c *Config) { c.Static, c.Kubernetes, c.Inventory, c.RemoteSecrets = none() }, "write at least one of 'static', 'kubernetes', 'inventory' and 'remote_secrets'"},
		{"no file", func(c *Config) { c.Static.Get().File = "" }, "'static::file' is missing: write the path"},
		{"interval", func(c *Config) { c.Static.Get().ReloadInterval = 1 }, "'static::reload_interval' must be at least 100ms"},
		{"no cluster", func(c *Config) { c.Kubernetes.Get().Cluster = "" }, "'kubernetes::cluster' is missing: write the cluster's name"},
		{"no node", func(c *Config) { c.Kubernetes.Get().NodeName = "" }, "'kubernetes::node_name' is missing: write the node"},
		{"context alone", func(c *Config) { c.Kubernetes.Get().Kubeconfig = "" }, "'kubernetes::context' without 'kubernetes::kubeconfig'"},
		{"revision", func(c *Config) { c.Kubernetes.Get().IstioRevision = "1.27" }, "'kubernetes::istio_revision' \"1.27\" is no revision: write the label istio.io/rev"},
		{"kubernetes stale", func(c *Config) { c.Kubernetes.Get().StaleAfter = 0 }, "'kubernetes::stale_after' must be at least 1s"},
		{"no directory", func(c *Config) { c.Inventory.Get().Directory = "" }, "'inventory::directory' is missing: write a directory that survives a restart, such as"},
		{"save interval", func(c *Config) { c.Inventory.Get().SaveInterval = 0 }, "'inventory::save_interval' must be at least 100ms"},
		{"journal", func(c *Config) { c.Inventory.Get().MaxJournalMiB = -1 }, "'inventory::max_journal_mib' must be from 1 to 65536"},
		{"expiry", func(c *Config) { c.Inventory.Get().ExpireAfter = time.Minute }, "'inventory::expire_after' must be longer than 'inventory::stale_after'"},
		{"remote context", func(c *Config) { c.RemoteSecrets.Get().Kubeconfig = "" }, "'remote_secrets::context' without"},
		{"remote expiry", func(c *Config) { c.RemoteSecrets.Get().ExpireAfter = 0 }, "'remote_secrets::expire_after' must be longer"},
		{"history", func(c *Config) { c.History = -1 }, "'history' must not be negative"},
		{"publish interval", func(c *Config) { c.PublishInterval = time.Second }, "'publish_interval' must be from 10ms to 500ms"},
		{"queue", func(c *Config) { c.QueueSize = 0 }, "'queue_size' must be greater than zero"},
		{"clusters", func(c *Config) { c.MaxClusters = 0 }, "'max_clusters'"},
		{"pods", func(c *Config) { c.MaxPods = -1 }, "'max_pods'"},
		{"ended pods", func(c *Config) { c.MaxHistory = 0 }, "'max_history'"},
		{"nodes", func(c *Config) { c.MaxNodes = 0 }, "'max_nodes'"},
		{"services", func(c *Config) { c.MaxServices = 0 }, "'max_services'"},
		{"gateways", func(c *Config) { c.MaxGateways = 0 }, "'max_gateways'"},
		{"not the loopback", func(c *Config) { c.Admin.Endpoint = "10.0.0.1:13134" }, "the port asks nobody who they are and tells every pod's name and address, so write 127.0.0.1"},
		{"all addresses", func(c *Config) { c.Admin.Endpoint = "0.0.0.0:13134" }, "'admin::endpoint' \"0.0.0.0:13134\" is reachable from other machines"},
		{"no host", func(c *Config) { c.Admin.Endpoint = ":13134" }, "is reachable from other machines"},
		{"no port", func(c *Config) { c.Admin.Endpoint = "localhost" }, "is no host and port: write one such as 127.0.0.1:13134"},
		{"bad port", func(c *Config) { c.Admin.Endpoint = "localhost:admin" }, "has no port number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := load(t, "mesh_topology/all")
			tt.change(cfg)
			require.ErrorContains(t, confmap.Validate(cfg), tt.want)
		})
	}
}

func none() (configoptional.Optional[StaticConfig], configoptional.Optional[KubernetesConfig], configoptional.Optional[InventoryConfig], configoptional.Optional[RemoteSecretsConfig]) {
	return configoptional.None[StaticConfig](), configoptional.None[KubernetesConfig](), configoptional.None[InventoryConfig](), configoptional.None[RemoteSecretsConfig]()
}
