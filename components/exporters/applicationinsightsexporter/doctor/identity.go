// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"os"
	"strings"

	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/credential"
)

// identityOptions say who asks Microsoft Entra ID for a token.
type identityOptions struct {
	kind                                 string
	tenant, client, authority            string
	tokenFile, secretFile                string
	certificateFile, certificatePassword string
}

var methods = map[string]credential.Method{
	"workload-identity":  credential.MethodWorkloadIdentity,
	"managed-identity":   credential.MethodManagedIdentity,
	"client-secret":      credential.MethodClientSecret,
	"client-certificate": credential.MethodClientCertificate,
}

func (o *identityOptions) define(set *flag.FlagSet) {
	set.StringVar(&o.kind, "auth", "", "")
	set.StringVar(&o.tenant, "tenant-id", "", "")
	set.StringVar(&o.client, "client-id", "", "")
	set.StringVar(&o.authority, "authority-host", "", "")
	set.StringVar(&o.tokenFile, "federated-token-file", "", "")
	set.StringVar(&o.secretFile, "client-secret-file", "", "")
	set.StringVar(&o.certificateFile, "certificate-file", "", "")
	set.StringVar(&o.certificatePassword, "certificate-password-file", "", "")
}

func (o *identityOptions) check() error {
	if o.kind == "" {
		if o.tenant+o.client+o.authority+o.tokenFile+o.secretFile+o.certificateFile+o.certificatePassword != "" {
			return usagef("--auth is missing: write workload-identity, managed-identity, client-secret or client-certificate beside the options of an identity")
		}
		return nil
	}
	if _, ok := methods[o.kind]; !ok {
		return usagef("--auth %q: write workload-identity, managed-identity, client-secret or client-certificate", o.kind)
	}
	return nil
}

// settings adds what the environment has. The error names the variable that is missing.
func (o *identityOptions) settings(info *connection.Info, w *world) (credential.Settings, error) {
	or := func(value, variable string) string {
		if value != "" {
			return value
		}
		return w.getenv(variable)
	}
	s := credential.Settings{
		Method: methods[o.kind], Scope: info.Scope(), Transport: w.entra,
		TenantID: or(o.tenant, "AZURE_TENANT_ID"), AuthorityHost: or(o.authority, "AZURE_AUTHORITY_HOST"),
	}
	// The client id of the environment is that of the workload identity: the node may have no such managed identity.
	if s.ClientID = o.client; s.Method != credential.MethodManagedIdentity {
		s.ClientID = or(o.client, "AZURE_CLIENT_ID")
	}
	var missing needs
	if s.Method != credential.MethodManagedIdentity {
		missing.want(s.TenantID, "--tenant-id", "AZURE_TENANT_ID")
		missing.want(s.ClientID, "--client-id", "AZURE_CLIENT_ID")
	}
	switch s.Method {
	case credential.MethodWorkloadIdentity:
		s.TokenFile = or(o.tokenFile, "AZURE_FEDERATED_TOKEN_FILE")
		missing.want(s.TokenFile, "--federated-token-file", "AZURE_FEDERATED_TOKEN_FILE")
		if len(missing.names) > 0 {
			missing.tail = "; the webhook of AKS workload identity sets them in pods that have the label azure.workload.identity/use: \"true\" and a service " +
				"account with the annotation azure.workload.identity/client-id"
		}
	case credential.MethodClientSecret:
		if s.SecretFile = o.secretFile; s.SecretFile == "" {
			s.Secret = configopaque.String(w.getenv("AZURE_CLIENT_SECRET"))
			missing.want(string(s.Secret), "--client-secret-file", "AZURE_CLIENT_SECRET")
		}
	case credential.MethodClientCertificate:
		s.CertificateFile = or(o.certificateFile, "AZURE_CLIENT_CERTIFICATE_PATH")
		missing.want(s.CertificateFile, "--certificate-file", "AZURE_CLIENT_CERTIFICATE_PATH")
		password, err := o.password(w)
		if err != nil {
			return s, err
		}
		s.Password = password
	}
	return s, missing.err()
}

// needs collects what is missing.
type needs struct {
	names []string
	tail  string
}

func (n *needs) want(value, option, variable string) {
	if value == "" {
		n.names = append(n.names, variable+" (or "+option+")")
	}
}

func (n *needs) err() error {
	if len(n.names) == 0 {
		return nil
	}
	return errors.New("missing: " + strings.Join(n.names, ", ") + n.tail)
}

func (o *identityOptions) password(w *world) (configopaque.String, error) {
	if o.certificatePassword == "" {
		return configopaque.String(w.getenv("AZURE_CLIENT_CERTIFICATE_PASSWORD")), nil
	}
	text, err := os.ReadFile(o.certificatePassword)
	if err != nil {
		return "", usagef("--certificate-password-file: %w", err)
	}
	return configopaque.String(strings.TrimRight(string(text), "\r\n")), nil
}

// askToken asks for a token, and says why there is none.
func (c *check) askToken(ctx context.Context, s *step) {
	o := &c.options.connection.identity
	if o.kind == "" {
		c.skip(s, "not asked for: without --auth the instrumentation key alone tells who sends")
		return
	}
	settings, err := o.settings(c.info, c.world)
	if err != nil {
		s.fail("%v", err)
		return
	}
	fetcher, err := credential.New(settings)
	if err != nil {
		s.fail("%v", err)
		return
	}
	defer fetcher.Close()
	token, err := fetcher.Fetch(ctx)
	if err != nil {
		s.fail("%v", err)
		return
	}
	c.token, c.identity = token.Value, token.Identity
	s.say("Microsoft Entra ID gave a token for %s, valid for another %s", fetcher.Scope(), wholeMinutes(token.Expires.Sub(c.now())))
	if who := token.Identity.String(); who != "" {
		s.say("it is for the identity with %s", who)
	} else {
		s.say("it does not say which identity it is for")
	}
}

// authorize puts the tokens of a keeper into requests.
type authorize struct {
	next   http.RoundTripper
	keeper *credential.Keeper
}

// RoundTrip sends the request with a token, or returns why there is none.
func (a *authorize) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := a.keeper.Token(r.Context())
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token.Value)
	return a.next.RoundTrip(r)
}
