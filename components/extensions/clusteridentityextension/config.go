// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
)

// Config of the extension. One of its parts must be there.
type Config struct {
	// Rules map certificates to clusters. The first one that fits decides; a certificate that none fits is refused.
	Rules []identity.Rule `mapstructure:"rules"`
	// CertificateFiles are PEM files of this collector's own, client's or server's, whose expiry becomes a metric. Empty
	// entries are passed over, so that an entry may be an environment variable that is not set.
	CertificateFiles []string `mapstructure:"certificate_files"`
	// ReceiverTLS is the TLS of gRPC receivers that list the extension under 'middlewares', in the place of their own: it
	// counts and logs the connections that TLS refuses, and goes on with the last good files when they are replaced by bad
	// ones. It must have ClientCAFile. Files are read again at most once a second, at the next connection, so that
	// ReloadInterval and ReloadClientCAFile are of no effect.
	ReceiverTLS configoptional.Optional[configtls.ServerConfig] `mapstructure:"receiver_tls"`
	// ReceiverHTTP takes OTLP over HTTP with the same TLS, for a receiver that has none of its own.
	ReceiverHTTP configoptional.Optional[ReceiverHTTPConfig] `mapstructure:"receiver_http"`
	// ExporterTLS is the TLS of gRPC exporters that list the extension under 'middlewares', in the place of their own: the
	// files, that of the authority too, are read again at each connection. ReloadInterval is of no effect.
	ExporterTLS configoptional.Optional[configtls.ClientConfig] `mapstructure:"exporter_tls"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ReceiverHTTPConfig says where to take connections with the TLS of 'receiver_tls', and whose they are. The collector's own TLS
// of HTTP receivers tells nobody of the connections that it refuses.
type ReceiverHTTPConfig struct {
	// Endpoint is the address that senders connect to, host:port.
	Endpoint string `mapstructure:"endpoint"`
	// Receiver is the 'endpoint' of the receiver's HTTP side: a loopback address with a port, as what comes there directly has
	// no TLS and is refused. The receiver lists the extension first under 'middlewares', and has no 'tls'.
	Receiver string `mapstructure:"receiver"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// Validate checks the addresses.
func (c *ReceiverHTTPConfig) Validate() error {
	if _, _, err := net.SplitHostPort(c.Endpoint); err != nil {
		return fmt.Errorf("'endpoint' is %q: write the address that senders connect to, such as 0.0.0.0:14318", c.Endpoint)
	}
	host, port, err := net.SplitHostPort(c.Receiver)
	if ip, ipErr := netip.ParseAddr(host); err != nil || port == "" || port == "0" || host != "localhost" && (ipErr != nil || !ip.IsLoopback()) {
		return fmt.Errorf("'receiver' is %q: write the receiver's own HTTP endpoint, a loopback address with a port, such as 127.0.0.1:14319", c.Receiver)
	}
	return nil
}

var (
	_ component.Config = (*Config)(nil)

	errNothingToDo = errors.New("'rules' is empty: write which certificates may speak for which clusters; without rules write 'certificate_files' " +
		"whose expiry to tell, or 'exporter_tls'")
	errNoClientCA    = errors.New("'receiver_tls' has no 'client_ca_file': write the authority of the senders' certificates, which prove who they are")
	errNoReceiverTLS = errors.New("'receiver_http' needs 'receiver_tls', whose certificates it shows and asks for, and 'rules': write both")
)

func createDefaultConfig() component.Config { return &Config{} }

// Validate checks the configuration.
func (c *Config) Validate() error {
	if len(c.Rules) == 0 && c.CertificateFiles == nil && !c.ExporterTLS.HasValue() && !c.ReceiverTLS.HasValue() {
		return errNothingToDo
	}
	if c.ReceiverHTTP.HasValue() && (!c.ReceiverTLS.HasValue() || len(c.Rules) == 0) {
		return errNoReceiverTLS
	}
	if c.ReceiverTLS.HasValue() && c.ReceiverTLS.Get().ClientCAFile == "" {
		return errNoClientCA
	}
	_, err := identity.Compile(c.Rules)
	return err
}

// pemFile is a file of certificates.
type pemFile struct {
	path string
	// bundle says that its certificates are authorities beside each other, and no chain.
	bundle bool
}

// files returns all that the extension knows of, each once.
func (c *Config) files() (all []pemFile) {
	add := func(bundle bool, paths ...string) {
		for _, path := range paths {
			if path != "" && !slices.ContainsFunc(all, func(known pemFile) bool { return known.path == path }) {
				all = append(all, pemFile{path, bundle})
			}
		}
	}
	if c.ReceiverTLS.HasValue() {
		add(false, c.ReceiverTLS.Get().CertFile)
		add(true, c.ReceiverTLS.Get().ClientCAFile)
	}
	if c.ExporterTLS.HasValue() {
		add(false, c.ExporterTLS.Get().CertFile)
		add(true, c.ExporterTLS.Get().CAFile)
	}
	add(false, c.CertificateFiles...)
	return all
}
