// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"context"

	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/mapping"
)

var _ mapping.Observer = (*counters)(nil)

// TextsTrimmed counts texts that were cut.
func (c *counters) TextsTrimmed(n int) {
	c.telemetry.ExporterApplicationInsightsTextsTrimmed.Add(context.Background(), int64(n), c.whole)
}

// AttributesDropped counts attributes that became no property.
func (c *counters) AttributesDropped(n int) {
	c.telemetry.ExporterApplicationInsightsAttributesDropped.Add(context.Background(), int64(n), c.whole)
}

// EventsDropped counts events of spans over the limit.
func (c *counters) EventsDropped(n int) {
	c.telemetry.ExporterApplicationInsightsEventsDropped.Add(context.Background(), int64(n), c.place)
}

// DimensionsDropped counts attributes of points that became no dimension.
func (c *counters) DimensionsDropped(n int) {
	c.telemetry.ExporterApplicationInsightsDimensionsDropped.Add(context.Background(), int64(n), c.place)
}

// PointsCumulative counts points that the service adds up wrongly, and says so once.
func (c *counters) PointsCumulative(n int) {
	c.telemetry.ExporterApplicationInsightsPointsCumulative.Add(context.Background(), int64(n), c.place)
	c.cumulative.Do(func() {
		c.logger.Warn("Metric points are cumulative, but Application Insights adds up what it gets; put cumulativetodelta into the pipeline",
			zap.String("destination", c.destination))
	})
}

// PointsEmpty counts points that say nothing.
func (c *counters) PointsEmpty(n int) {
	c.telemetry.ExporterApplicationInsightsPointsEmpty.Add(context.Background(), int64(n), c.place)
}

// PointsMerged counts points that were added to another one.
func (c *counters) PointsMerged(n int) {
	c.telemetry.ExporterApplicationInsightsPointsMerged.Add(context.Background(), int64(n), c.place)
}

// PointsStale counts points without a recorded value.
func (c *counters) PointsStale(n int) {
	c.telemetry.ExporterApplicationInsightsPointsStale.Add(context.Background(), int64(n), c.place)
}

// PointsNotFinite counts points that are NaN or infinite.
func (c *counters) PointsNotFinite(n int) {
	c.telemetry.ExporterApplicationInsightsPointsNotFinite.Add(context.Background(), int64(n), c.place)
}
