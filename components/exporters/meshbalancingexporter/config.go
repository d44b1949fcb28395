// SPDX-License-Identifier: Apache-2.0

package meshbalancingexporter

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/internal/replicas"
)

// Config is the configuration of the exporter. Protocol and Resolver have the form of the load_balancing exporter's.
type Config struct {
	// TimeoutConfig is how long a sender waits for all replicas that have a part of its request, before it is told to send again.
	TimeoutConfig exporterhelper.TimeoutConfig `mapstructure:",squash"`
	Protocol      replicas.Protocol            `mapstructure:"protocol"`
	Resolver      replicas.Resolver            `mapstructure:"resolver"`

	// prevent unkeyed literal initialization
	_ struct{}
}

func createDefaultConfig() component.Config {
	return &Config{TimeoutConfig: exporterhelper.TimeoutConfig{Timeout: 30 * time.Second}, Protocol: replicas.DefaultProtocol()}
}

// Validate says what is wrong with the configuration, key by key.
func (c *Config) Validate() error {
	errs := []error{c.Resolver.Check(), c.Protocol.Check()}
	if c.TimeoutConfig.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: %s: write a duration above 0", c.TimeoutConfig.Timeout))
	}
	return errors.Join(errs...)
}
