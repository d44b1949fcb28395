// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package meshtopologyextension holds the topology of the mesh for other components. The entry points are [NewFactory]
// and, for the components that ask, [Topology].
package meshtopologyextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Topology is what the extension offers to other components: they find it among the host's extensions and assert this
// interface.
type Topology interface {
	// Snapshot returns the newest snapshot, never nil. It does not lock or allocate. Take one per batch and use it for
	// the whole batch, so that all of its items are judged by the same knowledge. Safe for concurrent use.
	Snapshot() *topology.Snapshot
}

// NewFactory returns the factory of the mesh_topology extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newMeshTopology(set, cfg.(*Config))
}
