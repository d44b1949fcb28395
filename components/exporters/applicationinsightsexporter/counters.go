// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"context"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/delivery"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/metadata"
)

// kindNames are the values of the attribute kind.
var kindNames = [...]string{
	items.KindUnknown:      "unknown",
	items.KindRequest:      "request",
	items.KindDependency:   "dependency",
	items.KindMessage:      "message",
	items.KindException:    "exception",
	items.KindEvent:        "event",
	items.KindMetric:       "metric",
	items.KindAvailability: "availability",
}

// counters are the metrics of one signal at one destination. It is the observer of the sender and of the mapping.
type counters struct {
	telemetry   *metadata.TelemetryBuilder
	logger      *zap.Logger
	destination string
	signal      string
	// pauses says what of the pauses of the destination goes into the log.
	pauses *pauseLog
	// cumulative is done when the log has said that points are cumulative.
	cumulative sync.Once

	// Sets of attributes that need no more are made once.
	whole, place metric.MeasurementOption
	kinds        [len(kindNames)]metric.MeasurementOption
}

func newCounters(telemetry *metadata.TelemetryBuilder, logger *zap.Logger, d *destination, signal string) *counters {
	c := &counters{telemetry: telemetry, logger: logger, destination: d.name, signal: signal, pauses: &d.pauses}
	c.whole = c.with()
	c.place = metric.WithAttributeSet(attribute.NewSet(attribute.String("destination", d.name)))
	for kind, name := range kindNames {
		c.kinds[kind] = c.with(attribute.String("kind", name))
	}
	return c
}

func (c *counters) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more,
		attribute.String("destination", c.destination), attribute.String("signal", c.signal))...))
}

func (c *counters) at(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more, attribute.String("destination", c.destination))...))
}

func reason(r string) attribute.KeyValue { return attribute.String("reason", r) }

func (c *counters) received(ctx context.Context, n int) {
	c.telemetry.ExporterApplicationInsightsItemsReceived.Add(ctx, int64(n), c.whole)
}

func (c *counters) deadLettered(ctx context.Context, why string, n int) {
	c.telemetry.ExporterApplicationInsightsItemsDeadLettered.Add(ctx, int64(n), c.with(reason(why)))
}

func (c *counters) lost(ctx context.Context, why string, n int) {
	c.telemetry.ExporterApplicationInsightsItemsLost.Add(ctx, int64(n), c.with(reason(why)))
}

func (c *counters) unreadableBatch(ctx context.Context) {
	c.telemetry.ExporterApplicationInsightsUnreadableBatches.Add(ctx, 1, c.whole)
}

var _ delivery.Observer = (*counters)(nil)

// Request counts one request.
func (c *counters) Request(status int, took time.Duration, bytes int) {
	ctx := context.Background()
	text := "none"
	if status != 0 {
		text = strconv.Itoa(status)
	}
	option := c.at(attribute.String("status", text))
	c.telemetry.ExporterApplicationInsightsRequests.Add(ctx, 1, option)
	c.telemetry.ExporterApplicationInsightsRequestDuration.Record(ctx, took.Seconds(), option)
	c.telemetry.ExporterApplicationInsightsBytesSent.Add(ctx, int64(bytes), c.place)
}

// Accepted counts items that the endpoint took.
func (c *counters) Accepted(kind items.Kind, count int) {
	option := c.kinds[items.KindUnknown]
	if int(kind) < len(c.kinds) {
		option = c.kinds[kind]
	}
	c.telemetry.ExporterApplicationInsightsItemsAccepted.Add(context.Background(), int64(count), option)
}

// SampledOut counts items that ingestion sampling dropped.
func (c *counters) SampledOut(count int) {
	c.telemetry.ExporterApplicationInsightsItemsSampledOut.Add(context.Background(), int64(count), c.whole)
}

// Uncertain counts items whose fate nobody told.
func (c *counters) Uncertain(count int) {
	c.telemetry.ExporterApplicationInsightsItemsUncertain.Add(context.Background(), int64(count), c.whole)
}

