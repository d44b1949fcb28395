// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package meshsamplingextension is a policy of the tail sampling processor: a fair share of the traces of each edge of the
// mesh, with the weight that makes counts right. The entry point is [NewFactory].
package meshsamplingextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshsamplingextension/internal/metadata"
)

// NewFactory returns the factory of the mesh_sampling extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newMeshSampling(set, cfg.(*Config))
}
