// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

const (
	maxRoutes      = 100
	maxRouteValues = 1000
	// minBatchBytes leaves room for one item of any size that the service takes beside what it takes in memory.
	minBatchBytes = 128 << 10
	maxBatchBytes = 64 * mebibyte
	maxBatchItems = 64_000
	// maxConsumers bounds the memory: each has a batch under way.
	maxConsumers = 256
	// leastDuration is less than any wait in earnest: a number without a unit is nanoseconds.
	leastDuration = time.Millisecond
)

// routeName is what names files on every system and labels metrics without quoting.
var routeName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

func (c *Config) validateClient() error {
	var errs []error
	if c.ClientConfig.Endpoint != "" {
		errs = append(errs, errors.New("endpoint: is not taken; write the endpoint as IngestionEndpoint into connection_string"))
	}
	if c.ClientConfig.Compression.IsCompressed() {
		errs = append(errs, errors.New("compression: is not taken, bodies are compressed with gzip always; see compression_level"))
	}
	switch timeout := c.ClientConfig.Timeout; {
	case timeout <= 0:
		errs = append(errs, fmt.Errorf("timeout: %s would wait without end for an endpoint that hangs; write a duration such as 30s", timeout))
	case timeout < leastDuration:
		errs = append(errs, fmt.Errorf("timeout: %s is too short for any answer; write a duration with its unit, such as 30s", timeout))
	}
	return errors.Join(errs...)
}

func (c *Config) validateQueue() error {
	if !c.QueueConfig.HasValue() {
		return errors.New("sending_queue: cannot be switched off; leave enabled away, and set storage to keep the queue on disk")
	}
	q := c.QueueConfig.Get()
	var errs []error
	if q.WaitForResult {
		errs = append(errs, errors.New("sending_queue::wait_for_result: true would answer senders as late as the endpoint answers; write false, and set storage so that nothing is lost"))
	}
	if !q.Batch.HasValue() {
		errs = append(errs, errors.New("sending_queue::batch: cannot be switched off; a request for each batch of a sender costs more than it saves"))
		return errors.Join(errs...)
	}
	if q.NumConsumers < 1 || q.NumConsumers > maxConsumers {
		errs = append(errs, fmt.Errorf("sending_queue::num_consumers: %d is not from 1 to %d", q.NumConsumers, maxConsumers))
	}
	b := q.Batch.Get()
	if len(b.Partition.MetadataKeys) > 0 {
		errs = append(errs, errors.New("sending_queue::batch::partition::metadata_keys: is not taken; use routes, which also hold on disk"))
	}
	low, high, unit := int64(1), int64(maxBatchItems), "items"
	if b.Sizer == exporterhelper.RequestSizerTypeBytes {
		low, high, unit = minBatchBytes, maxBatchBytes, "bytes"
	}
	if b.MaxSize < low || b.MaxSize > high {
		errs = append(errs, fmt.Errorf("sending_queue::batch::max_size: %d %s is not from %d to %d", b.MaxSize, unit, low, high))
	}
	if q.Sizer == b.Sizer && q.QueueSize < b.MaxSize {
		errs = append(errs, fmt.Errorf("sending_queue::queue_size: %d is less than sending_queue::batch::max_size; write %d or more",
			q.QueueSize, b.MaxSize))
	}
	return errors.Join(errs...)
}

func (c *Config) validateRetry() error {
	r := &c.RetryConfig
	if r.InitialInterval < leastDuration || r.MaxInterval < r.InitialInterval {
		return fmt.Errorf("retry_on_failure: initial_interval %s and max_interval %s are no pair; write a duration with its unit, 1ms at least, and one that is not shorter",
			r.InitialInterval, r.MaxInterval)
	}
	if r.Multiplier < 1 {
		return fmt.Errorf("retry_on_failure::multiplier: %v would make each wait shorter than the one before; write 1.5", r.Multiplier)
	}
	if !c.persistent() {
		return nil
	}
	switch {
	case !r.Enabled:
		return errors.New("retry_on_failure::enabled: false with sending_queue::storage would delete what could not be sent at once; write true")
	case r.MaxElapsedTime != 0:
		return fmt.Errorf("retry_on_failure::max_elapsed_time: %s with sending_queue::storage would delete, in an outage longer than that, what the disk was to keep; write 0",
			r.MaxElapsedTime)
	}
	return nil
}

func (c *Config) validateLimits() error {
	var errs []error
	check := func(key string, value, low, high int) {
		if value < low || value > high {
			errs = append(errs, fmt.Errorf("%s: %d is not from %d to %d", key, value, low, high))
		}
	}
	check("max_body_bytes", c.MaxBodyBytes, appinsights.MaxItemBytes, maxBatchBytes)
	check("max_body_items", c.MaxBodyItems, 1, appinsights.MaxItemsPerRequest)
	check("compression_level", c.CompressionLevel, 1, 9)
	duration := func(key string, value, low, high time.Duration) {
		if value < low || value > high {
			errs = append(errs, fmt.Errorf("%s: %s is not from %s to %s", key, value, low, high))
		}
	}
	duration("connection_string_interval", c.ConnectionStringInterval, 50*time.Millisecond, time.Hour)
	duration("shutdown_timeout", c.ShutdownTimeout, 100*time.Millisecond, time.Hour)
	duration("pauses::quota", c.Pauses.Quota, time.Millisecond, 24*time.Hour)
	duration("pauses::hold", c.Pauses.Hold, time.Millisecond, 24*time.Hour)
	duration("pauses::max_retry_after", c.Pauses.MaxRetryAfter, time.Millisecond, 48*time.Hour)
	return errors.Join(errs...)
}

