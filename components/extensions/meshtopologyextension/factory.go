// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package meshtopologyextension holds the topology of the mesh for other components. The entry points are [NewFactory]
// and, for the components that ask or tell, [Topology], [InventorySink] and [FindingSink].
package meshtopologyextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Topology is what the extension offers to other components: they find it among the host's extensions and assert this
// interface.
type Topology interface {
	// Snapshot returns the newest snapshot, never nil. It does not lock or allocate. Take one per batch and use it for
	// the whole batch, so that all of its items are judged by the same knowledge. Safe for concurrent use.
	Snapshot() *topology.Snapshot
}

// InventorySink takes inventories of whole clusters: components that receive them find the extension among the host's
// extensions and assert this interface.
type InventorySink interface {
	// AcceptInventory takes one message. It returns once the message has been judged, and waits for that while the
	// topology has more to take than it can, until the context ends: the error is then worth a new attempt, and a message
	// that comes twice does no harm. A permanent error, see consumererror.IsPermanent, wraps a
	// [*RejectedInventoryError]: the message can never be taken. What was taken is visible within half a second. The
	// message is not kept. Safe for concurrent use.
	AcceptInventory(ctx context.Context, message *inventory.Message) error
}

// FindingSink takes what a component finds wrong with the mesh.
type FindingSink interface {
	// ReportFinding notes a finding; the same one again only counts. It does not wait for anything. Safe for concurrent
	// use. It is not meant for each item of telemetry: it takes a lock.
	ReportFinding(finding topology.Finding)
}

// NewFactory returns the factory of the mesh_topology extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newMeshTopology(set, cfg.(*Config))
}
