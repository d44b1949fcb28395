// SPDX-License-Identifier: Apache-2.0

// Package credential gets Microsoft Entra ID tokens through azidentity and says in plain words why it got none.
//
// A [Fetcher] asks once, which is what a diagnosis needs. A [Keeper] keeps a token fresh for requests. Neither logs, and
// no text that comes from here holds a token, a secret, a password or an assertion.
package credential

import (
	"errors"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/otelcol-mesh/otelcol-mesh/internal/azuredomain"
)

// DefaultTimeout bounds one request for a token, with its retries.
const DefaultTimeout = 30 * time.Second

// Method is how an identity proves itself.
type Method string

// The methods, named as in the configuration.
const (
	MethodWorkloadIdentity  Method = "workload_identity"
	MethodManagedIdentity   Method = "managed_identity"
	MethodClientSecret      Method = "client_secret"
	MethodClientCertificate Method = "client_certificate"
	MethodDefault           Method = "default"
)

// Settings say who asks for a token, how, where and for what.
type Settings struct {
	// Method is required. Of the other fields, those of the method are looked at.
	Method Method
	// TenantID is the directory, by id or domain. For a workload identity, empty means the variable AZURE_TENANT_ID.
	TenantID string
	// ClientID is the application, or the user-assigned managed identity. For a workload identity, empty means the
	// variable AZURE_CLIENT_ID; for a managed identity, the system-assigned one unless another id is there.
	ClientID string
	// ObjectID or ResourceID name a user-assigned managed identity in place of ClientID.
	ObjectID, ResourceID string
	// TokenFile has the federated token of a workload identity; empty means the variable AZURE_FEDERATED_TOKEN_FILE.
	TokenFile string
	// Secret is a client secret, SecretFile the path of a file with one in place of it.
	Secret     configopaque.String
	SecretFile string
	// CertificateFile has a certificate with its key, as PEM or PKCS#12, and Password the password of the latter.
	CertificateFile string
	Password        configopaque.String
	// SendChain sends the certificate with each request, for applications that trust a subject name and an issuer.
	SendChain bool

	// Scope is what the token is for; empty for Azure Monitor in the cloud.
	Scope string
	// Cloud chooses Entra ID's address and the scope; empty for the public cloud.
	Cloud azuredomain.Cloud
	// AuthorityHost is Entra ID's address in place of that of the cloud, an https URL. It is trusted as it is.
	AuthorityHost string
	// Timeout bounds one request for a token, with its retries; 0 for [DefaultTimeout].
	Timeout time.Duration

	// Transport carries the requests; nil for one of the fetcher's own, which honors the proxy variables, other than for
	// the managed identity endpoint.
	Transport http.RoundTripper
	// Observer is told about the files; nil for nobody.
	Observer FileObserver
	// retryDelay is the first pause between two attempts of one request; 0 for half a second.
	retryDelay time.Duration
}

// FileObserver is told what becomes of a secret or certificate file. Its methods may be called by several goroutines.
type FileObserver interface {
	// FileReloaded says that a changed file is in use.
	FileReloaded(path string)
	// FileKept says why a file cannot be used while what was read last is. It is called at each request for a token.
	FileKept(path string, err error)
}

// Token is an access token. Never log Value.
type Token struct {
	// Value goes behind "Bearer ".
	Value string
	// Expires is when it ends, by this machine's clock.
	Expires time.Time
	// Refresh is when a new one should be asked for, as the issuer wants it; zero if it says nothing.
	Refresh time.Time
	// Identity is who it is for, as far as the token says.
	Identity Identity
}

// String keeps the token out of texts.
func (Token) String() string { return "[token]" }

// GoString keeps the token out of texts.
func (Token) GoString() string { return "[token]" }

// MarshalText keeps the token out of encoders.
func (Token) MarshalText() ([]byte, error) { return []byte("[token]"), nil }

// scope is what the token is asked for.
func (s *Settings) scope() string {
	if s.Scope != "" {
		return s.Scope
	}
	return s.Cloud.Audience() + "/.default"
}

var errNoMethod = errors.New("no such method of getting a token")
