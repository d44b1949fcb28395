// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-mesh/otelcol-mesh/internal/loopback"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
)

// Config says where the topology comes from and how large it may grow. Each source is off unless its key has a value
// other than null; at least one must be on.
type Config struct {
	// Static reads a file that people write.
	Static configoptional.Optional[StaticConfig] `mapstructure:"static"`
	// Kubernetes reads the pods of one node.
	Kubernetes configoptional.Optional[KubernetesConfig] `mapstructure:"kubernetes"`
	// Inventory takes the inventories that come in with the logs.
	Inventory configoptional.Optional[InventoryConfig] `mapstructure:"inventory"`
	// RemoteSecrets reads whole clusters with istiod's own credentials.
	RemoteSecrets configoptional.Optional[RemoteSecretsConfig] `mapstructure:"remote_secrets"`

	// History is how long pods stay answerable after their end. Default 1h; 0 forgets them at once.
	History time.Duration `mapstructure:"history"`
	// PublishInterval is the least time between two snapshots. Default 200ms, from 10ms to 500ms.
	PublishInterval time.Duration `mapstructure:"publish_interval"`
	// QueueSize is how many readings and messages wait for the writer before their senders do. Default 128.
	QueueSize int `mapstructure:"queue_size"`

	// MaxClusters is the most clusters that a topology may have. Default 256.
	MaxClusters int `mapstructure:"max_clusters"`
	// MaxPods is the most running pods of all clusters together. Default 500000.
	MaxPods int `mapstructure:"max_pods"`
	// MaxHistory is the most ended pods kept. Default 500000.
	MaxHistory int `mapstructure:"max_history"`
	// MaxNodes, MaxServices and MaxGateways are the most of each in all clusters together. Defaults 100000, 200000, 10000.
	MaxNodes    int `mapstructure:"max_nodes"`
	MaxServices int `mapstructure:"max_services"`
	MaxGateways int `mapstructure:"max_gateways"`

	// Admin serves what is known as JSON.
	Admin AdminConfig `mapstructure:"admin"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// StaticConfig is the static file source.
type StaticConfig struct {
	// File is the path of the topology file. Required.
	File string `mapstructure:"file"`
	// ReloadInterval is the time between two looks at the file. Default 10s, at least 100ms.
	ReloadInterval time.Duration `mapstructure:"reload_interval"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ClientConfig says how to reach an API server: without a kubeconfig, as the pod's own service account.
type ClientConfig struct {
	// Kubeconfig is the path of a kubeconfig file.
	Kubeconfig string `mapstructure:"kubeconfig"`
	// Context is a context of the kubeconfig; empty for its current one.
	Context string `mapstructure:"context"`
}

// KubernetesConfig is the source for an agent: the node it runs on and the pods there.
type KubernetesConfig struct {
	ClientConfig `mapstructure:",squash"`
	// Cluster is the cluster's name as in Istio's cluster id. Required.
	Cluster string `mapstructure:"cluster"`
	// NodeName is the node's name. Required.
	NodeName string `mapstructure:"node_name"`
	// SystemNamespace is Istio's. Default istio-system.
	SystemNamespace string `mapstructure:"system_namespace"`
	// IstioRevision is istiod's, a DNS label: the mesh configuration is in the ConfigMap istio-<revision>. Default empty:
	// the ConfigMap istio, as for the revision default.
	IstioRevision string `mapstructure:"istio_revision"`
	// StaleAfter is how long the API server may be silent before what is known counts as stale. Default 90s.
	StaleAfter time.Duration `mapstructure:"stale_after"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// InventoryConfig is the source for a hub: the inventories of all clusters, out of the logs that the mesh_topology
// processor sees.
type InventoryConfig struct {
	// Directory is where the disk copy is kept. Required.
	Directory string `mapstructure:"directory"`
	// SaveInterval is the time between two copies of a topology that changes. Default 30s, at least 100ms.
	SaveInterval time.Duration `mapstructure:"save_interval"`
	// MaxJournalMiB is how large the journal may get, in MiB, before a copy is made early; it takes twice that at most,
	// and what waits for other messages.
	// Default 64, at most 65536; 0 for no journal.
	MaxJournalMiB int `mapstructure:"max_journal_mib"`
	// StaleAfter is how long a cluster may be silent before it counts as stale. Default 90s.
	StaleAfter time.Duration `mapstructure:"stale_after"`
	// ExpireAfter is how long a cluster may be silent before it is forgotten. Default 24h, more than StaleAfter.
	ExpireAfter time.Duration `mapstructure:"expire_after"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// RemoteSecretsConfig is the source for a hub that may read the API servers of other clusters.
type RemoteSecretsConfig struct {
	ClientConfig `mapstructure:",squash"`
	// Namespace is where the secrets are. Default istio-system.
	Namespace string `mapstructure:"namespace"`
	// OwnCluster is a cluster id to leave alone, usually that of the cluster which has the secrets.
	OwnCluster string `mapstructure:"own_cluster"`
	// StaleAfter is how long a cluster may be silent before it counts as stale. Default 90s.
	StaleAfter time.Duration `mapstructure:"stale_after"`
	// ExpireAfter is how long a cluster may be silent before it is forgotten. Default 24h, more than StaleAfter.
	ExpireAfter time.Duration `mapstructure:"expire_after"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// AdminConfig is the port for people who want to know why.
type AdminConfig struct {
	// Endpoint is a host and port of the loopback interface. Default none: nothing is served.
	Endpoint string `mapstructure:"endpoint"`

	// prevent unkeyed literal initialization
	_ struct{}
}

const (
	defaultStaleAfter  = 90 * time.Second
	defaultExpireAfter = 24 * time.Hour
	systemNamespace    = "istio-system"
)

// The sources are off until their key is there, so their defaults are set when they are read.

// Unmarshal implements [confmap.Unmarshaler].
func (c *StaticConfig) Unmarshal(conf *confmap.Conf) error {
	*c = StaticConfig{ReloadInterval: 10 * time.Second}
	return conf.Unmarshal(c)
}

// Unmarshal implements [confmap.Unmarshaler].
func (c *KubernetesConfig) Unmarshal(conf *confmap.Conf) error {
	*c = KubernetesConfig{SystemNamespace: systemNamespace, StaleAfter: defaultStaleAfter}
	return conf.Unmarshal(c)
}

// Unmarshal implements [confmap.Unmarshaler].
func (c *InventoryConfig) Unmarshal(conf *confmap.Conf) error {
	*c = InventoryConfig{SaveInterval: 30 * time.Second, MaxJournalMiB: 64, StaleAfter: defaultStaleAfter, ExpireAfter: defaultExpireAfter}
	return conf.Unmarshal(c)
}

// Unmarshal implements [confmap.Unmarshaler].
func (c *RemoteSecretsConfig) Unmarshal(conf *confmap.Conf) error {
	*c = RemoteSecretsConfig{Namespace: systemNamespace, StaleAfter: defaultStaleAfter, ExpireAfter: defaultExpireAfter}
	return conf.Unmarshal(c)
}

var (
	_ component.Config    = (*Config)(nil)
	_ confmap.Validator   = (*Config)(nil)
	_ confmap.Unmarshaler = (*InventoryConfig)(nil)
)

func createDefaultConfig() component.Config {
	return &Config{
		History:         time.Hour,
		PublishInterval: 200 * time.Millisecond,
		QueueSize:       128,
		MaxClusters:     256,
		MaxPods:         500_000,
		MaxHistory:      500_000,
		MaxNodes:        100_000,
		MaxServices:     200_000,
		MaxGateways:     10_000,
	}
}

var (
	errNoSource = errors.New("no source is on: write at least one of 'static', 'kubernetes', 'inventory' and 'remote_secrets', " +
		"such as 'static: {file: /etc/otelcol-mesh/topology.yaml}'")
	errNoFile         = errors.New("'static::file' is missing: write the path of the topology file")
	errReloadInterval = errors.New("'static::reload_interval' must be at least 100ms, such as 10s")
	errNoCluster      = errors.New("'kubernetes::cluster' is missing: write the cluster's name as istiod has it (global.multiCluster.clusterName)")
	errNoNodeName     = errors.New("'kubernetes::node_name' is missing: write the node that the collector runs on, " +
		"such as ${env:MESH_NODE_NAME} with that variable set from spec.nodeName")
	errNoDirectory = errors.New("'inventory::directory' is missing: write a directory that survives a restart, " +
		"such as /var/lib/otelcol-mesh/topology, for the disk copy of what the clusters said")
	errMaxJournal      = errors.New("'inventory::max_journal_mib' must be from 1 to 65536, such as 64, or 0 for no journal")
	errSaveInterval    = errors.New("'inventory::save_interval' must be at least 100ms, such as 30s")
	errHistory         = errors.New("'history' must not be negative: write how long ended pods stay answerable, such as 1h")
	errPublishInterval = errors.New("'publish_interval' must be from 10ms to 500ms, such as 200ms")
)

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	check := func(bad bool, err error) {
		if bad {
			errs = append(errs, err)
		}
	}
	static, kubernetes, inventory, remote := c.Static.Get(), c.Kubernetes.Get(), c.Inventory.Get(), c.RemoteSecrets.Get()
	check(static == nil && kubernetes == nil && inventory == nil && remote == nil, errNoSource)
	if static != nil {
		check(static.File == "", errNoFile)
		check(static.ReloadInterval < 100*time.Millisecond, errReloadInterval)
	}
	if kubernetes != nil {
		check(kubernetes.Cluster == "", errNoCluster)
		check(kubernetes.NodeName == "", errNoNodeName)
		if r := kubernetes.IstioRevision; r != "" && !kube.ValidRevision(r) {
			errs = append(errs, fmt.Errorf("'kubernetes::istio_revision' %q is no revision: write the label istio.io/rev of istiod's pods, "+
				"such as 1-27, or nothing if istiod has none", r))
		}
		errs = append(errs, kubernetes.validate("kubernetes"), times("kubernetes", kubernetes.StaleAfter, kubernetes.StaleAfter+1))
	}
	if inventory != nil {
		check(inventory.Directory == "", errNoDirectory)
		check(inventory.SaveInterval < 100*time.Millisecond, errSaveInterval)
		check(inventory.MaxJournalMiB < 0 || inventory.MaxJournalMiB > 1<<16, errMaxJournal)
		errs = append(errs, times("inventory", inventory.StaleAfter, inventory.ExpireAfter))
	}
	if remote != nil {
		errs = append(errs, remote.validate("remote_secrets"), times("remote_secrets", remote.StaleAfter, remote.ExpireAfter))
	}
	check(c.History < 0, errHistory)
	check(c.PublishInterval < 10*time.Millisecond || c.PublishInterval > 500*time.Millisecond, errPublishInterval)
	for _, limit := range []struct {
		key   string
		value int
	}{
		{"queue_size", c.QueueSize},
		{"max_clusters", c.MaxClusters},
		{"max_pods", c.MaxPods},
		{"max_history", c.MaxHistory},
		{"max_nodes", c.MaxNodes},
		{"max_services", c.MaxServices},
		{"max_gateways", c.MaxGateways},
	} {
		check(limit.value <= 0, fmt.Errorf("'%s' must be greater than zero", limit.key))
	}
	errs = append(errs, c.Admin.validate())
	return errors.Join(errs...)
}

func (c *ClientConfig) validate(section string) error {
	if c.Context != "" && c.Kubeconfig == "" {
		return fmt.Errorf("'%s::context' without '%s::kubeconfig': write the kubeconfig's path too, or neither for the pod's service account", section, section)
	}
	return nil
}

// times checks how long a source may be silent. Sources confirm what they say every 10 to 15 seconds.
func times(section string, stale, expire time.Duration) error {
	if stale < time.Second {
		return fmt.Errorf("'%s::stale_after' must be at least 1s, and well above the 15s between two signs of life, such as 90s", section)
	}
	if expire <= stale {
		return fmt.Errorf("'%s::expire_after' must be longer than '%s::stale_after', such as 24h", section, section)
	}
	return nil
}

func (c *AdminConfig) validate() error {
	if c.Endpoint == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Endpoint)
	if err != nil {
		return fmt.Errorf("'admin::endpoint' %q is no host and port: write one such as 127.0.0.1:13134, or leave it out", c.Endpoint)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("'admin::endpoint' %q has no port number: write one such as 127.0.0.1:13134", c.Endpoint)
	}
	if !loopback.IsHost(host) {
		return fmt.Errorf("'admin::endpoint' %q is reachable from other machines: the port asks nobody who they are and tells every "+
			"pod's name and address, so write 127.0.0.1, [::1] or localhost, and reach it with 'kubectl port-forward'", c.Endpoint)
	}
	return nil
}
