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
	names     [rules.NumNameSources]int64
	doubles   [numDoubles]int64
	forgotten int64
	bodies    [numBodies]int64
	badBodies [numBadBodies]int64
}

// The outcomes for a span that is not the preferred one.
const (
	clientDemoted = iota
	serverDemoted
	otherNotSeen
	podUnknown
	numDoubles
)

var (
	encodingNames = [rules.NumEncodings]string{
		rules.EncodingNone: "none", rules.EncodingLegacy: "legacy", rules.EncodingNew: "new", rules.EncodingBoth: "both",
	}
	// The first one is not counted: it has no name.
	sourceNames = [rules.NumNameSources]string{
		rules.NameFromRoute: "route", rules.NameFromTemplate: "template", rules.NameFromGRPC: "grpc",
		rules.NameKept: "kept", rules.NameFromRouteName: "route_name", rules.NameFromMethod: "method",
		rules.NameOverLimit: "over_limit",
	}
	doubleNames = [numDoubles]string{
		clientDemoted: "client_to_internal", serverDemoted: "server_to_internal", otherNotSeen: "other_not_seen",
		podUnknown: "pod_unknown",
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
	sources   [rules.NumNameSources]metric.AddOption
	doubles   [numDoubles]metric.AddOption
	bodies    [numBodies]metric.AddOption
	badBodies [numBadBodies]metric.AddOption
}

func newCounter(set component.TelemetrySettings) (*counter, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	c := &counter{telemetry: telemetry}
	fill(c.encodings[:], "encoding", encodingNames[:])
	fill(c.reasons[:], "reason", reasonNames[:])
	fill(c.sources[:], "source", sourceNames[:])
	fill(c.doubles[:], "outcome", doubleNames[:])
	fill(c.bodies[:], "format", bodyNames[:])
	fill(c.badBodies[:], "reason", badBodyNames[:])
	return c, nil
}

func fill(options []metric.AddOption, key string, values []string) {
	for i, value := range values {
		options[i] = metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))
	}
}

func (c *counter) shutdown() {
	c.telemetry.Shutdown()
}

func (c *counter) addSpans(ctx context.Context, t *tally) {
	c.add(ctx, c.telemetry.ProcessorEnvoySemconvNormalizedSpans, t)
	for i, n := range t.names {
		if n > 0 && rules.NameSource(i) != rules.NameUntouched {
			c.telemetry.ProcessorEnvoySemconvNamedSpans.Add(ctx, n, c.sources[i])
		}
	}
	for i, n := range t.doubles {
		if n > 0 {
			c.telemetry.ProcessorEnvoySemconvDoubleSpans.Add(ctx, n, c.doubles[i])
		}
	}
	if t.forgotten > 0 {
		c.telemetry.ProcessorEnvoySemconvForgottenSpans.Add(ctx, t.forgotten)
	}
}

func (c *counter) addLogRecords(ctx context.Context, t *tally) {
	c.add(ctx, c.telemetry.ProcessorEnvoySemconvNormalizedLogRecords, t)
	for i, n := range t.bodies {
		if n > 0 {
			c.telemetry.ProcessorEnvoySemconvParsedBodies.Add(ctx, n, c.bodies[i])
		}
	}
	for i, n := range t.badBodies {
		if n > 0 {
			c.telemetry.ProcessorEnvoySemconvUnparsedBodies.Add(ctx, n, c.badBodies[i])
		}
	}
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
