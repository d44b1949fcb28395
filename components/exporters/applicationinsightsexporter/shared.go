// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/delivery"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/metadata"
)

// Names of destinations that are no routes.
const (
	destinationDefault  = "default"
	destinationUnrouted = "unrouted"
)

// destination is one Application Insights resource. target and source are nil before the start.
type destination struct {
	name   string
	route  *RouteConfig // nil for the exporter's own connection string
	source *connection.Source
	target *delivery.Destination
	// pauses is what the log was told of.
	pauses pauseLog
}

// letterStore keeps dead letters. It is a [*deadletter.Store].
type letterStore interface {
	Write(ctx context.Context, letters []deadletter.Letter) error
	Close() error
}

// shared is what the signals of one exporter have in common: it is made with the first and ends with the last of them.
type shared struct {
	cfg       *Config
	set       exporter.Settings
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	now       func() time.Time

	// destinations are one for each route, in their order, and then the default if there is one.
	destinations []*destination
	// letters is nil if no dead letters are kept.
	letters letterStore

	// startMu guards what is opened and closed once. A scrape of the metrics must not wait for it: opening makes metrics and
	// closing ends some, and both wait for a scrape.
	startMu  sync.Mutex
	started  bool
	startErr error
	clients  []*http.Client

	// mu guards what the metrics are made of, and is held for no call to the outside.
	mu      sync.Mutex
	outlets []*outlet
	// stopBy is when requests under way have had their time, once a signal was told to stop.
	stopBy time.Time
}

// leastGrace is what the requests of each signal get at least, if the signals before it used up the time.
const leastGrace = time.Second

// grace returns how long requests under way may take when a signal stops. The collector stops the signals one after the
// other. With the queue on disk they share the time, because an orchestrator's patience ends after half a minute, and
// what is not done then is done after the next start. What is in memory is done now or never.
func (s *shared) grace() time.Duration {
	timeout := s.cfg.ShutdownTimeout
	if !s.cfg.persistent() {
		return timeout
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.stopBy.IsZero() {
		s.stopBy = now.Add(timeout)
	}
	return max(min(leastGrace, timeout), s.stopBy.Sub(now))
}

func newShared(cfg *Config, set exporter.Settings) (*shared, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	s := &shared{cfg: cfg, set: set, logger: set.Logger, telemetry: telemetry, now: time.Now}
	for i := range cfg.Routes {
		s.destinations = append(s.destinations, &destination{name: cfg.Routes[i].Name, route: &cfg.Routes[i]})
	}
	if cfg.hasDefault() || len(cfg.Routes) == 0 {
		s.destinations = append(s.destinations, &destination{name: destinationDefault})
	}
	return s, errors.Join(
		telemetry.RegisterExporterApplicationInsightsOldestItemAgeCallback(s.observeAge),
		telemetry.RegisterExporterApplicationInsightsDestinationBlockedCallback(s.observeBlocked),
		telemetry.RegisterExporterApplicationInsightsClockSkewCallback(s.observeSkew),
	)
}

// start opens what the signals share, once.
func (s *shared) start(ctx context.Context, host component.Host) error {
	s.startMu.Lock()
	defer s.startMu.Unlock()
	if !s.started {
		s.started = true
		s.startErr = s.open(ctx, host)
	}
	return s.startErr
}

func (s *shared) open(ctx context.Context, host component.Host) error {
	if s.cfg.DeadLetter.Enabled() {
		letters, err := deadletter.Open(s.cfg.DeadLetter, letterCounter{s.telemetry})
		if err != nil {
			return prefix("dead_letter::", err)
		}
		s.letters = letters
	}
	var errs []error
	for _, d := range s.destinations {
		if err := s.connect(ctx, host, d); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, s.closeLocked())
	}
	return nil
}

