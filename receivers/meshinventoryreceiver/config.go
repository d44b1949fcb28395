// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube/lease"
)

// Config is the configuration of the mesh_inventory receiver.
type Config struct {
	// Cluster is the cluster's name as in Istio's cluster id. Required; the hub knows the cluster by it.
	Cluster string `mapstructure:"cluster"`
	// Kubernetes says how to reach the API server.
	Kubernetes KubernetesConfig `mapstructure:"kubernetes"`
	// LeaderElection lets several replicas publish once.
	LeaderElection LeaderElectionConfig `mapstructure:"leader_election"`

	// SnapshotInterval is the time between two complete snapshots; default 10m, at least 10s. What a hub lost, it has
	// again after at most this time.
	SnapshotInterval time.Duration `mapstructure:"snapshot_interval"`
	// DeltaInterval is the time in which changes are gathered; default 1s, from 50ms to a minute.
	DeltaInterval time.Duration `mapstructure:"delta_interval"`
	// HeartbeatInterval is how long it may be quiet before a heartbeat is sent; default 15s, at least DeltaInterval. It
	// must be well below the time after which the hub calls a cluster stale.
	HeartbeatInterval time.Duration `mapstructure:"heartbeat_interval"`
	// MaxPods is the most pods that are kept and published, and, apart from them, the most pods of the past; default
	// 150000, what Kubernetes supports in a cluster. At least 1.
	MaxPods int `mapstructure:"max_pods"`
	// History is how long a pod that ended is part of snapshots; default 10m, zero or more.
	History time.Duration `mapstructure:"history"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// KubernetesConfig says how to reach the API server. Without any of it, it is the pod's own service account.
type KubernetesConfig struct {
	// Kubeconfig is the path of a kubeconfig file; empty for the service account of the pod.
	Kubeconfig string `mapstructure:"kubeconfig"`
	// Context is a context of the kubeconfig; empty for its current one.
	Context string `mapstructure:"context"`
	// SystemNamespace is where Istio's control plane is; default istio-system.
	SystemNamespace string `mapstructure:"system_namespace"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// LeaderElectionConfig is the election of the replica that watches and publishes, by a Lease of coordination.k8s.io.
type LeaderElectionConfig struct {
	// Enabled is true by default. Without it every replica publishes, so there must be one only.
	Enabled bool `mapstructure:"enabled"`
	// LeaseName is the name of the lease; default otelcol-mesh-inventory.
	LeaseName string `mapstructure:"lease_name"`
	// LeaseNamespace is the namespace of the lease; empty for the namespace of the pod.
	LeaseNamespace string `mapstructure:"lease_namespace"`
	// Identity names this replica to people who look at the lease; empty for the host's name, which in a pod is the pod's.
	Identity string `mapstructure:"identity"`
	// LeaseDuration is how long other replicas wait for a leader that was killed; default 15s, whole seconds, at least a
	// second more than RenewDeadline: see [lease.Settings].
	LeaseDuration time.Duration `mapstructure:"lease_duration"`
	// RenewDeadline is how long the leader tries to renew the lease before it stops; default 10s, more than 1.2 times
	// RetryPeriod.
	RenewDeadline time.Duration `mapstructure:"renew_deadline"`
	// RetryPeriod is the pause between two tries to get or renew the lease; default 2s, more than zero.
	RetryPeriod time.Duration `mapstructure:"retry_period"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	return &Config{
		Kubernetes: KubernetesConfig{SystemNamespace: "istio-system"},
		LeaderElection: LeaderElectionConfig{
			Enabled:       true,
			LeaseName:     "otelcol-mesh-inventory",
			LeaseDuration: 15 * time.Second,
			RenewDeadline: 10 * time.Second,
			RetryPeriod:   2 * time.Second,
		},
		SnapshotInterval:  10 * time.Minute,
		DeltaInterval:     time.Second,
		HeartbeatInterval: 15 * time.Second,
		MaxPods:           150_000,
		History:           10 * time.Minute,
	}
}

var (
	errNoCluster = errors.New("'cluster' is missing: write the cluster's name as in Istio's cluster id " +
		"(values.global.multiCluster.clusterName), for example '${env:MESH_CLUSTER}'")
	errNoSystemNamespace = errors.New("'system_namespace' is empty: write the namespace of Istio's control plane, " +
		"usually 'istio-system'")
	errContextAlone = errors.New("'context' is set without 'kubeconfig': write the path of the kubeconfig file that has the " +
		"context, or leave out 'context'")
	errNoLeaseName = errors.New("'lease_name' is empty: write the name of the lease, for example 'otelcol-mesh-inventory'")
)

const (
	leastSnapshotInterval = 10 * time.Second
	leastDeltaInterval    = 50 * time.Millisecond
	mostDeltaInterval     = time.Minute
)

// Validate reports every setting that cannot work, by its key.
func (c *Config) Validate() error {
	var errs []error
	if c.Cluster == "" {
		errs = append(errs, errNoCluster)
	}
	if c.SnapshotInterval < leastSnapshotInterval {
		errs = append(errs, fmt.Errorf("'snapshot_interval' is %v: write %v or more", c.SnapshotInterval, leastSnapshotInterval))
	}
	if c.DeltaInterval < leastDeltaInterval || c.DeltaInterval > mostDeltaInterval {
		errs = append(errs, fmt.Errorf("'delta_interval' is %v: write %v to %v",
			c.DeltaInterval, leastDeltaInterval, mostDeltaInterval))
	}
	if c.HeartbeatInterval < c.DeltaInterval {
		errs = append(errs, fmt.Errorf("'heartbeat_interval' is %v: write 'delta_interval' (%v) or more",
			c.HeartbeatInterval, c.DeltaInterval))
	}
	if c.MaxPods < 1 {
		errs = append(errs, fmt.Errorf("'max_pods' is %d: write 1 or more", c.MaxPods))
	}
	if c.History < 0 {
		errs = append(errs, fmt.Errorf("'history' is %v: write 0s or more", c.History))
	}
	return errors.Join(errs...)
}

// Validate reports every setting that cannot work, by its key.
func (c *KubernetesConfig) Validate() error {
	var errs []error
	if c.SystemNamespace == "" {
		errs = append(errs, errNoSystemNamespace)
	}
	if c.Context != "" && c.Kubeconfig == "" {
		errs = append(errs, errContextAlone)
	}
	return errors.Join(errs...)
}

// Validate reports every setting that cannot work, by its key.
func (c *LeaderElectionConfig) Validate() error {
	if !c.Enabled {
		return nil
	}
	var errs []error
	if c.LeaseName == "" {
		errs = append(errs, errNoLeaseName)
	}
	if c.RetryPeriod <= 0 {
		errs = append(errs, fmt.Errorf("'retry_period' is %v: write more than 0s, for example '2s'", c.RetryPeriod))
	}
	// The election's pauses vary by up to a fifth.
	if least := c.RetryPeriod * 6 / 5; c.RenewDeadline <= least {
		errs = append(errs, fmt.Errorf("'renew_deadline' is %v: write more than 1.2 times 'retry_period' (%v)",
			c.RenewDeadline, least))
	}
	if c.LeaseDuration < c.RenewDeadline+lease.Slack || c.LeaseDuration%time.Second != 0 {
		errs = append(errs, fmt.Errorf("'lease_duration' is %v: write whole seconds, at least one more than 'renew_deadline' (%v)",
			c.LeaseDuration, c.RenewDeadline))
	}
	return errors.Join(errs...)
}