// Retried counts items that an attempt left.
func (c *counters) Retried(cause delivery.Cause, count int) {
	c.telemetry.ExporterApplicationInsightsItemsRetried.Add(context.Background(), int64(count), c.with(reason(string(cause))))
}

// Blocked counts a pause, and says why.
func (c *counters) Blocked(failure *delivery.Failure, delay time.Duration) {
	c.telemetry.ExporterApplicationInsightsDestinationBlocks.Add(context.Background(), 1, c.at(reason(string(failure.Cause))))
	if !c.pauses.begin(failure, time.Now()) {
		return
	}
	c.logger.Warn("Nothing is sent to Application Insights for a while; items wait in the queue", zap.String("destination", c.destination),
		zap.String("reason", string(failure.Cause)), zap.Stringer("for", delay.Round(time.Millisecond)), zap.Error(failure))
}

// Opened says that a pause is over, if it was told of.
func (c *counters) Opened(blocked time.Duration) {
	if c.pauses.end() {
		c.logger.Info("Items go to Application Insights again", zap.String("destination", c.destination),
			zap.Stringer("after", blocked.Round(time.Millisecond)))
	}
}

// ClockSkew says that the clocks differ.
func (c *counters) ClockSkew(skew time.Duration) {
	c.logger.Warn("The clock of the endpoint is ahead of this machine's by this much; the service takes items of the last 48 hours only",
		zap.String("destination", c.destination), zap.Duration("skew", skew))
}

// reloads observes a connection string file.
type reloads struct {
	telemetry   *metadata.TelemetryBuilder
	logger      *zap.Logger
	destination string
	// scope is what the destination's tokens are for; empty if there are none or nobody knows.
	scope string
}

var _ connection.Observer = (*reloads)(nil)

func (r *reloads) count(outcome string) {
	r.telemetry.ExporterApplicationInsightsConnectionReloads.Add(context.Background(), 1, metric.WithAttributeSet(
		attribute.NewSet(attribute.String("destination", r.destination), attribute.String("outcome", outcome))))
}

// ConnectionReloaded counts a new connection string.
func (r *reloads) ConnectionReloaded(_, now *connection.Info) {
	r.count("used")
	r.logger.Info("The connection string was read again", zap.String("destination", r.destination), zap.String("endpoint", now.Endpoint()))
	for _, note := range now.Notes() {
		r.logger.Warn("About the connection string: "+note, zap.String("destination", r.destination))
	}
	r.warnOfAudience(now)
}

// warnOfAudience says that the tokens are not those that the endpoint takes. Only its 401 could tell otherwise.
func (r *reloads) warnOfAudience(now *connection.Info) {
	if r.scope == "" {
		return
	}
	if note := now.Mismatch(r.scope); note != "" {
		r.logger.Warn("About the tokens: "+note, zap.String("destination", r.destination))
	}
}

// ConnectionKept counts one that cannot be used.
func (r *reloads) ConnectionKept(current *connection.Info, err error) {
	r.count("kept")
	r.logger.Error("The connection string file cannot be used; the connection string before stays in use",
		zap.String("destination", r.destination), zap.String("endpoint", current.Endpoint()), zap.Error(err))
}

// letterCounter observes the dead letters.
type letterCounter struct{ telemetry *metadata.TelemetryBuilder }

// LettersWritten is counted by who wrote them, who knows the signal too.
func (letterCounter) LettersWritten(string, string, int) {}

// LettersEvicted counts letters that made room.
func (l letterCounter) LettersEvicted(count int, _ int64) {
	l.telemetry.ExporterApplicationInsightsDeadLettersEvicted.Add(context.Background(), int64(count))
}

// LettersStored measures the directory.
func (l letterCounter) LettersStored(files int, bytes int64) {
	l.telemetry.ExporterApplicationInsightsDeadLetterFiles.Record(context.Background(), int64(files))
	l.telemetry.ExporterApplicationInsightsDeadLetterBytes.Record(context.Background(), bytes)
}
