// SPDX-License-Identifier: Apache-2.0

package events

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

// The gauges of what lasts.
const (
	metricFailover = "mesh.failover.active"
	metricShift    = "mesh.shift.active"
)

// Active appends the gauges of the shifts that last at the time: for each a point of 1. Their attributes are those of the
// events that name it; share, callers and evidence change while it lasts, so they are in the events alone. Without shifts
// nothing is appended: a gauge ends with its last point.
func Active(metrics pmetric.MetricSlice, active []failover.Event, at time.Time) {
	appendActive(metrics, active, at, failover.Failover, metricFailover,
		"Failovers that last: calls that go elsewhere because the place that answered them failed. 1 for each.")
	appendActive(metrics, active, at, failover.Unexpected, metricShift,
		"Shifts that last and that nothing explains. 1 for each.")
}

func appendActive(metrics pmetric.MetricSlice, active []failover.Event, at time.Time, kind failover.Kind, name, description string) {
	var points pmetric.NumberDataPointSlice
	begun := false
	for i := range active {
		e := &active[i]
		if e.Kind != kind {
			continue
		}
		if !begun {
			m := metrics.AppendEmpty()
			m.SetName(name)
			m.SetUnit("{" + unitOf(kind) + "}")
			m.SetDescription(description)
			points, begun = m.SetEmptyGauge().DataPoints(), true
		}
		p := points.AppendEmpty()
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(e.Start))
		p.SetTimestamp(pcommon.NewTimestampFromTime(at))
		p.SetIntValue(1)
		p.Attributes().EnsureCapacity(9)
		place(p.Attributes(), e)
		p.Attributes().Remove(attributeKind)
		// Each shift would begin a series of its own.
		p.Attributes().Remove(attributeID)
	}
}

func unitOf(kind failover.Kind) string {
	if kind == failover.Failover {
		return "failover"
	}
	return "shift"
}

// Count is how many of the shifts are of a kind.
func Count(active []failover.Event, kind failover.Kind) int64 {
	var n int64
	for i := range active {
		if active[i].Kind == kind {
			n++
		}
	}
	return n
}
