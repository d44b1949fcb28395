// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits of the metrics store (learn.microsoft.com: "Custom metrics in Azure Monitor", 2024-11-07). The names are limited to
// less by the ingestion, see [ai.MaxPropertyKeyLength].
const (
	// MaxDimensions is how many dimensions a metric has at most.
	MaxDimensions = 10
	// MaxDimensionLength is how many characters the value of a dimension has at most.
	MaxDimensionLength = 256
)

// StatusClass is a dimension that is concluded: the class of the status code of an HTTP call, "2xx" to "5xx"; "none" if no
// response was sent; "grpc_error" for a gRPC call with another status than OK, whatever its HTTP status.
const StatusClass = "status_class"

// allDimensions, in a list of dimensions, stands for all attributes of the point that the list does not name, by name.
const allDimensions = "*"

// MetricSettings is about metric points.
type MetricSettings struct {
	// Namespace is the namespace of the metrics in the portal: a text in which {scope.name} stands for the name of the
	// instrumentation scope, at most 256 characters. The default is none, so that a metric has one place in the portal
	// whichever receiver brought it.
	Namespace string `mapstructure:"namespace"`

	// UnitDimension is the dimension that tells the unit, if the metric has one other than 1 or an annotation in braces, and
	// has less than ten dimensions besides. The default is unit; empty leaves units out.
	UnitDimension string `mapstructure:"unit_dimension"`

	// Dimensions choose which attributes become dimensions. The first rule that fits the name of the metric holds; a metric
	// that none fits has no dimensions.
	Dimensions []DimensionRule `mapstructure:"dimensions"`

	// Percentiles choose which percentiles of delta histograms become metrics of their own. The first rule that fits holds.
	Percentiles []PercentileRule `mapstructure:"percentiles"`

	// MergePoints adds up the delta points of one metric, resource and time that are equal once attributes which are no
	// dimensions are left out. The default is true. Sums and counts stay exact, and each item is billed.
	MergePoints bool `mapstructure:"merge_points"`

	// SkipZeroDeltas sends no item for a sum that did not change. The default is false: an alert on "none at all" needs the
	// zero, and silence is something else.
	SkipZeroDeltas bool `mapstructure:"skip_zero_deltas"`

	// ExemplarTraceID adds the trace id of the exemplar with the greatest value as the dimension exemplar.trace_id. The
	// default is false: each id makes a series of its own, of which a subscription has 50 000 in a region.
	ExemplarTraceID bool `mapstructure:"exemplar_trace_id"`
}

// DimensionRule says what the dimensions of some metrics are.
type DimensionRule struct {
	// Metrics are names, in which * stands for any text.
	Metrics []string `mapstructure:"metrics"`

	// Keep are the attributes that become dimensions, of the point or else of the resource, the most important ones first:
	// the first ten that are there are taken. status_class is concluded, see [StatusClass]; * stands for all other
	// attributes of the point, by name.
	Keep []string `mapstructure:"keep"`
}

// PercentileRule says which percentiles some metrics get. Each is one item more for each histogram.
type PercentileRule struct {
	// Metrics are names, in which * stands for any text.
	Metrics []string `mapstructure:"metrics"`

	// Percentiles are above 0 and below 100. Each becomes the metric <name>.p<percentile>. None at all ends the search.
	Percentiles []float64 `mapstructure:"percentiles"`
}

var meshEnds = []string{
	"mesh.source.cluster", "mesh.source.region", "mesh.source.namespace", "mesh.source.service",
	"mesh.destination.cluster", "mesh.destination.region", "mesh.destination.namespace", "mesh.destination.service",
}

func DefaultMetricSettings() MetricSettings {
	ends := func(more ...string) []string { return append(slices.Clip(meshEnds), more...) }
	return MetricSettings{
		UnitDimension: "unit",
		Dimensions: []DimensionRule{
			// Both sides report each call, so that without the reporter it counts twice.
			{Metrics: []string{"istio_tcp_*", "istiocustom.istio_tcp_*"}, Keep: ends("reporter", "mesh.traffic.direction")},
			{Metrics: []string{"istio_*", "istiocustom.istio_*"}, Keep: ends("reporter", StatusClass)},
			{Metrics: []string{"envoy_cluster_*", "cluster.*"}, Keep: []string{
				"cloud.region", "cluster_name", "envoy.cluster.name", "mesh.destination.service", "mesh.destination.namespace",
				StatusClass, "mesh.source.zone", "mesh.destination.zone", "mesh.traffic.locality",
			}},
			// The graph's edges have more names than there is room for.
			{Metrics: []string{"mesh.edge.*"}, Keep: []string{
				"mesh.source.cluster", "mesh.source.region", "mesh.source.namespace", "mesh.source.workload",
				"mesh.destination.cluster", "mesh.destination.region", "mesh.destination.namespace", "mesh.destination.service",
				"mesh.response.class", "response_flags", "mesh.connection.state", "reporter", "mesh.destination.version",
			}},
			{Metrics: []string{"*"}, Keep: []string{"cloud.region", allDimensions}},
		},
		Percentiles: []PercentileRule{{Metrics: []string{"*duration*"}, Percentiles: []float64{50, 95, 99}}},
		MergePoints: true,
	}
}

