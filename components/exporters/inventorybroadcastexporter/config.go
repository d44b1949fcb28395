// SPDX-License-Identifier: Apache-2.0

package inventorybroadcastexporter

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/internal/replicas"
)

// Config is the configuration of the exporter. Protocol and Resolver have the form of the load_balancing exporter's, so that
// one YAML anchor serves both.
type Config struct {
	// TimeoutConfig is how long a sender waits for all replicas before it is told to send again.
	TimeoutConfig exporterhelper.TimeoutConfig `mapstructure:",squash"`
	Protocol      replicas.Protocol            `mapstructure:"protocol"`
	Resolver      replicas.Resolver            `mapstructure:"resolver"`
	// GiveUpAfter is how long a replica that does not answer, or is slower than what comes, holds up what all replicas have to get. It
	// gets what it missed when it answers. 1s to 1h.
	GiveUpAfter time.Duration `mapstructure:"give_up_after"`
	// MaxHeldMiB bounds what is kept for replicas that come later, of all clusters together, in MiB; above it the oldest goes of the
	// cluster that has most. 1 to 4096.
	MaxHeldMiB int `mapstructure:"max_held_mib"`
}

func createDefaultConfig() component.Config {
	return &Config{
		TimeoutConfig: exporterhelper.TimeoutConfig{Timeout: 30 * time.Second},
		Protocol:      replicas.DefaultProtocol(),
		GiveUpAfter:   30 * time.Second,
		MaxHeldMiB:    256,
	}
}

// Validate says what is wrong with the configuration, key by key.
func (c *Config) Validate() error {
	errs := []error{c.Resolver.Check(), c.Protocol.Check()}
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
