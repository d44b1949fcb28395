// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
)

var (
	errNoFile         = errors.New("'static::file' is missing: write the path of the topology file")
	errReloadInterval = errors.New("'static::reload_interval' must be at least 100ms, such as 10s")
	errMaxClusters    = errors.New("'max_clusters' must be greater than zero")
	errMaxPods        = errors.New("'max_pods' must be greater than zero")
)

// Config says where the topology comes from and how large it may grow.
type Config struct {
	// Static reads the topology from a file. It is the only source so far, hence required.
	Static StaticConfig `mapstructure:"static"`
	// MaxClusters is the most clusters that a topology may have; more are an error. Default 256.
	MaxClusters int `mapstructure:"max_clusters"`
	// MaxPods is the most pods of all clusters together; more are an error. A pod takes about 300 bytes. Default 500000.
	MaxPods int `mapstructure:"max_pods"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// StaticConfig is the static file source.
type StaticConfig struct {
	// File is the path of the topology file. Required.
	File string `mapstructure:"file"`
	// ReloadInterval is the time between two looks at the file. Default 10s, at least 100ms.
	ReloadInterval time.Duration `mapstructure:"reload_interval"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	if c.Static.File == "" {
		errs = append(errs, errNoFile)
	}
	if c.Static.ReloadInterval < 100*time.Millisecond {
		errs = append(errs, errReloadInterval)
	}
	if c.MaxClusters <= 0 {
		errs = append(errs, errMaxClusters)
	}
	if c.MaxPods <= 0 {
		errs = append(errs, errMaxPods)
	}
	return errors.Join(errs...)
}

func createDefaultConfig() component.Config {
	return &Config{
		Static:      StaticConfig{ReloadInterval: 10 * time.Second},
		MaxClusters: 256,
		MaxPods:     500_000,
	}
}
