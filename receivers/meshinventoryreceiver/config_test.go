// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/meshinventoryreceiver/internal/metadata"
)

func loadConfig(t *testing.T, name string) *Config {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := conf.Sub(component.NewIDWithName(metadata.Type, name).String())
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg
}

func TestConfig(t *testing.T) {
	expected := createDefaultConfig().(*Config)
	expected.Cluster = "east"
	require.Equal(t, expected, loadConfig(t, ""))
	require.NoError(t, confmap.Validate(expected))
	all := loadConfig(t, "all")
	require.NoError(t, confmap.Validate(all))
	require.Equal(t, &Config{
		Cluster:    "east",
		Kubernetes: KubernetesConfig{Kubeconfig: "testdata/kubeconfig.yaml", Context: "east", SystemNamespace: "istio-control"},
		LeaderElection: LeaderElectionConfig{
			Enabled: true, LeaseName: "inventory", LeaseNamespace: "observability", Identity: "inventory-0",
			LeaseDuration: 30 * time.Second, RenewDeadline: 20 * time.Second, RetryPeriod: 4 * time.Second,
		},
		SnapshotInterval: 5 * time.Minute, DeltaInterval: 500 * time.Millisecond, HeartbeatInterval: 10 * time.Second,
		MaxPods: 1000, History: 20 * time.Minute,
	}, all)
}

func TestBadConfigs(t *testing.T) {
	for want, mutate := range map[string]func(*Config){
		"'cluster' is missing: write the cluster's name":                      func(c *Config) { c.Cluster = "" },
		"'snapshot_interval' is 1s: write 10s or more":                        func(c *Config) { c.SnapshotInterval = time.Second },
		"'delta_interval' is 1ms: write 50ms to 1m0s":                         func(c *Config) { c.DeltaInterval = time.Millisecond },
		"'delta_interval' is 1h0m0s: write 50ms to 1m0s":                      func(c *Config) { c.DeltaInterval = time.Hour },
		"'heartbeat_interval' is 100ms: write 'delta_interval' (1s) or more":  func(c *Config) { c.HeartbeatInterval = 100 * time.Millisecond },
		"'max_pods' is 0: write 1 or more":                                    func(c *Config) { c.MaxPods = 0 },
		"'history' is -1s: write 0s or more":                                  func(c *Config) { c.History = -time.Second },
		"kubernetes: 'system_namespace' is empty: write":                      func(c *Config) { c.Kubernetes.SystemNamespace = "" },
		"kubernetes: 'context' is set without 'kubeconfig': write":            func(c *Config) { c.Kubernetes.Context = "east" },
		"leader_election: 'lease_name' is empty: write":                       func(c *Config) { c.LeaderElection.LeaseName = "" },
		"leader_election: 'retry_period' is 0s: write more than 0s":           func(c *Config) { c.LeaderElection.RetryPeriod = 0 },
		"'renew_deadline' is 2.4s: write more than 1.2 times 'retry_period'":  func(c *Config) { c.LeaderElection.RenewDeadline = 2400 * time.Millisecond },
		"'lease_duration' is 10s: write whole seconds, at least one more ":    func(c *Config) { c.LeaderElection.LeaseDuration = 10 * time.Second },
		"'lease_duration' is 11.5s: write whole seconds, at least one more t": func(c *Config) { c.LeaderElection.LeaseDuration = 11500 * time.Millisecond },
	} {
		cfg := createDefaultConfig().(*Config)
		cfg.Cluster = "east"
		mutate(cfg)
		require.ErrorContains(t, confmap.Validate(cfg), want)
	}
	off := createDefaultConfig().(*Config)
	off.Cluster, off.LeaderElection = "east", LeaderElectionConfig{}
	require.NoError(t, confmap.Validate(off), "what is off needs no settings")
}

// TestStartSaysWhatToWrite starts receivers that lack what a pod would tell them.
func TestStartSaysWhatToWrite(t *testing.T) {
	if os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		t.Setenv("KUBERNETES_SERVICE_HOST", "")
	}
	for want, mutate := range map[string]func(*Config){
		"write the path of a kubeconfig file as 'kubernetes::kubeconfig'":             func(c *Config) { c.Kubernetes = KubernetesConfig{SystemNamespace: "istio-system"} },
		"'kubernetes::kubeconfig' and 'kubernetes::context' do not lead to a cluster": func(c *Config) { c.Kubernetes.Context = "west" },
		"the kubeconfig \"nowhere\"": func(c *Config) { c.Kubernetes.Kubeconfig = "nowhere" },
		"'leader_election::lease_namespace' is missing and this is not a pod that could te": func(c *Config) { c.LeaderElection.LeaseNamespace = "" },
	} {
		cfg := loadConfig(t, "all")
		mutate(cfg)
		r, err := NewFactory().CreateLogs(t.Context(), receivertest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
		require.NoError(t, err)
		require.ErrorContains(t, r.Start(t.Context(), componenttest.NewNopHost()), want)
		require.NoError(t, r.Shutdown(t.Context()))
	}
}

// TestReadmeNamesEveryOption holds the README's table to the defaults.
func TestReadmeNamesEveryOption(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	conf := confmap.New()
	require.NoError(t, conf.Marshal(createDefaultConfig().(*Config)))
	for _, key := range conf.AllKeys() {
		require.Contains(t, string(text), "`"+key+"`")
	}
	require.True(t, strings.Contains(string(text), "distribution/rbac/inventory.yaml"))
}
