// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package meshspanpairingprocessor lets the client span and the server span of one call tell each other their end. The
// entry point is [NewFactory]. Which spans are one call, and what they tell each other, is decided in internal/pairing;
// this package reads and writes the spans, keeps those that wait, and counts.
package meshspanpairingprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/metadata"
)

// NewFactory returns the factory of the mesh_span_pairing processor.
func NewFactory() processor.Factory {
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithTraces(createTraces, metadata.TracesStability),
	)
}

func createTraces(
	_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces,
) (processor.Traces, error) {
	return newSpanPairing(set, cfg.(*Config), next)
}