// connect makes what is needed to send to a destination.
func (s *shared) connect(ctx context.Context, host component.Host, d *destination) error {
	cfg, client, key := s.cfg, s.cfg.ClientConfig, ""
	settings := connection.Settings{Text: string(cfg.ConnectionString), File: cfg.ConnectionStringFile}
	if d.route != nil {
		key = fmt.Sprintf("routes (%s): ", d.name)
		settings.Text, settings.File = string(d.route.ConnectionString), d.route.ConnectionStringFile
		if d.route.Auth.HasValue() {
			client.Auth = configoptional.Some(*d.route.Auth.Get())
		}
	}
	settings.Interval = cfg.ConnectionStringInterval
	settings.Options = connection.Options{AllowPlainHTTP: cfg.AllowPlainHTTP}
	watcher := &reloads{telemetry: s.telemetry, logger: s.logger, destination: d.name, scope: scopeOf(client.Auth, host)}
	settings.Observer = watcher
	source, err := connection.New(settings)
	if err != nil {
		where := "connection_string"
		if settings.File != "" {
			where = "connection_string_file"
		}
		return fmt.Errorf("%s%s: %w", key, where, err)
	}
	httpClient, err := client.ToClient(ctx, host.GetExtensions(), s.set.TelemetrySettings)
	if err != nil {
		return fmt.Errorf("%sthe HTTP client cannot be made: %w", key, err)
	}
	s.clients = append(s.clients, httpClient)
	target, err := delivery.NewDestination(delivery.Settings{
		Name: d.name, Client: httpClient, Connection: source, Authenticated: client.Auth.HasValue(),
		UserAgent: s.set.BuildInfo.Command + "/" + s.set.BuildInfo.Version,
		MaxItems:  cfg.MaxBodyItems, MaxBodyBytes: cfg.MaxBodyBytes, CompressionLevel: cfg.CompressionLevel,
		Timeout: client.Timeout, MaxRetryAfter: cfg.Pauses.MaxRetryAfter, QuotaDelay: cfg.Pauses.Quota, HoldDelay: cfg.Pauses.Hold,
		MinBackoff: cfg.RetryConfig.InitialInterval, MaxBackoff: max(cfg.RetryConfig.InitialInterval, cfg.RetryConfig.MaxInterval),
	})
	if err != nil {
		return fmt.Errorf("%s%w", key, err)
	}
	for _, note := range source.Current().Notes() {
		s.logger.Warn("About the connection string: "+note, zap.String("destination", d.name))
	}
	watcher.warnOfAudience(source.Current())
	s.logger.Info("Items go to Application Insights", zap.String("destination", d.name), zap.String("endpoint", source.Current().Endpoint()))
	s.mu.Lock()
	d.source, d.target = source, target
	s.mu.Unlock()
	source.Start()
	return nil
}

// scopeOf is what the tokens of an authenticator are for; empty if there is none, or it does not tell, as those of others.
func scopeOf(auth configoptional.Optional[configauth.Config], host component.Host) string {
	if !auth.HasValue() {
		return ""
	}
	if scoped, ok := host.GetExtensions()[auth.Get().AuthenticatorID].(interface{ Scope() string }); ok {
		return scoped.Scope()
	}
	return ""
}

// close ends what the signals share, after the last of them.
func (s *shared) close() error {
	// It waits for a scrape, and a scrape for mu.
	s.telemetry.Shutdown()
	s.startMu.Lock()
	defer s.startMu.Unlock()
	return s.closeLocked()
}

func (s *shared) closeLocked() error {
	for _, d := range s.destinations {
		if d.source != nil {
			d.source.Shutdown()
		}
	}
	for _, client := range s.clients {
		client.CloseIdleConnections()
	}
	s.clients = nil
	if s.letters == nil {
		return nil
	}
	letters := s.letters
	s.letters = nil
	return letters.Close()
}

// watch lets the metrics see an outlet.
func (s *shared) watch(o *outlet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outlets = append(s.outlets, o)
}

func (s *shared) observeAge(_ context.Context, observer metric.Float64Observer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, o := range s.outlets {
		age := 0.0
		if oldest := o.pending.oldest(); !oldest.IsZero() {
			age = max(0, now.Sub(oldest).Seconds())
		}
		observer.Observe(age, o.counters.whole)
	}
	return nil
}

func (s *shared) observeBlocked(_ context.Context, observer metric.Int64Observer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.destinations {
		if d.target == nil {
			continue
		}
		if cause, _, _ := d.target.Blocked(); cause != "" {
			observer.Observe(1, d.attributes(reason(string(cause))))
		}
	}
	return nil
}

func (s *shared) observeSkew(_ context.Context, observer metric.Float64Observer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.destinations {
		if d.target == nil {
			continue
		}
		if skew, known := d.target.ClockSkew(); known {
			observer.Observe(skew.Seconds(), d.attributes())
		}
	}
	return nil
}

func (d *destination) attributes(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more, attribute.String("destination", d.name))...))
}
