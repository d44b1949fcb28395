// SPDX-License-Identifier: Apache-2.0

package azureauthextension

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/credential"
	"github.com/otelcol-mesh/otelcol-mesh/internal/azuredomain"
	"github.com/otelcol-mesh/otelcol-mesh/internal/loopback"
)

// Config is the configuration of the azure_auth extension. Exactly one method must be there.
type Config struct {
	// WorkloadIdentity is the usual method on AKS.
	WorkloadIdentity configoptional.Optional[WorkloadIdentityConfig] `mapstructure:"workload_identity"`
	// ManagedIdentity is the identity of the machine.
	ManagedIdentity configoptional.Optional[ManagedIdentityConfig] `mapstructure:"managed_identity"`
	// ClientSecret is an application with a secret.
	ClientSecret configoptional.Optional[ClientSecretConfig] `mapstructure:"client_secret"`
	// ClientCertificate is an application with a certificate.
	ClientCertificate configoptional.Optional[ClientCertificateConfig] `mapstructure:"client_certificate"`
	// Default tries what azidentity's DefaultAzureCredential tries, a developer's own login included. Default false. It is
	// for a developer's machine: which identity it takes depends on what is installed there.
	Default bool `mapstructure:"default"`

	// Scopes are what tokens are for: exactly one, since a token is for one service. Default that of Azure Monitor in the cloud.
	Scopes []string `mapstructure:"scopes"`
	// Cloud is public, government or china. Default public. It decides Entra ID's address, the scope, and the domains.
	Cloud azuredomain.Cloud `mapstructure:"cloud"`
	// AuthorityHost is Entra ID's address in place of that of the cloud, such as that of a private cloud. It is trusted.
	AuthorityHost string `mapstructure:"authority_host"`
	// AdditionalDomains are hosts and domains that get tokens beside the cloud's ingestion endpoints.
	AdditionalDomains []string `mapstructure:"additional_domains"`
	// RetryRejected turns the answers 401 and 403 into errors. Default false. Exporters that give up what such an answer was
	// for, as otlp_http does, keep and retry it then: a role takes up to half an hour until it counts.
	RetryRejected bool `mapstructure:"retry_rejected"`
	// Timeout bounds one request for a token, retries included. Default 30s, from 1s to 5m.
	Timeout time.Duration `mapstructure:"timeout"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// WorkloadIdentityConfig is a Kubernetes service account that a managed identity or application trusts.
type WorkloadIdentityConfig struct {
	// ClientID is the client id of the managed identity or application. Default the variable AZURE_CLIENT_ID.
	ClientID string `mapstructure:"client_id"`
	// TenantID is its tenant. Default the variable AZURE_TENANT_ID.
	TenantID string `mapstructure:"tenant_id"`
	// FederatedTokenFile is the path of the service account's token. Default the variable AZURE_FEDERATED_TOKEN_FILE.
	FederatedTokenFile string `mapstructure:"federated_token_file"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ManagedIdentityConfig is an identity of the machine: the system-assigned one unless one of the ids is there.
type ManagedIdentityConfig struct {
	// ClientID names a user-assigned identity.
	ClientID string `mapstructure:"client_id"`
	// ObjectID names a user-assigned identity.
	ObjectID string `mapstructure:"object_id"`
	// ResourceID names a user-assigned identity, as /subscriptions/...
	ResourceID string `mapstructure:"resource_id"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ClientSecretConfig is an application with a secret, from the configuration or a file.
type ClientSecretConfig struct {
	// TenantID is the application's tenant. Required.
	TenantID string `mapstructure:"tenant_id"`
	// ClientID is the application. Required.
	ClientID string `mapstructure:"client_id"`
	// ClientSecret is the value of the secret. This or ClientSecretFile is required.
	ClientSecret configopaque.String `mapstructure:"client_secret"`
	// ClientSecretFile is the path of a file with the value of the secret, read at each request for a token.
	ClientSecretFile string `mapstructure:"client_secret_file"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ClientCertificateConfig is an application with a certificate.
type ClientCertificateConfig struct {
	// TenantID is the application's tenant. Required.
	TenantID string `mapstructure:"tenant_id"`
	// ClientID is the application. Required.
	ClientID string `mapstructure:"client_id"`
	// CertificateFile is the path of a PEM file with the certificate and its key, or of a PKCS#12 file, read at each
	// request for a token. Required.
	CertificateFile string `mapstructure:"certificate_file"`
	// Password is that of a PKCS#12 file.
	Password configopaque.String `mapstructure:"password"`
	// SendChain sends the certificate along, for applications that trust a subject name and an issuer. Default false.
	SendChain bool `mapstructure:"send_chain"`

	// prevent unkeyed literal initialization
	_ struct{}
}

const (
	leastTimeout = time.Second
	mostTimeout  = 5 * time.Minute
)

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	return &Config{Cloud: azuredomain.Public, Timeout: credential.DefaultTimeout}
}

var (
	errNoMethod = errors.New("no method is on: write exactly one of 'workload_identity', 'managed_identity', 'client_secret', 'client_certificate' " +
		"and 'default', such as 'workload_identity: {}' on AKS")
	errManagedID = errors.New("'managed_identity' may have one of 'client_id', 'object_id' and 'resource_id', or none for the system-assigned identity")
	errScopes    = errors.New("'scopes' must have exactly one scope, since a token is for one service, such as [https://monitor.azure.com/.default]")
	errTimeout   = errors.New("'timeout' must be from 1s to 5m, such as 30s")
	errCloud     = errors.New("'cloud' must be public, government or china")
	errAuthority = errors.New("'authority_host' must be an https URL of a host alone, such as https://login.microsoftonline.com")
)

var (
	tenantText = regexp.MustCompile(`^[0-9a-zA-Z][0-9a-zA-Z.-]{0,127}$`)
	idText     = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	scopeText  = regexp.MustCompile(`^[0-9a-zA-Z:/._-]+/\.default$`)
	domainText = regexp.MustCompile(`^[0-9a-zA-Z]([0-9a-zA-Z.-]*[0-9a-zA-Z])?$|^[0-9a-fA-F:]+$`)
)

// methods are those that are on.
func (c *Config) methods() []credential.Method {
	var on []credential.Method
	for _, m := range []struct {
		on     bool
		method credential.Method
	}{
		{c.WorkloadIdentity.HasValue(), credential.MethodWorkloadIdentity},
		{c.ManagedIdentity.HasValue(), credential.MethodManagedIdentity},
		{c.ClientSecret.HasValue(), credential.MethodClientSecret},
		{c.ClientCertificate.HasValue(), credential.MethodClientCertificate},
		{c.Default, credential.MethodDefault},
	} {
		if m.on {
			on = append(on, m.method)
		}
	}
	return on
}

// Validate checks the configuration. Files and variables are not looked at: they belong to the machine it runs on.
func (c *Config) Validate() error {
	var errs []error
	switch on := c.methods(); len(on) {
	case 0:
		errs = append(errs, errNoMethod)
	case 1:
	default:
		names := make([]string, len(on))
		for i, m := range on {
			names[i] = "'" + string(m) + "'"
		}
		errs = append(errs, fmt.Errorf("%s are on together: leave exactly one, as it would be unknown whose token is sent", strings.Join(names, ", ")))
	}
	errs = append(errs, c.validateMethods(), c.validatePlace())
	return errors.Join(errs...)
}

func (c *Config) validateMethods() error {
	var errs []error
	if w := c.WorkloadIdentity.Get(); w != nil {
		errs = append(errs, idOf("workload_identity::client_id", w.ClientID, false), tenantOf("workload_identity::tenant_id", w.TenantID, false))
	}
	if m := c.ManagedIdentity.Get(); m != nil {
		if len(strings.Join([]string{m.ClientID, m.ObjectID, m.ResourceID}, "")) > max(len(m.ClientID), len(m.ObjectID), len(m.ResourceID)) {
			errs = append(errs, errManagedID)
		}
		errs = append(errs, idOf("managed_identity::client_id", m.ClientID, false), idOf("managed_identity::object_id", m.ObjectID, false))
		if m.ResourceID != "" && !strings.HasPrefix(strings.ToLower(m.ResourceID), "/subscriptions/") {
			errs = append(errs, errors.New("'managed_identity::resource_id' must begin with /subscriptions/, as 'az identity show --query id' prints it"))
		}
	}
	if s := c.ClientSecret.Get(); s != nil {
		errs = append(errs, idOf("client_secret::client_id", s.ClientID, true), tenantOf("client_secret::tenant_id", s.TenantID, true))
		switch {
		case s.ClientSecret == "" && s.ClientSecretFile == "":
			errs = append(errs, errors.New("'client_secret::client_secret' is missing: write it as ${env:...}, or the path of a file as 'client_secret::client_secret_file'"))
		case s.ClientSecret != "" && s.ClientSecretFile != "":
			errs = append(errs, errors.New("'client_secret::client_secret' and 'client_secret::client_secret_file' are there together: leave one"))
		}
	}
	if s := c.ClientCertificate.Get(); s != nil {
		errs = append(errs, idOf("client_certificate::client_id", s.ClientID, true), tenantOf("client_certificate::tenant_id", s.TenantID, true))
		if s.CertificateFile == "" {
			errs = append(errs, errors.New("'client_certificate::certificate_file' is missing: write the path of a PEM file with the certificate and its key"))
		}
	}
	return errors.Join(errs...)
}

// validatePlace checks where tokens come from and go to.
func (c *Config) validatePlace() error {
	var errs []error
	if len(c.Scopes) > 1 || (c.Scopes != nil && len(c.Scopes) == 0) {
		errs = append(errs, errScopes)
	}
	for _, scope := range c.Scopes {
		if !scopeText.MatchString(scope) {
			errs = append(errs, fmt.Errorf("'scopes' has %q, which is no scope of a service: it is an address with /.default at its end, such as https://monitor.azure.com/.default", scope))
		}
	}
	if len(azuredomain.Of(c.Cloud)) == 0 {
		errs = append(errs, errCloud)
	}
	if c.AuthorityHost != "" {
		u, err := url.Parse(c.AuthorityHost)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
			errs = append(errs, errAuthority)
		}
	}
	for _, domain := range c.AdditionalDomains {
		if !domainText.MatchString(domain) {
			errs = append(errs, fmt.Errorf("'additional_domains' has %q, which is neither a host nor a domain: write one such as ingest.example.com, without scheme, port, path or '*'", domain))
		}
	}
	if c.Timeout < leastTimeout || c.Timeout > mostTimeout {
		errs = append(errs, errTimeout)
	}
	return errors.Join(errs...)
}

