// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube/lease"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// leadership is one term of leading.
type leadership struct {
	// epoch is greater than that of every term before.
	epoch int64
	// held says whether nobody else can lead at this moment.
	held func() bool
}

// elector decides when this replica leads.
type elector interface {
	// Run calls lead for each term, one at a time, until ctx ends; the context of a term ends with it. lead has returned
	// when Run returns.
	Run(ctx context.Context, lead func(context.Context, leadership))
}

// source is what reads the cluster; *kube.Source is one.
type source interface {
	Run(ctx context.Context, emit func(*topology.Delta)) error
	State() kube.State
	Counters() kube.Counters
}

var _ source = (*kube.Source)(nil)

// environment is what a receiver gets from outside; tests have their own.
type environment struct {
	elector elector
	// newSource makes a source for each term.
	newSource func(report func(topology.Finding)) (source, error)
}

// connect prepares the election and the source, without asking the API server anything.
func (r *inventoryReceiver) connect() (environment, error) {
	config, err := lease.Connect(r.cfg.Kubernetes.Kubeconfig, r.cfg.Kubernetes.Context)
	if err != nil && r.cfg.Kubernetes.Kubeconfig == "" {
		err = fmt.Errorf("this is not a pod with a service account: write the path of a kubeconfig file as "+
			"'kubernetes::kubeconfig', or run in the cluster with 'automountServiceAccountToken: true': %w", err)
	} else if err != nil {
		err = fmt.Errorf("'kubernetes::kubeconfig' and 'kubernetes::context' do not lead to a cluster: %w", err)
	}
	if err != nil {
		return environment{}, err
	}
	logger := slog.New(zapslog.NewHandler(r.set.Logger.Core()))
	env := environment{elector: sole{}, newSource: func(report func(topology.Finding)) (source, error) {
		return kube.New(kube.Settings{
			Cluster:         r.cfg.Cluster,
			Client:          kube.ClientSettings{Config: config, Version: r.set.BuildInfo.Version},
			Scope:           kube.ScopeCluster,
			SystemNamespace: r.cfg.Kubernetes.SystemNamespace,
			Logger:          logger,
			Report:          report,
		})
	}}
	// One for nothing, so that settings that cannot work stop the collector.
	if _, err := env.newSource(func(topology.Finding) {}); err != nil {
		return environment{}, err
	}
	if !r.cfg.LeaderElection.Enabled {
		return env, nil
	}
	settings, err := leaseSettings(&r.cfg.LeaderElection)
	if err != nil {
		return environment{}, err
	}
	settings.Logger, settings.Observe = logger, r.leaseHeard
	own, err := lease.New(config, settings)
	if err != nil {
		return environment{}, err
	}
	env.elector = byLease{own}
	return env, nil
}

func leaseSettings(cfg *LeaderElectionConfig) (lease.Settings, error) {
	s := lease.Settings{
		Namespace: cfg.LeaseNamespace, Name: cfg.LeaseName, Identity: cfg.Identity,
		Duration: cfg.LeaseDuration, RenewDeadline: cfg.RenewDeadline, RetryPeriod: cfg.RetryPeriod,
	}
	var err error
	if s.Namespace == "" {
		if s.Namespace, err = lease.PodNamespace(); err != nil {
			return s, fmt.Errorf("'leader_election::lease_namespace' is missing and this is not a pod that could tell its own "+
				"namespace: write the namespace of the lease, or 'leader_election::enabled: false' if there is one replica only: %w", err)
		}
	}
	if s.Identity == "" {
		if s.Identity, err = os.Hostname(); err != nil || s.Identity == "" {
			return s, errors.Join(errors.New("'leader_election::identity' is missing and the host has no name: write a name for "+
				"this replica, for example '${env:POD_NAME}'"), err)
		}
	}
	return s, nil
}

// leaseHeard takes what came of a request about the lease.
func (r *inventoryReceiver) leaseHeard(err error) {
	if err != nil && r.leaseFailing.CompareAndSwap(false, true) {
		r.set.Logger.Warn("The lease of the leader election cannot be reached; a role may be missing "+
			"(distribution/rbac/inventory.yaml)", zap.Error(err))
	}
	if err == nil {
		r.leaseFailing.Store(false)
	}
	r.health.leaseHeard(err)
}

// byLease leads while it holds a lease.
type byLease struct{ elector *lease.Elector }

func (b byLease) Run(ctx context.Context, lead func(context.Context, leadership)) {
	b.elector.Run(ctx, func(ctx context.Context, term lease.Term) {
		lead(ctx, leadership{epoch: term.Epoch, held: term.Held})
	})
}

// sole leads always. Its epochs grow with the clock.
type sole struct{}

// soleRetry is the pause before another term if one ended by itself.
const soleRetry = 2 * time.Second

func (sole) Run(ctx context.Context, lead func(context.Context, leadership)) {
	for ctx.Err() == nil {
		lead(ctx, leadership{epoch: time.Now().UnixNano(), held: func() bool { return true }})
		select {
		case <-ctx.Done():
		case <-time.After(soleRetry):
		}
	}
}
