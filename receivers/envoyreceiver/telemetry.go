// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/metadata"
)

// signal is a value of the attribute `signal`.
type signal string

const (
	signalLogs    signal = "logs"
	signalMetrics signal = "metrics"
	signalUnknown signal = "unknown"
)

// reason is a value of the attribute `reason`. The README lists them.
type reason string

// Reasons for turning a stream away.
const (
	reasonMaxStreams   reason = "max_streams"
	reasonNotServed    reason = "not_served"
	reasonShuttingDown reason = "shutting_down"
)

// Reasons for rejecting a message, which ends its stream.
const (
	reasonNoIdentifier   reason = "no_identifier"
	reasonIdentity       reason = "bad_identifier"
	reasonTimeout        reason = "identify_timeout"
	reasonMessageTooLong reason = "message_size"
	reasonMalformed      reason = "malformed"
	reasonEntries        reason = "max_entries_per_message"
	reasonObjects        reason = "max_objects_per_message"
	reasonDepth          reason = "nesting"
	reasonIdentities     reason = "max_identities_per_stream"
	reasonNodes          reason = "max_nodes"
)

// Reasons for dropping records, and for a message that was read and not looked at.
const (
	reasonPermanent    reason = "permanent_error"
	reasonDisconnected reason = "sender_disconnected"
	reasonShutdown     reason = "shutdown_timeout"
	reasonStreamEnded  reason = "stream_ended"
)

// telemetry is the receiver's own metrics.
type telemetry struct {
	builder *metadata.TelemetryBuilder
}

func newTelemetry(set component.TelemetrySettings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	return &telemetry{builder: builder}, nil
}

func (t *telemetry) shutdown() {
	t.builder.Shutdown()
}

func attributes(s signal, r reason) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(
		attribute.String("signal", string(s)), attribute.String("reason", string(r)),
	))
}

func bySignal(s signal) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("signal", string(s))))
}

func (t *telemetry) streamsActive(s signal, n int64) {
	t.builder.ReceiverEnvoyStreamsActive.Add(context.Background(), n, bySignal(s))
}

func (t *telemetry) streamRejected(s signal, r reason) {
	t.builder.ReceiverEnvoyStreamsRejected.Add(context.Background(), 1, attributes(s, r))
}

func (t *telemetry) messageRejected(s signal, r reason) {
	t.builder.ReceiverEnvoyMessagesRejected.Add(context.Background(), 1, attributes(s, r))
}

func (t *telemetry) recordsDropped(s signal, r reason, n int) {
	t.builder.ReceiverEnvoyRecordsDropped.Add(context.Background(), int64(n), attributes(s, r))
}

func (t *telemetry) retried(s signal) {
	t.builder.ReceiverEnvoyConsumerRetries.Add(context.Background(), 1, bySignal(s))
}

func (t *telemetry) identityChanged(s signal) {
	t.builder.ReceiverEnvoyIdentityChanges.Add(context.Background(), 1, bySignal(s))
}

func (t *telemetry) seriesTracked(change int64) {
	if change != 0 {
		t.builder.ReceiverEnvoySeriesTracked.Add(context.Background(), change)
	}
}

// tally reports what a conversion cut and skipped.
func (t *telemetry) tally(s signal, tally attr.Tally) {
	ctx := context.Background()
	if tally.Truncated > 0 {
		t.builder.ReceiverEnvoyValuesTruncated.Add(ctx, tally.Truncated, bySignal(s))
	}
	for why, n := range tally.Skipped {
		t.builder.ReceiverEnvoyValuesSkipped.Add(ctx, n, attributes(s, reason(why)))
	}
	if tally.Resets > 0 {
		t.builder.ReceiverEnvoySeriesResets.Add(ctx, tally.Resets)
	}
}
