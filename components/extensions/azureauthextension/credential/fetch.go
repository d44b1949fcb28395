// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/otelcol-mesh/otelcol-mesh/internal/azuredomain"
)

// Fetcher asks for tokens. It is safe for concurrent use.
type Fetcher struct {
	settings    Settings
	transport   http.RoundTripper
	certificate kept[pair]
	secret      kept[string]
}

// New returns a fetcher. Nothing is read or sent before [Fetcher.Fetch].
func New(settings Settings) (*Fetcher, error) {
	switch settings.Method {
	case MethodWorkloadIdentity, MethodManagedIdentity, MethodClientSecret, MethodClientCertificate, MethodDefault:
	default:
		return nil, fmt.Errorf("%w: %q", errNoMethod, settings.Method)
	}
	if settings.Timeout <= 0 {
		settings.Timeout = DefaultTimeout
	}
	if settings.retryDelay <= 0 {
		settings.retryDelay = 500 * time.Millisecond
	}
	f := &Fetcher{settings: settings, transport: settings.Transport}
	if f.transport == nil {
		f.transport = newTransport()
	}
	return f, nil
}

// Scope is what tokens are asked for.
func (f *Fetcher) Scope() string { return f.settings.scope() }

// Close closes idle connections of the fetcher's own.
func (f *Fetcher) Close() {
	if t, ok := f.transport.(*http.Transport); ok && f.settings.Transport == nil {
		t.CloseIdleConnections()
	}
}

// attempt is one fetch.
type attempt struct {
	settings Settings
	now      time.Time
	// assertion says who the federated token is of, for messages.
	assertion string
	secrets   []string
}

// Fetch asks for a new token, within the timeout of the settings. Files are read each time, so a rotated secret,
// certificate or federated token counts at once. The error is a [*Failure].
func (f *Fetcher) Fetch(ctx context.Context) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, f.settings.Timeout)
	defer cancel()
	a := &attempt{settings: f.settings, now: time.Now()}
	w := newWire(f.transport)
	got, failure := f.fetch(ctx, a, w)
	if failure != nil {
		failure.Method = f.settings.Method
		return Token{}, failure
	}
	return got, nil
}

func (f *Fetcher) fetch(ctx context.Context, a *attempt, w *wire) (Token, *Failure) {
	credential, failure := f.build(a, w)
	if failure != nil {
		return Token{}, failure
	}
	got, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{a.settings.scope()}})
	if err != nil {
		return Token{}, a.explain(ctx, w.ended(), err)
	}
	if !sendable(got.Token) || got.ExpiresOn.Before(a.now.Add(leastLife)) {
		return Token{}, &Failure{Reason: ReasonUnreadableAnswer, Message: w.ended().host + " answers with a token that is empty, expired or no token"}
	}
	return Token{Value: got.Token, Expires: got.ExpiresOn, Refresh: got.RefreshOn, Identity: identityOf(got.Token)}, nil
}

// leastLife is how long a token must have to live when it comes. Those of Entra ID have an hour, and five minutes when
// they come out of a cache.
const leastLife = time.Minute

// sendable says whether a token can stand in a header.
func sendable(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return token != ""
}

// explain finds the reason of an error.
func (a *attempt) explain(ctx context.Context, end ended, err error) *Failure {
	answered := end.status != 0 && end.status != http.StatusOK
	switch {
	case answered && !errors.Is(ctx.Err(), context.Canceled):
		// Also if the time ran out while it waited to ask again.
		return a.refusal(end)
	case ctx.Err() != nil:
		failure := &Failure{Reason: ReasonTimeout, cause: ctx.Err()}
		to := end.host
		if to == "" {
			to = "Entra ID"
		}
		failure.Message = fmt.Sprintf("%s did not answer within %s ('timeout')", to, a.settings.Timeout)
		if errors.Is(ctx.Err(), context.Canceled) {
			failure.Message = "the request to " + to + " was given up"
		}
		return failure
	case end.err != nil:
		return a.silence(end)
	case end.status == http.StatusOK:
		return &Failure{
			Reason: ReasonUnreadableAnswer, Status: end.status,
			Message: end.host + " answers with what is no token: a proxy may stand between, or 'authority_host' is wrong",
		}
	}
	return &Failure{Reason: ReasonMissingSetting, Message: clean(a.redact(err.Error()), 600)}
}

// tokenText is what begins as a JSON web token does.
var tokenText = regexp.MustCompile(`eyJ[0-9a-zA-Z_-]{8,}[0-9a-zA-Z_.-]*`)

// redact takes secrets and tokens out of what others say, should they quote them. It comes before a text is cut: half a
// secret would not be found.
func (a *attempt) redact(text string) string {
	for _, secret := range a.secrets {
		if secret != "" {
			text = strings.NewReplacer(secret, "[secret]", url.QueryEscape(secret), "[secret]").Replace(text)
		}
	}
	return tokenText.ReplaceAllString(text, "[token]")
}

