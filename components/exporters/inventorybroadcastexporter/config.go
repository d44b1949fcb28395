// SPDX-License-Identifier: Apache-2.0

package inventorybroadcastexporter

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
)

// Config is the configuration of the exporter. Protocol and Resolver have the form of the load_balancing exporter's, so that
// one YAML anchor serves both.
type Config struct {
	// TimeoutConfig is how long a sender waits for all replicas before it is told to send again.
	TimeoutConfig exporterhelper.TimeoutConfig `mapstructure:",squash"`
	Protocol      Protocol                     `mapstructure:"protocol"`
	Resolver      Resolver                     `mapstructure:"resolver"`
	// GiveUpAfter is how long a replica that does not answer, or is slower than what comes, holds up what all replicas have to get. It
	// gets what it missed when it answers. 1s to 1h.
	GiveUpAfter time.Duration `mapstructure:"give_up_after"`
	// MaxHeldMiB bounds what is kept for replicas that come later, of all clusters together, in MiB; above it the oldest goes of the
	// cluster that has most. 1 to 4096.
	MaxHeldMiB int `mapstructure:"max_held_mib"`
}

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

func createDefaultConfig() component.Config {
	otlp := otlpexporter.NewFactory().CreateDefaultConfig().(*otlpexporter.Config)
	otlp.QueueConfig = configoptional.None[exporterhelper.QueueBatchConfig]()
	otlp.RetryConfig.Enabled = false
	otlp.TimeoutConfig.Timeout = 10 * time.Second
	otlp.ClientConfig.Endpoint = "placeholder:4317"
	return &Config{
		TimeoutConfig: exporterhelper.TimeoutConfig{Timeout: 30 * time.Second},
		Protocol:      Protocol{OTLP: *otlp},
		GiveUpAfter:   30 * time.Second,
		MaxHeldMiB:    256,
	}
}

// Validate says what is wrong with the configuration, key by key.
func (c *Config) Validate() error {
	var errs []error
	if c.Resolver.K8s.HasValue() == c.Resolver.Static.HasValue() {
		errs = append(errs, errors.New("resolver: write exactly one of k8s and static"))
	}
	if c.Resolver.K8s.HasValue() {
		errs = append(errs, c.Resolver.K8s.Get().validate())
	}
	if c.Resolver.Static.HasValue() {
		errs = append(errs, c.Resolver.Static.Get().validate())
	}
	if c.Protocol.OTLP.QueueConfig.HasValue() {
		errs = append(errs, errors.New("protocol::otlp::sending_queue: write enabled: false; the exporter keeps what a replica has not got"))
	}
	if c.Protocol.OTLP.RetryConfig.Enabled {
		errs = append(errs, errors.New("protocol::otlp::retry_on_failure::enabled: write false; the exporter tries again by itself"))
	}
	if c.TimeoutConfig.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: %s: write a duration above 0", c.TimeoutConfig.Timeout))
	}
	if c.GiveUpAfter < time.Second || c.GiveUpAfter > time.Hour {
		errs = append(errs, fmt.Errorf("give_up_after: %s: write 1s to 1h", c.GiveUpAfter))
	}
	if c.MaxHeldMiB < 1 || c.MaxHeldMiB > 4096 {
		errs = append(errs, fmt.Errorf("max_held_mib: %d: write 1 to 4096", c.MaxHeldMiB))
	}
	return errors.Join(errs...)
}

func (k *K8s) validate() error {
	name, namespace, ok := strings.Cut(k.Service, ".")
	if !ok || name == "" || namespace == "" || strings.Contains(namespace, ".") {
		return fmt.Errorf("resolver::k8s::service: %q: write <name>.<namespace>", k.Service)
	}
	if len(k.Ports) != 1 || k.Ports[0] < 1 || k.Ports[0] > 65535 {
		return fmt.Errorf("resolver::k8s::ports: %v: write one port", k.Ports)
	}
	return nil
}

func (s *Static) validate() error {
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
