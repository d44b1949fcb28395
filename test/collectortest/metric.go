// SPDX-License-Identifier: Apache-2.0

package collectortest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// metricsPort is where the shipped configurations show what the collector counts about itself.
const metricsPort = "8888"

// Sample is one line of the text format in which Prometheus reads metrics.
type Sample struct {
	// Name has the suffixes that tell unit and type, such as _total.
	Name string
	// Labels are as written, with their braces; empty if there are none.
	Labels string
	Value  float64
}

// ParseSample reads a line that is no comment: a name, labels in braces or none, and a value. Values of labels may contain
// spaces and braces. Lines with a time or an exemplar, which the collector does not write, are errors.
func ParseSample(line string) (Sample, error) {
	// A value has no brace, so the last one ends the labels.
	series, value, ok := strings.Cut(line, " ")
	if i := strings.LastIndexByte(line, '}'); i >= 0 {
		series, value, ok = line[:i+1], line[i+1:], true
	}
	name, _, _ := strings.Cut(series, "{")
	if !ok || name == "" {
		return Sample{}, fmt.Errorf("not a line of a metric: %q", line)
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil {
		return Sample{}, fmt.Errorf("not a line of a metric: %q: %w", line, err)
	}
	return Sample{Name: name, Labels: series[len(name):], Value: n}, nil
}

// Label returns the value of a label, empty if there is none.
func (s Sample) Label(name string) string {
	for rest := strings.TrimPrefix(s.Labels, "{"); ; {
		key, after, _ := strings.Cut(rest, "=")
		quoted, err := strconv.QuotedPrefix(after)
		if err != nil {
			return ""
		}
		if strings.Trim(key, ", ") == name {
			value, _ := strconv.Unquote(quoted) // QuotedPrefix has checked it
			return value
		}
		rest = after[len(quoted):]
	}
}

// Samples asks the collector at host what it counts about itself, and returns the lines whose name begins with name and that
// contain each of labels, such as `reason="expired"` or a part of it: name may lack the suffix that tells unit and type. The
// buckets of histograms are not among them. With an error come the lines that were read before.
func Samples(ctx context.Context, host, name string, labels ...string) (all []Sample, err error) {
	var broken error
	err = Get(ctx, host, metricsPort, "/metrics", func(line string) {
		if !strings.HasPrefix(line, name) || strings.HasPrefix(line, "#") {
			return
		}
		sample, err := ParseSample(line)
		if err != nil {
			broken = err
			return
		}
		if sample.chosen(name, labels) {
			all = append(all, sample)
		}
	})
	if err == nil {
		err = broken
	}
	return all, err
}

func (s Sample) chosen(name string, labels []string) bool {
	if !strings.HasPrefix(s.Name, name) || strings.HasSuffix(s.Name, "_bucket") {
		return false
	}
	for _, label := range labels {
		if !strings.Contains(s.Labels, label) {
			return false
		}
	}
	return true
}

// Metric is the sum of what [Samples] returns, and whether there is any.
func Metric(ctx context.Context, host, name string, labels ...string) (sum float64, found bool, err error) {
	all, err := Samples(ctx, host, name, labels...)
	for _, sample := range all {
		sum += sample.Value
	}
	return sum, len(all) > 0, err
}
