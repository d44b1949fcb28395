// SPDX-License-Identifier: Apache-2.0

package exponentialhistogramprocessor

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/processors/exponentialhistogramprocessor/internal/convert"
	"github.com/otelcol-mesh/otelcol-mesh/processors/exponentialhistogramprocessor/internal/metadata"
)

// reason is why a point stays as it is.
type reason int

// The reasons, in the order of their names.
const (
	converted reason = iota
	notDelta
	noBounds
	badBounds
	badCounts
	reasons
)

var names = [reasons]string{notDelta: "not_delta", noBounds: "no_bounds", badBounds: "bounds", badCounts: "counts"}

type exponentialHistogram struct {
	config    *Config
	telemetry *metadata.TelemetryBuilder
	kept      [reasons]metric.MeasurementOption
}

func newExponentialHistogram(set processor.Settings, config *Config) (*exponentialHistogram, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	p := &exponentialHistogram{config: config, telemetry: telemetry}
	for r, name := range names {
		p.kept[r] = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", name)))
	}
	return p, nil
}

func (p *exponentialHistogram) shutdown(context.Context) error {
	p.telemetry.Shutdown()
	return nil
}

func (p *exponentialHistogram) processMetrics(ctx context.Context, md pmetric.Metrics) (pmetric.Metrics, error) {
	var counts [reasons]int64
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			// What stays of a metric is added behind it, and not looked at again.
			for i := range sm.Metrics().Len() {
				if m := sm.Metrics().At(i); m.Type() == pmetric.MetricTypeHistogram {
					p.convert(m, sm.Metrics(), &counts)
				}
			}
		}
	}
	for r, n := range counts {
		switch {
		case n == 0:
		case reason(r) == converted:
			p.telemetry.ProcessorExponentialHistogramConvertedPoints.Add(ctx, n)
		default:
			p.telemetry.ProcessorExponentialHistogramKeptPoints.Add(ctx, n, p.kept[r])
		}
	}
	return md, nil
}

// convert turns a metric into an exponential histogram. A metric has one type, so points that cannot be converted move
// to another one of the same name.
func (p *exponentialHistogram) convert(m pmetric.Metric, all pmetric.MetricSlice, counts *[reasons]int64) {
	from := m.Histogram()
	if from.AggregationTemporality() != pmetric.AggregationTemporalityDelta {
		counts[notDelta] += int64(from.DataPoints().Len())
		return
	}
	results := make([]convert.Exponential, from.DataPoints().Len())
	why := make([]reason, len(results))
	good := 0
	for i, point := range from.DataPoints().All() {
		results[i], why[i] = p.point(point)
		counts[why[i]]++
		if why[i] == converted {
			good++
		}
	}
	if good == 0 {
		return
	}
	points := pmetric.NewHistogramDataPointSlice()
	from.DataPoints().MoveAndAppendTo(points)
	if good < len(results) {
		rest := all.AppendEmpty()
		rest.SetName(m.Name())
		rest.SetDescription(m.Description())
		rest.SetUnit(m.Unit())
		m.Metadata().CopyTo(rest.Metadata())
		histogram := rest.SetEmptyHistogram()
		histogram.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		for i, point := range points.All() {
			if why[i] != converted {
				point.MoveTo(histogram.DataPoints().AppendEmpty())
			}
		}
	}
	to := m.SetEmptyExponentialHistogram()
	to.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	to.DataPoints().EnsureCapacity(good)
	for i, point := range points.All() {
		if why[i] == converted {
			write(point, &results[i], to.DataPoints().AppendEmpty())
		}
	}
}

// point converts one point, or says why not.
func (p *exponentialHistogram) point(from pmetric.HistogramDataPoint) (convert.Exponential, reason) {
	in := convert.Explicit{
		Bounds: from.ExplicitBounds().AsRaw(), Counts: from.BucketCounts().AsRaw(),
		Min: from.Min(), Max: from.Max(), HasMin: from.HasMin(), HasMax: from.HasMax(),
	}
	var sum uint64
	for _, n := range in.Counts {
		sum += n
	}
	switch {
	case from.Count() == 0 && sum == 0:
		// Nothing was measured, or it says so: no bounds are needed for that.
		return convert.Exponential{Scale: int32(p.config.MaxScale)}, converted
	case len(in.Counts) > 0 && sum != from.Count():
		return convert.Exponential{}, badCounts
	}
	out, err := convert.Convert(in, p.config.MaxSize, int32(p.config.MaxScale))
	switch {
	case err == nil:
		return out, converted
	case errors.Is(err, convert.ErrNoBounds):
		return out, noBounds
	case errors.Is(err, convert.ErrBounds):
		return out, badBounds
	}
	return out, badCounts
}

// write moves a point. Its totals stay what they are, to the bit.
func write(from pmetric.HistogramDataPoint, result *convert.Exponential, to pmetric.ExponentialHistogramDataPoint) {
	from.Attributes().MoveTo(to.Attributes())
	from.Exemplars().MoveAndAppendTo(to.Exemplars())
	to.SetStartTimestamp(from.StartTimestamp())
	to.SetTimestamp(from.Timestamp())
	to.SetFlags(from.Flags())
	to.SetCount(from.Count())
	if from.HasSum() {
		to.SetSum(from.Sum())
	}
	if from.HasMin() {
		to.SetMin(from.Min())
	}
	if from.HasMax() {
		to.SetMax(from.Max())
	}
	to.SetScale(result.Scale)
	to.SetZeroThreshold(result.ZeroThreshold)
	to.SetZeroCount(result.ZeroCount)
	side(&result.Positive, to.Positive())
	side(&result.Negative, to.Negative())
}

func side(from *convert.Side, to pmetric.ExponentialHistogramDataPointBuckets) {
	if len(from.Counts) > 0 {
		to.SetOffset(from.Offset)
		to.BucketCounts().FromRaw(from.Counts)
	}
}
