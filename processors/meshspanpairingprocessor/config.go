// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
)

// Config of the processor.
type Config struct {
	// Wait is the longest time a span is held back for its partner; at most a minute and at most MaxAge. Zero holds
	// nothing back: then only partners that came earlier help. Default 5s.
	Wait time.Duration `mapstructure:"wait"`
	// MaxAge is how long a span is remembered, so that a partner which comes later gets its end; more than zero, at most
	// a day. Default 5m.
	MaxAge time.Duration `mapstructure:"max_age"`
	// MaxEntries is how many spans are remembered at a time; at least 1. Default 200000.
	MaxEntries int `mapstructure:"max_entries"`
	// MaxHeldSpans is how many spans wait at a time; at least 1. Default 50000.
	MaxHeldSpans int `mapstructure:"max_held_spans"`
	// MaxHeldMiB is how many MiB the waiting spans may take, counted as they would be sent; 1 to 1048576. As many again may
	// be on their way to a next component that refuses them. Default 64.
	MaxHeldMiB int `mapstructure:"max_held_mib"`
	// Storage is the id of a storage extension that keeps what waits over a crash. Empty, the default, keeps it in memory
	// only.
	Storage *component.ID `mapstructure:"storage"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

const (
	// shortest is the shortest time but none at all. A number without a unit is one of nanoseconds.
	shortest    = time.Millisecond
	longestWait = time.Minute
	longestAge  = 24 * time.Hour
	// mostMiB is a TiB: more would not count in bytes.
	mostMiB = 1 << 20
)

func createDefaultConfig() component.Config {
	return &Config{
		Wait: 5 * time.Second, MaxAge: 5 * time.Minute,
		MaxEntries: 200_000, MaxHeldSpans: 50_000, MaxHeldMiB: 64,
	}
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	if c.Wait < 0 || c.Wait > longestWait {
		errs = append(errs, fmt.Errorf("'wait' is %v: write a time between 0s, which holds nothing back, and %v", c.Wait, longestWait))
	}
	if c.Wait > 0 && c.Wait < shortest {
		errs = append(errs, fmt.Errorf("'wait' is %v: write a time with its unit, such as 5s, of at least %v, or 0s", c.Wait, shortest))
	}
	if c.MaxAge > 0 && c.MaxAge < shortest {
		errs = append(errs, fmt.Errorf("'max_age' is %v: write a time with its unit, such as 5m, of at least %v", c.MaxAge, shortest))
	} else if c.MaxAge <= 0 || c.MaxAge > longestAge {
		errs = append(errs, fmt.Errorf("'max_age' is %v: write a time of more than 0s and at most %v", c.MaxAge, longestAge))
	} else if c.Wait > c.MaxAge {
		errs = append(errs, fmt.Errorf("'wait' (%v) is longer than 'max_age' (%v): make 'max_age' the longer one", c.Wait, c.MaxAge))
	}
	for _, ceiling := range []struct {
		key   string
		value int
	}{
		{"max_entries", c.MaxEntries}, {"max_held_spans", c.MaxHeldSpans}, {"max_held_mib", c.MaxHeldMiB},
	} {
		if ceiling.value < 1 {
			errs = append(errs, fmt.Errorf("'%s' is %d: write a number of at least 1", ceiling.key, ceiling.value))
		}
	}
	if c.MaxHeldMiB > mostMiB {
		errs = append(errs, fmt.Errorf("'max_held_mib' is %d: write a number of at most %d", c.MaxHeldMiB, mostMiB))
	}
	if c.Storage != nil && *c.Storage == (component.ID{}) {
		errs = append(errs, errors.New("'storage' is empty: write the id of a storage extension, or remove the key to keep what waits in memory only"))
	}
	return errors.Join(errs...)
}