func idOf(key, value string, required bool) error {
	if (value == "" && !required) || idText.MatchString(value) {
		return nil
	}
	return fmt.Errorf("'%s' must be an id such as 12345678-90ab-cdef-1234-567890abcdef", key)
}

func tenantOf(key, value string, required bool) error {
	if (value == "" && !required) || tenantText.MatchString(value) {
		return nil
	}
	return fmt.Errorf("'%s' must be the tenant's id, or one of its domains", key)
}

// Credential returns what [credential.New] needs to ask for a token as this configuration says. It must be valid.
func (c *Config) Credential() credential.Settings {
	s := credential.Settings{Cloud: c.Cloud, AuthorityHost: c.AuthorityHost, Timeout: c.Timeout}
	if on := c.methods(); len(on) == 1 {
		s.Method = on[0]
	}
	if len(c.Scopes) == 1 {
		s.Scope = c.Scopes[0]
	}
	if w := c.WorkloadIdentity.Get(); w != nil {
		s.ClientID, s.TenantID, s.TokenFile = w.ClientID, w.TenantID, w.FederatedTokenFile
	}
	if m := c.ManagedIdentity.Get(); m != nil {
		s.ClientID, s.ObjectID, s.ResourceID = m.ClientID, m.ObjectID, m.ResourceID
	}
	if m := c.ClientSecret.Get(); m != nil {
		s.ClientID, s.TenantID, s.Secret, s.SecretFile = m.ClientID, m.TenantID, m.ClientSecret, m.ClientSecretFile
	}
	if m := c.ClientCertificate.Get(); m != nil {
		s.ClientID, s.TenantID, s.CertificateFile, s.Password, s.SendChain = m.ClientID, m.TenantID, m.CertificateFile, m.Password, m.SendChain
	}
	return s
}

