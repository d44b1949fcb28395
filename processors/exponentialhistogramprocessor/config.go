// SPDX-License-Identifier: Apache-2.0

package exponentialhistogramprocessor

import (
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-mesh/otelcol-mesh/processors/exponentialhistogramprocessor/internal/convert"
)

// Config is the configuration of the exponential_histogram processor.
type Config struct {
	// MaxSize is the most buckets on each side of zero. Default 160, from 4 to 1024.
	MaxSize int `mapstructure:"max_size"`
	// MaxScale is the greatest scale. Default 5, from -10 to 20. With it a bound is moved by 1.1 % at most; each one more
	// halves that and doubles the buckets, up to MaxSize.
	MaxScale int `mapstructure:"max_scale"`

	// prevent unkeyed literal initialization
	_ struct{}
}

const mostSize = 1024

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

func createDefaultConfig() component.Config { return &Config{MaxSize: 160, MaxScale: 5} }

var (
	errSize  = errors.New("'max_size' must be from 4 to 1024, such as 160")
	errScale = errors.New("'max_scale' must be from -10 to 20, such as 5")
)

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	if c.MaxSize < convert.MinSize || c.MaxSize > mostSize {
		errs = append(errs, errSize)
	}
	if c.MaxScale < convert.MinScale || c.MaxScale > convert.MaxScale {
		errs = append(errs, errScale)
	}
	return errors.Join(errs...)
}
