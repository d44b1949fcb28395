// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/processors/clusteridentityprocessor/internal/metadata"
)

// signal is what a processor handles.
type signal string

const (
	traces  signal = "traces"
	logs    signal = "logs"
	metrics signal = "metrics"
)

// outcome is what was done with a resource.
type outcome uint8

const (
	rejected outcome = iota
	quarantined
	accepted
	outcomeCount
)

var outcomeWords = [outcomeCount]string{"rejected", "quarantined", "accepted"}

// tally counts one batch, so that a metric is touched once per batch.
type tally struct {
	resources, items [reasonCount][outcomeCount]int64
	named            int64
	// refused is how many resources were dropped, and first the first finding of them.
	refused int
	first   finding
}

func (t *tally) add(f finding, what outcome, items int) {
	t.resources[f.reason][what]++
	t.items[f.reason][what] += int64(items)
	if what == rejected {
		if t.refused == 0 {
			t.first = f
		}
		t.refused++
	}
}

// counter adds tallies to the processor's own metrics. The options are built once, as they allocate.
type counter struct {
	telemetry *metadata.TelemetryBuilder
	options   [reasonCount][outcomeCount]metric.MeasurementOption
	named     metric.MeasurementOption
}

func newCounter(telemetry *metadata.TelemetryBuilder, s signal) *counter {
	c := &counter{telemetry: telemetry, named: metric.WithAttributeSet(attribute.NewSet(attribute.String("signal", string(s))))}
	for why := fine + 1; why < reasonCount; why++ {
		for what, word := range outcomeWords {
			c.options[why][what] = metric.WithAttributeSet(attribute.NewSet(attribute.String("signal", string(s)),
				attribute.String("reason", reasonWords[why]), attribute.String("action", word)))
		}
	}
	return c
}

func (c *counter) add(ctx context.Context, t *tally) {
	if t.named > 0 {
		c.telemetry.ProcessorClusterIdentityNamedResources.Add(ctx, t.named, c.named)
	}
	for why := fine + 1; why < reasonCount; why++ {
		for what := range outcomeCount {
			if n := t.resources[why][what]; n > 0 {
				c.telemetry.ProcessorClusterIdentityFlaggedResources.Add(ctx, n, c.options[why][what])
			}
			if n := t.items[why][what]; n > 0 {
				c.telemetry.ProcessorClusterIdentityFlaggedItems.Add(ctx, n, c.options[why][what])
			}
		}
	}
}
