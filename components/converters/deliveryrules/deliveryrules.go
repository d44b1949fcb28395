// SPDX-License-Identifier: Apache-2.0

// Package deliveryrules is a configuration converter that changes nothing: it refuses configurations that look as if they
// lost nothing, and do. It also warns of exporters whose link is open to whoever is on the way. It sees the whole effective
// configuration, after all files are merged and variables replaced, at the start of a collector and in its `validate`
// command. The entry point is [NewFactory].
//
// What it refuses was measured on upstream's collector: an exporter with a queue on disk and a limit to its retries drops
// what its consumers hold each time the limit passes, in any longer outage; and a batch or a sampling processor before such
// a queue holds in memory what was acknowledged.
package deliveryrules

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
)

// Section is the top-level key of the settings of this converter, which it takes out of the configuration:
//
//	delivery_rules:
//	  allow_loss: [otlp_grpc/second_copy, traces/debugging]
//
// The exporters and pipelines in allow_loss are not checked.
const Section = "delivery_rules"

const allowKey = "allow_loss"

// NewFactory returns the factory of the converter, for the `converters` of an ocb manifest.
func NewFactory() confmap.ConverterFactory {
	return confmap.NewConverterFactory(func(set confmap.ConverterSettings) confmap.Converter {
		logger := set.Logger
		if logger == nil {
			logger = zap.NewNop()
		}
		return converter{logger}
	})
}

type converter struct{ logger *zap.Logger }

// Convert takes the converter's own section out of the configuration and returns an error that names every key that
// breaks a rule, and what to write instead. What it cannot judge, it leaves to the components.
func (c converter) Convert(_ context.Context, conf *confmap.Conf) error {
	whole := conf.ToStringMap()
	allowed, err := allowList(whole)
	if err != nil {
		return err
	}
	conf.Delete(Section)
	g := newGraph(whole)
	for _, id := range allowed {
		if !g.knows(id) {
			return fmt.Errorf("%s::%s: %q is neither an exporter nor a pipeline of this configuration: remove it", Section, allowKey, id)
		}
	}
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(g.persistent)) {
		if slices.Contains(allowed, id) {
			continue
		}
		refusal, warning := retryRule(id, g.persistent[id])
		if refusal != "" {
			errs = append(errs, errors.New(refusal))
		}
		if warning != "" {
			c.logger.Warn(warning, zap.String("exporter", id))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(g.used)) {
		if !slices.Contains(allowed, id) {
			errs = append(errs, g.balancingRule(id)...)
		}
	}
	open := g.openLinks()
	for _, id := range slices.Sorted(maps.Keys(open)) {
		for _, warning := range open[id] {
			c.logger.Warn(warning, zap.String("exporter", id))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.pipelines)) {
		if !slices.Contains(allowed, name) {
			errs = append(errs, g.holdRule(name, allowed)...)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("this configuration would lose data that it acknowledged. To accept that, name the exporter or pipeline in %s::%s.\n%w",
		Section, allowKey, errors.Join(errs...))
}

// allowList reads the converter's own section.
func allowList(whole map[string]any) ([]string, error) {
	section, ok := whole[Section]
	if !ok || section == nil {
		return nil, nil
	}
	settings, ok := section.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: write a section with the key %s", Section, allowKey)
	}
	var ids []string
	for key, value := range settings {
		list, ok := value.([]any)
		if key != allowKey || !ok && value != nil {
			return nil, fmt.Errorf("%s::%s is not known: write %s, a list of exporters and pipelines", Section, key, allowKey)
		}
		for _, id := range list {
			text, ok := id.(string)
			if !ok {
				return nil, fmt.Errorf("%s::%s: %v is not the name of an exporter or a pipeline", Section, allowKey, id)
			}
			ids = append(ids, text)
		}
	}
	return ids, nil
}

// What a type of exporter does when its configuration says nothing of retries. Of types that are not here nothing is known.
const (
	finite    = iota + 1 // gives up after 5 minutes
	disabled             // does not try again
	unlimited            // never gives up
	none                 // has no retries to configure
)

var retryDefaults = map[string]int{
	"otlp": finite, "otlp_grpc": finite, "otlphttp": finite, "otlp_http": finite,
	"loadbalancing": disabled, "load_balancing": disabled,
	"application_insights": unlimited,
	"azuremonitor":         none, "azure_monitor": none, "prometheus": none,
}

// retryRule judges the retries of an exporter that has a queue on disk.
func retryRule(id string, exporter map[string]any) (refusal, warning string) {
	kind, _, _ := strings.Cut(id, "/")
	byDefault := retryDefaults[kind]
	key := "exporters::" + id + "::retry_on_failure"
	retry, _ := exporter["retry_on_failure"].(map[string]any)
	if enabled, ok := retry["enabled"].(bool); ok && !enabled {
		return key + "::enabled: false with sending_queue::storage deletes from the disk whatever is refused once: write true, and max_elapsed_time: 0", ""
	}
	limit, set := retry["max_elapsed_time"]
	if set {
		if d, ok := duration(limit); ok && d > 0 {
			return fmt.Sprintf("%s::max_elapsed_time: %v with sending_queue::storage deletes from the disk what could not be sent for that long: write 0", key, limit), ""
		}
		// Zero, or something that the exporter itself complains about.
		return "", ""
	}
	switch byDefault {
	case finite:
		return key + "::max_elapsed_time is not set, which means 5m, with sending_queue::storage: what cannot be sent for that long is deleted from the disk. Write 0", ""
	case disabled:
		if enabled, _ := retry["enabled"].(bool); enabled {
			// With nothing but that it retries without a limit.
			return "", ""
		}
		return key + " is not set, which means no retries, with sending_queue::storage: what cannot be sent at once is deleted from the disk. Write {enabled: true, initial_interval: 1s, max_interval: 30s, max_elapsed_time: 0}", ""
	case none:
		return "", "This exporter has no retries of its own: its queue on disk keeps data up to it, and not what it gives up"
	case unlimited:
		return "", ""
	default:
		return "", "This exporter has a queue on disk and no retry_on_failure::max_elapsed_time: if it has that key, write 0, or an outage of more than its default deletes data from the disk"
	}
}

// duration reads a duration as a configuration may have it: a text with a unit, or a number of nanoseconds.
func duration(value any) (time.Duration, bool) {
	switch v := value.(type) {
	case string:
		if v == "0" {
			return 0, true
		}
		d, err := time.ParseDuration(v)
		return d, err == nil
	case int:
		return time.Duration(v), true
	case int64:
		return time.Duration(v), true
	case float64:
		return time.Duration(v), true
	default:
		return 0, false
	}
}
