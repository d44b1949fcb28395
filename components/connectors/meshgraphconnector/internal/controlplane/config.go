// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"errors"
	"fmt"
	"time"
)

// Config is the section control_planes of the connector.
type Config struct {
	// Window is over what time pushes, errors and convergence are added up: 1m to 1h, whole minutes.
	Window time.Duration `mapstructure:"window"`
	// Expire is after what silence an istiod counts as gone: 1m to 1h. More than the time of an outage between agent and
	// hub is of no use, and less than two scrapes (30s each) makes istiods come and go.
	Expire time.Duration `mapstructure:"expire"`
	// Forget is after what silence a cluster goes whose inventory does not say that it has an istiod: Expire to 720h.
	Forget time.Duration `mapstructure:"forget"`
	// CertificateWarning is from when on an expiry is a finding: 0 to 8760h.
	CertificateWarning time.Duration `mapstructure:"certificate_warning"`
	// MaxClusters is the most clusters, 1 to 1000.
	MaxClusters int `mapstructure:"max_clusters"`
	// MaxIstiods is the most istiods of one cluster, 1 to 1000.
	MaxIstiods int `mapstructure:"max_istiods"`
	// Routed says that routers give the control planes of all clusters to one replica of the hub, which may be another one. It is
	// replica::routed of the connector.
	Routed bool `mapstructure:"-"`
}

// DefaultConfig suits the agents' scrape of istiod each 30 seconds.
func DefaultConfig() Config {
	return Config{
		Window: 10 * time.Minute, Expire: 5 * time.Minute, Forget: 24 * time.Hour,
		CertificateWarning: 30 * 24 * time.Hour, MaxClusters: 256, MaxIstiods: 64,
	}
}

// Check says what is wrong with the configuration, by the keys of the connector, which calls it. It is not named Validate: the
// collector calls that of each section by itself, and would tell the same a second time.
func (c *Config) Check() error {
	var errs []error
	if c.Window < time.Minute || c.Window > time.Hour || c.Window%time.Minute != 0 {
		errs = append(errs, fmt.Errorf("control_planes::window is %s: write whole minutes from 1m to 1h", c.Window))
	}
	if c.Expire < time.Minute || c.Expire > time.Hour {
		errs = append(errs, fmt.Errorf("control_planes::expire is %s: write 1m to 1h", c.Expire))
	}
	if c.Forget < c.Expire || c.Forget > 720*time.Hour {
		errs = append(errs, fmt.Errorf("control_planes::forget is %s: write at least control_planes::expire, and at most 720h", c.Forget))
	}
	if c.CertificateWarning < 0 || c.CertificateWarning > 8760*time.Hour {
		errs = append(errs, fmt.Errorf("control_planes::certificate_warning is %s: write 0s to 8760h", c.CertificateWarning))
	}
	if c.MaxClusters < 1 || c.MaxClusters > 1000 {
		errs = append(errs, fmt.Errorf("control_planes::max_clusters is %d: write a number from 1 to 1000", c.MaxClusters))
	}
	if c.MaxIstiods < 1 || c.MaxIstiods > 1000 {
		errs = append(errs, fmt.Errorf("control_planes::max_istiods is %d: write a number from 1 to 1000", c.MaxIstiods))
	}
	return errors.Join(errs...)
}
