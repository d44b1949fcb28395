// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/test/bench/kube/fakeapi"
)

// ours is the Kubernetes source with a store, as the mesh_topology extension runs them.
type ours struct {
	settings kube.Settings
	store    topology.Store
	writer   *topology.Writer
	ended    chan error
	synced   chan struct{}
	stop     context.CancelFunc
}

// newOurs reads one node, or the whole cluster if it is empty.
func newOurs(kubeconfig, node string) *ours {
	o := &ours{ended: make(chan error, 1), synced: make(chan struct{})}
	o.settings = kube.Settings{Cluster: "weu-1", Client: kube.ClientSettings{Kubeconfig: kubeconfig}, Scope: kube.ScopeCluster}
	if node != "" {
		o.settings.Scope, o.settings.NodeName = kube.ScopeNode, node
	}
	return o
}

func (o *ours) start(ctx context.Context) error {
	source, err := kube.New(o.settings)
	if err != nil {
		return err
	}
	ctx, o.stop = context.WithCancel(ctx)
	o.writer = topology.NewWriter(topology.WriterSettings{MeshID: "shop", History: 10 * time.Minute, Store: &o.store})
	full := false
	go func() {
		o.ended <- source.Run(ctx, func(d *topology.Delta) {
			o.writer.Apply(d)
			o.writer.Publish()
			if d.Full && !d.More && !full {
				full = true
				close(o.synced)
			}
		})
	}()
	select {
	case <-o.synced:
		return nil
	case err := <-o.ended:
		return fmt.Errorf("the source ended: %w", err)
	case <-time.After(syncTimeout):
		return fmt.Errorf("not synced within %s", syncTimeout)
	}
}

// alone ends the source: what stays is what the hub holds of a cluster that another process reads.
func (o *ours) alone() error {
	o.stop()
	if err := <-o.ended; !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the source ended: %w", err)
	}
	return nil
}

func (o *ours) right(_ context.Context, want *fakeapi.Pod) (bool, error) {
	p, found := o.store.Snapshot().At(time.Time{}).ByAddress(fakeapi.Network, want.Address)
	return found == topology.Found && p.Name == want.Name && p.Workload.Name == want.Workload && p.Workload.Namespace == want.Namespace &&
		p.Node != nil && p.Node.Name == want.Node && p.Zone != "", nil
}
