// SPDX-License-Identifier: Apache-2.0

package meshprivacyprocessor

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/internal/redact"
)

// place is where in the telemetry a value was.
type place uint8

const (
	inResource place = iota
	inScope
	inSpanName
	inSpanAttribute
	inStatusMessage
	inTraceState
	inEvent
	inLink
	inLogBody
	inLogAttribute
	inLogText
	inMetricAttribute
	inMetricText
	inExemplar
	placeCount
)

var placeWords = [placeCount]string{
	"resource", "scope", "span_name", "span_attribute", "status_message", "trace_state", "event", "link", "log_body",
	"log_attribute", "log_text", "metric_attribute", "metric_text", "exemplar",
}

// limit is a ceiling that a value hit.
type limit uint8

const (
	valueLength limit = iota
	depth
	limitCount
)

var limitWords = [limitCount]string{"value_length", "depth"}

// tally counts one batch, so that the metrics are touched once per batch and not once per value.
type tally struct {
	redacted [placeCount]redact.Tally
	limited  [placeCount][limitCount]int64
}

// counter adds tallies to the processor's own metrics. The options are built once, as they allocate.
type counter struct {
	telemetry *metadata.TelemetryBuilder
	redacted  [placeCount][redact.CategoryCount]metric.AddOption
	limited   [placeCount][limitCount]metric.AddOption
}

func newCounter(telemetry *metadata.TelemetryBuilder) *counter {
	c := &counter{telemetry: telemetry}
	for p, where := range placeWords {
		for category := redact.URLQuery; category < redact.CategoryCount; category++ {
			c.redacted[p][category] = metric.WithAttributeSet(attribute.NewSet(
				attribute.String("category", category.String()), attribute.String("place", where)))
		}
		for l, word := range limitWords {
			c.limited[p][l] = metric.WithAttributeSet(attribute.NewSet(
				attribute.String("place", where), attribute.String("limit", word)))
		}
	}
	return c
}

func (c *counter) add(ctx context.Context, t *tally) {
	for p := range t.redacted {
		for category, n := range t.redacted[p] {
			if n > 0 {
				c.telemetry.ProcessorMeshPrivacyRedactedValues.Add(ctx, n, c.redacted[p][category])
			}
		}
		for l, n := range t.limited[p] {
			if n > 0 {
				c.telemetry.ProcessorMeshPrivacyLimitedValues.Add(ctx, n, c.limited[p][l])
			}
		}
	}
}
