// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/mapping"
)

// Config is what users write under application_insights.
type Config struct {
	// ClientConfig are the settings of the HTTP client: timeout (of one request, 30s by default), tls, proxy_url, auth and
	// the others. endpoint and compression are not taken: the endpoint stands in the connection string, and bodies are
	// compressed with gzip always.
	ClientConfig confighttp.ClientConfig `mapstructure:",squash"`

	// ConnectionString is that of the Application Insights resource, as the Azure portal shows it. Either this or
	// ConnectionStringFile; neither only if every item has a route.
	ConnectionString configopaque.String `mapstructure:"connection_string"`
	// ConnectionStringFile is the path of a file with nothing but the connection string. A change is noticed while running.
	ConnectionStringFile string `mapstructure:"connection_string_file"`
	// ConnectionStringInterval is the time between two looks at the files of connection strings: 50ms to 1h, by default 10s.
	ConnectionStringInterval time.Duration `mapstructure:"connection_string_interval"`
	// AllowPlainHTTP lets the ingestion endpoint be an http:// URL on another host than this one. False by default.
	AllowPlainHTTP bool `mapstructure:"allow_plain_http"`

	// QueueConfig is the sending queue, which always is there. With storage, items survive the end of the process.
	QueueConfig configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	// RetryConfig says how long to wait between two attempts. max_elapsed_time is 0, which is without end, by default.
	RetryConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// Pauses are the waits that the endpoint's answers call for.
	Pauses PausesConfig `mapstructure:"pauses"`
	// ShutdownTimeout is how long requests may take after the collector was told to stop, per signal: 100ms to 1h, by
	// default 5s.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`

	// MaxBodyBytes is the size of one request body before compression, 65536 to 67108864 (64 MiB), by default 2097152 (2 MiB).
	MaxBodyBytes int `mapstructure:"max_body_bytes"`
	// MaxBodyItems is the number of items in one request, 1 to 64000, by default 10000.
	MaxBodyItems int `mapstructure:"max_body_items"`
	// CompressionLevel is the level of gzip, 1 (fastest, the default) to 9 (smallest).
	CompressionLevel int `mapstructure:"compression_level"`

	// Mapping says how telemetry becomes items.
	Mapping mapping.Settings `mapstructure:"mapping"`
	// Routes send resources to Application Insights resources of their own; the first that matches takes it. At most 100.
	Routes []RouteConfig `mapstructure:"routes"`
	// Unrouted says what becomes of resources that no route takes if there is no connection string beside the routes:
	// "refuse" or "dead_letter". It must be set then.
	Unrouted string `mapstructure:"unrouted"`
	// DeadLetter says where items go that can never be delivered.
	DeadLetter deadletter.Settings `mapstructure:"dead_letter"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// PausesConfig are waits that the endpoint's answers call for. Each must be positive.
type PausesConfig struct {
	// Quota is the wait after 402 and 439, the daily cap, if the endpoint names none. By default 5m.
	Quota time.Duration `mapstructure:"quota"`
	// Hold is the wait after what somebody has to mend, as an unknown instrumentation key. It ends when the connection
	// string changes. By default 5m.
	Hold time.Duration `mapstructure:"hold"`
	// MaxRetryAfter is the longest pause that the endpoint can ask for; a small request then asks again. By default 1h.
	MaxRetryAfter time.Duration `mapstructure:"max_retry_after"`
}

// RouteConfig is one route: resources that match go to an Application Insights resource of their own.
type RouteConfig struct {
	// Name is the route's name in metrics, dead letters and names of stored queues: lower case letters, digits, '-' and
	// '_', at most 40. The names default and unrouted are taken.
	Name string `mapstructure:"name"`
	// Match are resource attributes with the value, or the list of values, of which each must have one. At least one.
	Match map[string][]string `mapstructure:"match"`
	// ConnectionString and ConnectionStringFile are as those of the exporter. One of them is needed.
	ConnectionString     configopaque.String `mapstructure:"connection_string"`
	ConnectionStringFile string              `mapstructure:"connection_string_file"`
	// Auth replaces the authenticator of the exporter for this route.
	Auth configoptional.Optional[configauth.Config] `mapstructure:"auth"`
}

// The values of Config.Unrouted.
const (
	unroutedRefuse     = "refuse"
	unroutedDeadLetter = "dead_letter"
)

const (
	mebibyte         = 1 << 20
	defaultQueue     = 256 * mebibyte
	defaultBatch     = mebibyte
	defaultConsumers = 8
)

func createDefaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = 30 * time.Second
	return &Config{
		ClientConfig:             client,
		ConnectionStringInterval: 10 * time.Second,
		QueueConfig: configoptional.Some(exporterhelper.QueueBatchConfig{
			Sizer:        exporterhelper.RequestSizerTypeBytes,
			QueueSize:    defaultQueue,
			NumConsumers: defaultConsumers,
			Batch: configoptional.Some(exporterhelper.BatchConfig{
				FlushTimeout: time.Second,
				Sizer:        exporterhelper.RequestSizerTypeBytes,
				MinSize:      defaultBatch,
				MaxSize:      2 * defaultBatch,
			}),
		}),
		RetryConfig: configretry.BackOffConfig{
			Enabled:             true,
			InitialInterval:     time.Second,
			RandomizationFactor: 0.5,
			Multiplier:          1.5,
			MaxInterval:         30 * time.Second,
			MaxElapsedTime:      0,
		},
		Pauses:           PausesConfig{Quota: 5 * time.Minute, Hold: 5 * time.Minute, MaxRetryAfter: time.Hour},
		ShutdownTimeout:  5 * time.Second,
		MaxBodyBytes:     2 * mebibyte,
		MaxBodyItems:     10_000,
		CompressionLevel: 1,
		Mapping:          mapping.DefaultSettings(),
		DeadLetter:       deadletter.DefaultSettings(),
	}
}

// persistent says whether the queue is on disk.
func (c *Config) persistent() bool {
	return c.QueueConfig.HasValue() && c.QueueConfig.Get().StorageID != nil
}

// hasDefault says whether there is a destination for what no route takes.
func (c *Config) hasDefault() bool {
	return c.ConnectionString != "" || c.ConnectionStringFile != ""
}

// Validate reports what is wrong with the settings, all of it at once. Parts that have a method of this name, as mapping and
// dead_letter, are validated by the collector.
func (c *Config) Validate() error {
	errs := []error{
		c.validateClient(), c.validateQueue(), c.validateRetry(), c.validateLimits(),
		validateConnection("", c.ConnectionString, c.ConnectionStringFile, c.AllowPlainHTTP, len(c.Routes) == 0),
	}
	return errors.Join(append(errs, c.validateRoutes()...)...)
}

func prefix(key string, err error) error {
	if err == nil {
		return nil
	}
	// Errors that were joined are one each.
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, e := range joined.Unwrap() {
			errs = append(errs, prefix(key, e))
		}
		return errors.Join(errs...)
	}
	return fmt.Errorf("%s%w", key, err)
}
