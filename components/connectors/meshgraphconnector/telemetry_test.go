// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
)

var ignoreTime = metricdatatest.IgnoreTimestamp()

// by are data points of one attribute.
func by(key string, values map[string]int64) (points []metricdata.DataPoint[int64]) {
	for value, n := range values {
		points = append(points, metricdata.DataPoint[int64]{Attributes: attribute.NewSet(attribute.String(key, value)), Value: n})
	}
	return points
}

func pointsBy(values map[string]int64) []metricdata.DataPoint[int64] { return by("outcome", values) }

// number is a metric of one point.
func number(n int64) []metricdata.DataPoint[int64] { return []metricdata.DataPoint[int64]{{Value: n}} }
