// SPDX-License-Identifier: Apache-2.0

// Package points counts the data points of a metric, whatever type it has.
package points

import "go.opentelemetry.io/collector/pdata/pmetric"

// Of is how many data points a metric has; 0 for one without a type.
func Of(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	default:
		return 0
	}
}
