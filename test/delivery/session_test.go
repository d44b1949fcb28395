// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Signals, which the cases take by turns.
const (
	traces  = "traces"
	logs    = "logs"
	metrics = "metrics"
)

// spec says what one exporter is to do. It is handed to children as JSON.
type spec struct {
	Name     string         `json:"name"`
	Exporter string         `json:"exporter"`
	Signal   string         `json:"signal"`
	Config   map[string]any `json:"config"`
	// Storage is the folder of the queue, Token the file with the token that the authenticator shows, Names the address of
	// the name server. Empty means none.
	Storage string `json:"storage,omitempty"`
	Token   string `json:"token,omitempty"`
	Names   string `json:"names,omitempty"`
	// Items is how many items to send, numbered from 0, in Requests requests.
	Items    int `json:"items"`
	Requests int `json:"requests"`
	// Gate is a file that must exist before all but the first request is handed over. Empty means none.
	Gate string `json:"gate,omitempty"`
	// Odd is what is wrong with the item number oddItem: see [odd].
	Odd odd `json:"odd,omitempty"`
}

// session is one running exporter with all that a collector gives it.
type session struct {
	spec      spec
	telemetry *componenttest.Telemetry
	extension []component.Component
	exporter  component.Component
	consume   func(ctx context.Context, from, to int) error
}

type extensions map[component.ID]component.Component

func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

func startSession(ctx context.Context, s spec) (*session, error) {
	factory, ok := factories()[s.Exporter]
	if !ok {
		return nil, fmt.Errorf("no exporter %q", s.Exporter)
	}
	if s.Names != "" {
		resolveBy(s.Names)
	}
	run := &session{spec: s, telemetry: componenttest.NewTelemetry()}
	host, err := run.startExtensions(ctx)
	if err != nil {
		return nil, errors.Join(err, run.stop(ctx))
	}
	cfg := factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(s.Config).Unmarshal(cfg); err != nil {
		return nil, errors.Join(err, run.stop(ctx))
	}
	if err := confmap.Validate(cfg); err != nil {
		return nil, errors.Join(err, run.stop(ctx))
	}
	settings := exportertest.NewNopSettings(factory.Type())
	settings.ID = component.NewIDWithName(factory.Type(), strings.Map(wordOnly, s.Name))
	settings.TelemetrySettings = run.telemetry.NewTelemetrySettings()
	if err := run.create(ctx, factory, settings, cfg); err != nil {
		return nil, errors.Join(err, run.stop(ctx))
	}
	if err := run.exporter.Start(ctx, host); err != nil {
		return nil, errors.Join(err, run.stop(ctx))
	}
	return run, nil
}

func wordOnly(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return r
	}
	return '_'
}

func (s *session) create(ctx context.Context, factory exporter.Factory, settings exporter.Settings, cfg component.Config) error {
	switch s.spec.Signal {
	case traces:
		e, err := factory.CreateTraces(ctx, settings, cfg)
		if err != nil {
			return err
		}
		s.exporter = e
		s.consume = func(ctx context.Context, from, to int) error {
			return e.ConsumeTraces(ctx, spans(from, to, s.spec.Odd))
		}
	case logs:
		e, err := factory.CreateLogs(ctx, settings, cfg)
		if err != nil {
			return err
		}
		s.exporter = e
		s.consume = func(ctx context.Context, from, to int) error {
			return e.ConsumeLogs(ctx, records(from, to, s.spec.Odd))
		}
	default:
		e, err := factory.CreateMetrics(ctx, settings, cfg)
		if err != nil {
			return err
		}
		s.exporter = e
		s.consume = func(ctx context.Context, from, to int) error {
			return e.ConsumeMetrics(ctx, points(from, to, s.spec.Odd))
		}
	}
	return nil
}

func (s *session) startExtensions(ctx context.Context) (component.Host, error) {
	host := extensions{}
	if s.spec.Storage != "" {
		factory := filestorage.NewFactory()
		cfg := factory.CreateDefaultConfig()
		if err := confmap.NewFromStringMap(map[string]any{"directory": s.spec.Storage}).Unmarshal(cfg); err != nil {
			return nil, err
		}
		storage, err := factory.Create(ctx, extensiontest.NewNopSettings(factory.Type()), cfg)
		if err != nil {
			return nil, err
		}
		if err := storage.Start(ctx, componenttest.NewNopHost()); err != nil {
			return nil, err
		}
		s.extension = append(s.extension, storage)
		host[component.NewID(factory.Type())] = storage
	}
	if s.spec.Token != "" {
		host[component.MustNewID("token")] = tokenFile{file: s.spec.Token}
	}
	return host, nil
}

// send hands over the items; what the exporter refuses is handed over again, as a receiver's client would, until ctx ends.
func (s *session) send(ctx context.Context) error {
	per := (s.spec.Items + s.spec.Requests - 1) / s.spec.Requests
	for from := 0; from < s.spec.Items; from += per {
		if err := eventually(ctx, func() error { return s.consume(ctx, from, min(from+per, s.spec.Items)) }); err != nil {
			return fmt.Errorf("handing over items from %d on: %w", from, err)
		}
		if s.spec.Gate != "" {
			if err := eventually(ctx, func() error { _, err := os.Stat(s.spec.Gate); return err }); err != nil {
				return fmt.Errorf("waiting to go on: %w", err)
			}
		}
	}
	return nil
}

// stop shuts the exporter down and then what it uses. The counters may still be read.
func (s *session) stop(ctx context.Context) error {
	var errs []error
	if s.exporter != nil {
		errs = append(errs, s.exporter.Shutdown(ctx))
	}
	for _, e := range s.extension {
		errs = append(errs, e.Shutdown(ctx))
	}
	s.exporter, s.extension = nil, nil
	return errors.Join(errs...)
}

// counters reads the sums of the exporter's own counters, over all attributes but a reason or status, which follows the
// name in braces.
func (s *session) counters(ctx context.Context) (map[string]int64, error) {
	var all metricdata.ResourceMetrics
	if err := s.telemetry.Reader.Collect(ctx, &all); err != nil {
		return nil, err
	}
	found := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok {
				continue
			}
			name := strings.TrimPrefix(strings.TrimPrefix(m.Name, "otelcol_exporter_"), "application_insights_")
			for _, point := range sum.DataPoints {
				found[name] += point.Value
				for _, key := range []string{"reason", "status"} {
					if value, ok := point.Attributes.Value(attributeKey(key)); ok {
						found[name+"{"+value.String()+"}"] += point.Value
					}
				}
			}
		}
	}
	return found, nil
}

// eventually calls do until it succeeds, or returns its last error when ctx ends.
func eventually(ctx context.Context, do func() error) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}

// errNotYet is what [until] ends with when nothing else is known.
var errNotYet = errors.New("it did not come to pass")

// until returns nil as soon as done returns true, and an error when ctx ends first.
func until(ctx context.Context, done func() bool) error {
	return eventually(ctx, func() error {
		if done() {
			return nil
		}
		return errNotYet
	})
}

// tokenFile is an authenticator that shows the token that the file holds, or none if the file is empty. That is what an
// identity looks like whose role comes later.
type tokenFile struct {
	component.StartFunc
	component.ShutdownFunc
	file string
}

func (a tokenFile) RoundTripper(base http.RoundTripper) (http.RoundTripper, error) {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		token, err := os.ReadFile(a.file)
		if err != nil {
			return nil, err
		}
		if len(token) > 0 {
			r = r.Clone(r.Context())
			r.Header.Set("Authorization", "Bearer "+string(token))
		}
		return base.RoundTrip(r)
	}), nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
