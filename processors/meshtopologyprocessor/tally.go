// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

const (
	sourceEnd = iota
	destinationEnd
	endCount
)

var (
	endNames         = [endCount]string{"source", "destination"}
	endOptions       [endCount]metric.AddOption
	resolutionOption [endCount][mesh.ResolutionCount]metric.AddOption
)

// Attribute sets are made once: making one costs more than judging a span.
func init() {
	for end, name := range endNames {
		attr := attribute.String("end", name)
		endOptions[end] = metric.WithAttributeSet(attribute.NewSet(attr))
		for r := range mesh.ResolutionCount {
			resolutionOption[end][r] = metric.WithAttributeSet(
				attribute.NewSet(attr, attribute.String("resolution", r.String())))
		}
	}
}

// reasonOption returns the attributes of a rejected message.
func reasonOption(reason string) metric.AddOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", reason)))
}

// tally counts one batch, so that the metrics are touched once per batch and not once per item.
type tally struct {
	resolutions [endCount][mesh.ResolutionCount]int64
	conflicts   [endCount]int64
	splits      int64
	// stale counts items, localities counts resources.
	stale, localities int64
}

func (t *tally) count(v *rules.Verdict) {
	t.resolutions[sourceEnd][v.SourceBy]++
	t.resolutions[destinationEnd][v.DestinationBy]++
	if v.Stale {
		t.stale++
	}
	if v.SourceConflict {
		t.conflicts[sourceEnd]++
	}
	if v.DestinationConflict {
		t.conflicts[destinationEnd]++
	}
}

func (t *tally) add(ctx context.Context, telemetry *metadata.TelemetryBuilder) {
	for end := range endCount {
		for r, n := range t.resolutions[end] {
			if n > 0 {
				telemetry.ProcessorMeshTopologyResolutions.Add(ctx, n, resolutionOption[end][r])
			}
		}
		if n := t.conflicts[end]; n > 0 {
			telemetry.ProcessorMeshTopologyConflicts.Add(ctx, n, endOptions[end])
		}
	}
	if t.splits > 0 {
		telemetry.ProcessorMeshTopologySplitResources.Add(ctx, t.splits)
	}
	if t.stale > 0 {
		telemetry.ProcessorMeshTopologyStaleItems.Add(ctx, t.stale)
	}
	if t.localities > 0 {
		telemetry.ProcessorMeshTopologyProxyLocalityConflicts.Add(ctx, t.localities)
	}
}