func (s *MetricSettings) Validate() error {
	var errs []error
	if rest := strings.ReplaceAll(s.Namespace, scopePlaceholder, ""); strings.ContainsAny(rest, "{}") {
		errs = append(errs, fmt.Errorf("metrics::namespace: %q: the only placeholder is %s", s.Namespace, scopePlaceholder))
	}
	for i, rule := range s.Dimensions {
		errs = append(errs, validateNames(fmt.Sprintf("metrics::dimensions[%d]", i), rule.Metrics))
		for _, name := range rule.Keep {
			if name == "" {
				errs = append(errs, fmt.Errorf("metrics::dimensions[%d]::keep: an entry is empty: write the name of an attribute, %s, or %q", i, StatusClass, allDimensions))
			}
		}
	}
	for i, rule := range s.Percentiles {
		errs = append(errs, validateNames(fmt.Sprintf("metrics::percentiles[%d]", i), rule.Metrics))
		for _, p := range rule.Percentiles {
			if !(p > 0 && p < 100) {
				errs = append(errs, fmt.Errorf("metrics::percentiles[%d]::percentiles: %v: write a number above 0 and below 100, such as 95", i, p))
			}
		}
	}
	return errors.Join(errs...)
}

func validateNames(key string, patterns []string) error {
	if len(patterns) == 0 {
		return fmt.Errorf("%s::metrics: is empty: write names of metrics, or patterns with *", key)
	}
	if slices.Contains(patterns, "") {
		return fmt.Errorf("%s::metrics: an entry is empty: write the name of a metric, or a pattern with *", key)
	}
	return nil
}

const scopePlaceholder = "{scope.name}"

// metricRules is MetricSettings, ready for use.
type metricRules struct {
	MetricSettings
	percentiles []percentileRule
}

type percentileRule struct {
	metrics []string
	wanted  []percentile
}

// percentile is a quantile and what it adds to the name of the metric.
type percentile struct {
	quantile float64
	suffix   string
}

func newMetricRules(s *MetricSettings) *metricRules {
	rules := &metricRules{MetricSettings: *s}
	for _, r := range s.Percentiles {
		rule := percentileRule{metrics: r.Metrics}
		for _, p := range r.Percentiles {
			rule.wanted = append(rule.wanted, newPercentile(p/100))
		}
		rules.percentiles = append(rules.percentiles, rule)
	}
	return rules
}

// newPercentile names a quantile: 0.95 is .p95, and 0.999 is .p99.9.
func newPercentile(quantile float64) percentile {
	// Rounded, as 0.999*100 is 99.90000000000001.
	text := strconv.FormatFloat(quantile*100, 'f', 6, 64)
	return percentile{quantile, ".p" + strings.TrimSuffix(strings.TrimRight(text, "0"), ".")}
}

// keep returns the dimensions that a metric may have.
func (r *metricRules) keep(metric string) []string {
	for i := range r.Dimensions {
		if matchesAny(r.Dimensions[i].Metrics, metric) {
			return r.Dimensions[i].Keep
		}
	}
	return nil
}

// wanted returns the percentiles that a metric shall have.
func (r *metricRules) wanted(metric string) []percentile {
	for i := range r.percentiles {
		if matchesAny(r.percentiles[i].metrics, metric) {
			return r.percentiles[i].wanted
		}
	}
	return nil
}

// namespace returns the namespace of the metrics of a scope.
func (r *metricRules) namespace(scope string) string {
	if r.Namespace == "" {
		return ""
	}
	return strings.ReplaceAll(r.Namespace, scopePlaceholder, scope)
}

// unit returns the unit as a dimension has it, or nothing if it tells nothing: 1 is none, and braces hold what is counted.
func (r *metricRules) unit(unit string) string {
	if r.UnitDimension == "" || unit == "1" || strings.HasPrefix(unit, "{") {
		return ""
	}
	return unit
}
