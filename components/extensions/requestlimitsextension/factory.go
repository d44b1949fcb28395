// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package requestlimitsextension bounds what one sender can make a receiver do. It is a middleware of receivers: it counts
// what an OTLP request holds before anything is decoded, and bounds streams, connections, headers and the memory of all
// requests at once. The entry point is [NewFactory].
package requestlimitsextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/requestlimitsextension/internal/metadata"
)

// NewFactory returns the factory of the request_limits extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newRequestLimits(set, cfg.(*Config))
}
