// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/rules"
)

// tally is what one batch adds to the counters.
type tally struct {
	items     [rules.NumEncodings]int64
	unparsed  [rules.NumReasons]int64
	conflicts int64
}

var (
	encodingNames = [rules.NumEncodings]string{
		rules.EncodingNone: "none", rules.EncodingLegacy: "legacy", rules.EncodingNew: "new", rules.EncodingBoth: "both",
	}
	reasonNames = [rules.NumReasons]string{
		rules.NotANumber: "not_a_number", rules.OutOfRange: "out_of_range", rules.BadURL: "bad_url",
		rules.UnknownProtocol: "unknown_protocol", rules.BadType: "bad_type",
	}
)

// counter adds tallies to the processor's own metrics. The options are built once, as they allocate.
type counter struct {
	telemetry *metadata.TelemetryBuilder
	encodings [rules.NumEncodings]metric.AddOption
	reasons   [rules.NumReasons]metric.AddOption
}

func newCounter(set component.TelemetrySettings) (*counter, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	c := &counter{telemetry: telemetry}
	for i, name := range encodingNames {
		c.encodings[i] = metric.WithAttributeSet(attribute.NewSet(attribute.String("encoding", name)))
	}
	for i, name := range reasonNames {
		c.reasons[i] = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", name)))
	}
	return c, nil
}

func (c *counter) shutdown() {
	c.telemetry.Shutdown()
}

func (c *counter) addSpans(ctx context.Context, t *tally) {
	c.add(ctx, c.telemetry.ProcessorEnvoySemconvNormalizedSpans, t)
}

func (c *counter) addLogRecords(ctx context.Context, t *tally) {
	c.add(ctx, c.telemetry.ProcessorEnvoySemconvNormalizedLogRecords, t)
}

func (c *counter) add(ctx context.Context, items metric.Int64Counter, t *tally) {
	for i, n := range t.items {
		if n > 0 {
			items.Add(ctx, n, c.encodings[i])
		}
	}
	for i, n := range t.unparsed {
		if n > 0 {
			c.telemetry.ProcessorEnvoySemconvUnparsedAttributes.Add(ctx, n, c.reasons[i])
		}
	}
	if t.conflicts > 0 {
		c.telemetry.ProcessorEnvoySemconvConflictingAttributes.Add(ctx, t.conflicts)
	}
}
