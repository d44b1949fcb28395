// SPDX-License-Identifier: Apache-2.0

package meshnoiseprocessor

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor/internal/rules"
)

// signal is what a processor handles.
type signal string

const (
	traces  signal = "traces"
	logs    signal = "logs"
	metrics signal = "metrics"
)

// action is what was done with an item.
type action uint8

const (
	kept action = iota
	marked
	dropped
	actionCount
)

var actionWords = [actionCount]string{"kept", "marked", "dropped"}

func actionOf(configured Action) action {
	switch configured {
	case Mark:
		return marked
	case Drop:
		return dropped
	}
	return kept
}

// tally counts one batch, so that the metric is touched once per batch and not once per item.
type tally [rules.ReasonCount][actionCount]int64

// counter adds tallies to the processor's own metric. The options are built once, as they allocate.
type counter struct {
	telemetry *metadata.TelemetryBuilder
	options   [rules.ReasonCount][actionCount]metric.AddOption
}

func newCounter(telemetry *metadata.TelemetryBuilder, s signal) *counter {
	c := &counter{telemetry: telemetry}
	for reason := rules.None + 1; reason < rules.ReasonCount; reason++ {
		for a, word := range actionWords {
			c.options[reason][a] = metric.WithAttributeSet(attribute.NewSet(attribute.String("signal", string(s)),
				attribute.String("reason", reason.String()), attribute.String("action", word)))
		}
	}
	return c
}

func (c *counter) add(ctx context.Context, t *tally) {
	for reason := range t {
		for a, n := range t[reason] {
			if n > 0 {
				c.telemetry.ProcessorMeshNoiseRecognizedItems.Add(ctx, n, c.options[reason][a])
			}
		}
	}
}