// build makes a credential of what files and variables say now. It is used once: what azidentity remembers would else
// hide a token that has to be replaced.
func (f *Fetcher) build(a *attempt, w *wire) (azcore.TokenCredential, *Failure) {
	s := &a.settings
	options := azcore.ClientOptions{Transport: w, Cloud: s.cloud(), Retry: policy.RetryOptions{
		MaxRetries: 2, RetryDelay: s.retryDelay, MaxRetryDelay: 5 * time.Second, TryTimeout: max(s.Timeout/3, time.Millisecond),
	}}
	own := s.AuthorityHost != ""
	var credential azcore.TokenCredential
	var err error
	switch s.Method {
	case MethodWorkloadIdentity:
		return f.workload(a, options, own)
	case MethodManagedIdentity:
		credential, err = azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options, ID: s.managed()})
	case MethodClientSecret:
		secret := string(s.Secret)
		if s.SecretFile != "" {
			secret, err = f.secret.look(s.SecretFile, s.Observer, parseSecret(s.SecretFile), func(string) bool { return false })
			if err != nil {
				return nil, &Failure{Reason: ReasonFile, Message: clean(err.Error(), 400)}
			}
		}
		a.secrets = append(a.secrets, secret)
		credential, err = azidentity.NewClientSecretCredential(s.TenantID, s.ClientID, secret, &azidentity.ClientSecretCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: own,
		})
	case MethodClientCertificate:
		var p pair
		p, err = f.certificate.look(s.CertificateFile, s.Observer, parsePair(s.CertificateFile, string(s.Password), a.now),
			func(p pair) bool { return a.now.After(leaf(p.chain, p.key).NotAfter) })
		if err != nil {
			return nil, &Failure{Reason: ReasonCertificate, Message: clean(err.Error(), 400)}
		}
		credential, err = azidentity.NewClientCertificateCredential(s.TenantID, s.ClientID, p.chain, p.key, &azidentity.ClientCertificateCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: own, SendCertificateChain: s.SendChain,
		})
		if err != nil {
			return nil, &Failure{Reason: ReasonCertificate, Message: fmt.Sprintf("the certificate in file %s cannot be used: %s", s.CertificateFile, clean(err.Error(), 300))}
		}
	default:
		credential, err = azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: own, TenantID: s.TenantID,
		})
	}
	if err != nil {
		return nil, &Failure{Reason: ReasonMissingSetting, Message: clean(a.redact(err.Error()), 400)}
	}
	return credential, nil
}

// The variables that the workload identity webhook of AKS sets in a pod.
const (
	envClientID  = "AZURE_CLIENT_ID"
	envTenantID  = "AZURE_TENANT_ID"
	envTokenFile = "AZURE_FEDERATED_TOKEN_FILE"
)

func (f *Fetcher) workload(a *attempt, options azcore.ClientOptions, own bool) (azcore.TokenCredential, *Failure) {
	s := &a.settings
	var missing []string
	for _, want := range []struct {
		field     *string
		key, from string
	}{{&s.ClientID, "client_id", envClientID}, {&s.TenantID, "tenant_id", envTenantID}, {&s.TokenFile, "federated_token_file", envTokenFile}} {
		if *want.field == "" {
			*want.field = os.Getenv(want.from)
		}
		if *want.field == "" {
			missing = append(missing, fmt.Sprintf("'workload_identity::%s' (or the variable %s)", want.key, want.from))
		}
	}
	if missing != nil {
		return nil, &Failure{Reason: ReasonMissingSetting, Message: strings.Join(missing, ", ") + " is not set: on AKS the webhook sets the variables if the pod has " +
			"the label azure.workload.identity/use: \"true\" and its service account the annotation azure.workload.identity/client-id"}
	}
	assertion, who, failure := readAssertion(s.TokenFile, a.now)
	if failure != nil {
		return nil, failure
	}
	a.assertion, a.secrets = who, append(a.secrets, assertion)
	credential, err := azidentity.NewClientAssertionCredential(s.TenantID, s.ClientID,
		func(context.Context) (string, error) { return assertion, nil },
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: own})
	if err != nil {
		return nil, &Failure{Reason: ReasonMissingSetting, Message: clean(a.redact(err.Error()), 400)}
	}
	return credential, nil
}

// managed names the managed identity; nil for the system-assigned one.
func (s *Settings) managed() azidentity.ManagedIDKind {
	switch {
	case s.ClientID != "":
		return azidentity.ClientID(s.ClientID)
	case s.ObjectID != "":
		return azidentity.ObjectID(s.ObjectID)
	case s.ResourceID != "":
		return azidentity.ResourceID(s.ResourceID)
	}
	return nil
}

// cloud is explicit, so that a variable of the environment cannot send secrets to another host.
func (s *Settings) cloud() cloud.Configuration {
	if s.AuthorityHost != "" {
		return cloud.Configuration{ActiveDirectoryAuthorityHost: s.AuthorityHost}
	}
	switch s.Cloud {
	case azuredomain.Government:
		return cloud.AzureGovernment
	case azuredomain.China:
		return cloud.AzureChina
	}
	return cloud.AzurePublic
}

// Authority is the address of Entra ID that tokens are asked for at. Managed identities have their own.
func (s *Settings) Authority() string { return s.cloud().ActiveDirectoryAuthorityHost }
