// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"errors"

	"go.opentelemetry.io/collector/component"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
)

// Config of the extension. Rules, certificate files or both must be there.
type Config struct {
	// Rules map certificates to clusters. The first one that fits decides; a certificate that none fits is refused.
	Rules []identity.Rule `mapstructure:"rules"`
	// CertificateFiles are PEM files of this collector's own, client's or server's, whose expiry becomes a metric. Empty
	// entries are passed over, so that an entry may be an environment variable that is not set.
	CertificateFiles []string `mapstructure:"certificate_files"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var (
	_ component.Config = (*Config)(nil)

	errNothingToDo = errors.New("'rules' is empty: write which certificates may speak for which clusters, or 'certificate_files' whose expiry to tell")
)

func createDefaultConfig() component.Config { return &Config{} }

// Validate checks the configuration.
func (c *Config) Validate() error {
	if len(c.Rules) == 0 && c.CertificateFiles == nil {
		return errNothingToDo
	}
	_, err := identity.Compile(c.Rules)
	return err
}