// validateConnection checks where the connection string of the exporter or of a route is. Whether a file can be read is
// for the start to see: it may be there on the machine that runs the collector only.
func validateConnection(key string, text configopaque.String, file string, plain, needed bool) error {
	switch {
	case text != "" && file != "":
		return fmt.Errorf("%sconnection_string and %sconnection_string_file: both are set; write one of them", key, key)
	case text == "" && file == "" && needed:
		return fmt.Errorf("%sconnection_string: is missing or empty; write InstrumentationKey=...;IngestionEndpoint=https://..., as the Azure portal shows it on the resource's overview, or connection_string_file; an environment variable that is not set is empty",
			key)
	case text == "":
		return nil
	}
	if _, err := connection.Parse(string(text), connection.Options{AllowPlainHTTP: plain}); err != nil {
		return fmt.Errorf("%sconnection_string: %w", key, err)
	}
	return nil
}

func (c *Config) validateRoutes() []error {
	var errs []error
	if len(c.Routes) > maxRoutes {
		errs = append(errs, fmt.Errorf("routes: %d are more than %d", len(c.Routes), maxRoutes))
	}
	names := map[string]bool{}
	for i := range c.Routes {
		r := &c.Routes[i]
		key := fmt.Sprintf("routes::%d::", i)
		switch {
		case r.Name == destinationDefault || r.Name == destinationUnrouted:
			errs = append(errs, fmt.Errorf("%sname: %q has a meaning of its own; write another", key, r.Name))
		case !routeName.MatchString(r.Name):
			errs = append(errs, fmt.Errorf("%sname: %q is no name; write up to 40 of a-z, 0-9, '-' and '_'", key, r.Name))
		case names[r.Name]:
			errs = append(errs, fmt.Errorf("%sname: %q is there twice; a route has a queue of its own under its name, so write another", key, r.Name))
		}
		names[r.Name] = true
		errs = append(errs, r.validateMatch(key), validateConnection(key, r.ConnectionString, r.ConnectionStringFile, c.AllowPlainHTTP, true))
	}
	return append(errs, c.validateUnrouted())
}

func (r *RouteConfig) validateMatch(key string) error {
	if len(r.Match) == 0 {
		return fmt.Errorf("%smatch: is empty; write at least one resource attribute and its value, as k8s.namespace.name: shop", key)
	}
	count := 0
	for attribute, values := range r.Match {
		if attribute == "" {
			return fmt.Errorf("%smatch: an attribute has no name", key)
		}
		if len(values) == 0 {
			return fmt.Errorf("%smatch::%s: has no value; write one, or a list", key, attribute)
		}
		count += len(values)
	}
	if count > maxRouteValues {
		return fmt.Errorf("%smatch: has %d values, more than %d", key, count, maxRouteValues)
	}
	return nil
}

func (c *Config) validateUnrouted() error {
	switch c.Unrouted {
	case "":
		if len(c.Routes) > 0 && !c.hasDefault() {
			return errors.New("unrouted: must be set, because there is no connection_string beside the routes; write refuse or dead_letter, or write connection_string")
		}
	case unroutedRefuse, unroutedDeadLetter:
		if len(c.Routes) == 0 {
			return errors.New("unrouted: has no meaning without routes; leave it away")
		}
		if c.hasDefault() {
			return errors.New("unrouted: has no meaning beside connection_string, which takes what no route takes; leave one of them away")
		}
		if c.Unrouted == unroutedDeadLetter && !c.DeadLetter.Enabled() {
			return errors.New("unrouted: dead_letter needs dead_letter::directory; write a directory there, or unrouted: refuse")
		}
	default:
		return fmt.Errorf("unrouted: %q is neither refuse nor dead_letter", c.Unrouted)
	}
	return nil
}

// Unmarshal reads a route; a value of match may stand alone instead of in a list, and be a number or a boolean.
func (r *RouteConfig) Unmarshal(conf *confmap.Conf) error {
	values := conf.ToStringMap()
	match, ok := values["match"].(map[string]any)
	changed := false
	for attribute, value := range match {
		list, different, err := texts(value)
		if err != nil {
			return fmt.Errorf("match::%s: %w", attribute, err)
		}
		match[attribute] = list
		changed = changed || different
	}
	if ok && changed {
		// This comes back here, with nothing to change.
		return confmap.NewFromStringMap(values).Unmarshal(r)
	}
	return conf.Unmarshal(r)
}

// texts returns values of match as a list of texts, and whether that is different from what they were.
func texts(value any) (list []any, different bool, err error) {
	all, listed := value.([]any)
	if !listed {
		all = []any{value}
	}
	for _, one := range all {
		switch v := one.(type) {
		case string:
			list = append(list, v)
		case bool, int, int64, float64:
			list = append(list, fmt.Sprint(v))
			different = true
		default:
			return nil, false, fmt.Errorf("%v is no value; write a text, or a list of texts", v)
		}
	}
	return list, different || !listed, nil
}
