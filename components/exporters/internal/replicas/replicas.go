// SPDX-License-Identifier: Apache-2.0

// Package replicas is what exporters share that give data to the replicas of the hub: how these are found, and how they are spoken
// to. Both have the form of the load_balancing exporter's settings, so that one YAML anchor serves all of them.
package replicas

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube/endpoints"
)

// Protocol is how replicas are spoken to.
type Protocol struct {
	// OTLP is the configuration of upstream's otlp_grpc exporter, without an endpoint, a queue and retries.
	OTLP otlpexporter.Config `mapstructure:"otlp"`
}

// Resolver says where the replicas are: exactly one of its fields.
type Resolver struct {
	K8s    configoptional.Optional[K8s]    `mapstructure:"k8s"`
	Static configoptional.Optional[Static] `mapstructure:"static"`
}

// K8s takes the endpoints of a Service from the API server.
type K8s struct {
	// Service is <name>.<namespace>.
	Service string `mapstructure:"service"`
	// Ports has one element: the port of every replica.
	Ports []int32 `mapstructure:"ports"`
}

// Static is a fixed list.
type Static struct {
	// Hostnames are host:port.
	Hostnames []string `mapstructure:"hostnames"`
}

// DefaultProtocol has no queue and no retries: whoever sends keeps what was not taken.
func DefaultProtocol() Protocol {
	otlp := otlpexporter.NewFactory().CreateDefaultConfig().(*otlpexporter.Config)
	otlp.QueueConfig = configoptional.None[exporterhelper.QueueBatchConfig]()
	otlp.RetryConfig.Enabled = false
	otlp.TimeoutConfig.Timeout = 10 * time.Second
	otlp.ClientConfig.Endpoint = "placeholder:4317"
	return Protocol{OTLP: *otlp}
}

// Check says what is wrong with the settings, key by key.
func (p *Protocol) Check() error {
	var errs []error
	if p.OTLP.QueueConfig.HasValue() {
		errs = append(errs, errors.New("protocol::otlp::sending_queue: write enabled: false; what waits for a replica that leaves would be lost"))
	}
	if p.OTLP.RetryConfig.Enabled {
		errs = append(errs, errors.New("protocol::otlp::retry_on_failure::enabled: write false; whoever sends tries again"))
	}
	return errors.Join(errs...)
}

// Settings are what upstream's exporter to one replica is made of. What it would log and count at each attempt, once for each
// replica, is told by the exporter that it belongs to.
func (p *Protocol) Settings(set exporter.Settings, endpoint string) (exporter.Factory, exporter.Settings, component.Config) {
	factory := otlpexporter.NewFactory()
	config := p.OTLP
	config.ClientConfig.Endpoint = endpoint
	set.ID = component.NewIDWithName(factory.Type(), set.ID.Name())
	set.Logger = zap.NewNop()
	set.MeterProvider, set.TracerProvider = metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider()
	return factory, set, &config
}

// Begin starts an exporter, and ends what it had begun if that fails.
func Begin[E component.Component](ctx context.Context, own E, host component.Host) (E, error) {
	if err := own.Start(ctx, host); err != nil {
		var none E
		return none, errors.Join(err, own.Shutdown(context.WithoutCancel(ctx)))
	}
	return own, nil
}

// Check says what is wrong with the settings, key by key.
func (r *Resolver) Check() error {
	var errs []error
	if r.K8s.HasValue() == r.Static.HasValue() {
		errs = append(errs, errors.New("resolver: write exactly one of k8s and static"))
	}
	if r.K8s.HasValue() {
		errs = append(errs, r.K8s.Get().check())
	}
	if r.Static.HasValue() {
		errs = append(errs, r.Static.Get().check())
	}
	return errors.Join(errs...)
}

func (k *K8s) check() error {
	name, namespace, ok := strings.Cut(k.Service, ".")
	if !ok || name == "" || namespace == "" || strings.Contains(namespace, ".") {
		return fmt.Errorf("resolver::k8s::service: %q: write <name>.<namespace>", k.Service)
	}
	if len(k.Ports) != 1 || k.Ports[0] < 1 || k.Ports[0] > 65535 {
		return fmt.Errorf("resolver::k8s::ports: %v: write one port", k.Ports)
	}
	return nil
}

func (s *Static) check() error {
	if len(s.Hostnames) == 0 {
		return errors.New("resolver::static::hostnames: write at least one host:port")
	}
	for _, name := range s.Hostnames {
		if _, _, err := net.SplitHostPort(name); err != nil {
			return fmt.Errorf("resolver::static::hostnames: %q: write host:port", name)
		}
	}
	return nil
}

// Source tells which replicas there are, by address, and whether each is ready, at the start and at each change; from one
// goroutine. Stop waits until it is silent.
type Source interface {
	Start(told func(map[string]bool)) error
	Stop()
}

// Source returns the one that the settings ask for, which must be good.
func (r *Resolver) Source() Source {
	if r.K8s.HasValue() {
		k := r.K8s.Get()
		name, namespace, _ := strings.Cut(k.Service, ".")
		return endpoints.New(namespace, name, k.Ports[0])
	}
	return fixed(r.Static.Get().Hostnames)
}

// fixed is a list that does not change.
type fixed []string

func (f fixed) Start(told func(map[string]bool)) error {
	found := map[string]bool{}
	for _, endpoint := range f {
		found[endpoint] = true
	}
	told(found)
	return nil
}

func (fixed) Stop() {}