// CheckURL says whether a token may go there; nil if it may, else a [*RefusedError]. The host must be an ingestion
// endpoint of the cloud or within 'additional_domains', and the scheme https, or http to loopback.
func (c *Config) CheckURL(u *url.URL) error {
	host := u.Hostname()
	if !azuredomain.Within(host, azuredomain.Of(c.Cloud)) && !azuredomain.Within(host, c.AdditionalDomains) {
		return &RefusedError{Host: host, Refusal: refusedDomain, message: fmt.Sprintf("%q is no ingestion endpoint of Azure's %s cloud, so it gets no Entra ID "+
			"token: check the endpoint, or add the host to 'additional_domains'", host, c.Cloud)}
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback.IsHost(host)) {
		return &RefusedError{Host: host, Refusal: refusedScheme, message: fmt.Sprintf("%q would get an Entra ID token over %q, which anybody on the way can read: "+
			"write https", host, u.Scheme)}
	}
	return nil
}

// asksAt says whether tokens are asked for at this address.
func (c *Config) asksAt(authority string) bool {
	u, err := url.Parse(authority)
	if err != nil {
		return false
	}
	return strings.EqualFold(u.Host, c.authority())
}

// authority is the host that tokens are asked for at.
func (c *Config) authority() string {
	s := c.Credential()
	if u, err := url.Parse(s.Authority()); err == nil {
		return u.Host
	}
	return ""
}

// Format keeps secrets out of every verb: those below an optional section are printed as they are.
func (c *Config) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "azure_auth%v", c.methods()) }
