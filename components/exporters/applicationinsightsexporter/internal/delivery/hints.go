// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strconv"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// Hint returns what to do about the status of a whole request, in words for an operator, or "". authenticated says
// whether a token was sent, and challenge is the header WWW-Authenticate of the answer.
func Hint(status int, authenticated bool, challenge string) string {
	switch status {
	case http.StatusUnauthorized:
		return hintUnauthorized(authenticated, clean(challenge, ""))
	case http.StatusForbidden:
		return hintForbidden(authenticated)
	case http.StatusPaymentRequired, ai.StatusQuotaExceeded:
		return "the daily cap of the resource is reached; nothing is lost while there is room in the queue; it is reset once a day, " +
			"and can be raised at the resource under 'Usage and estimated costs'"
	case http.StatusNotFound:
		return "there is no ingestion endpoint at this URL: check IngestionEndpoint of the connection string"
	case http.StatusProxyAuthRequired:
		return "the proxy wants a login: check proxy_url, HTTPS_PROXY and NO_PROXY"
	case http.StatusTooManyRequests:
		return "more items come than the resource takes, or than its plan allows"
	}
	return ""
}

func hintUnauthorized(authenticated bool, challenge string) string {
	if !authenticated {
		return "no token was sent, and the resource takes nothing without one (its local authentication is disabled): " +
			"set 'auth' to an authenticator such as azure_auth, or enable local authentication at the Application Insights resource"
	}
	hint := "the endpoint did not take the token: it may be missing, expired, of another tenant, or made for another audience; " +
		"check the scope of the authenticator and the clock of this machine (a missing role would give 403)"
	if challenge != "" {
		hint += "; the endpoint says " + strconv.Quote(challenge)
	}
	return hint
}

func hintForbidden(authenticated bool) string {
	if !authenticated {
		return "the resource takes nothing without a token (its local authentication is disabled), or nothing from this network (private link)"
	}
	return `the token is valid but its identity has no role here: assign "Monitoring Metrics Publisher" on the Application Insights resource ` +
		"of this connection string to the identity of the authenticator, and wait some minutes; or the resource takes nothing from this network (private link)"
}

// HintError returns what to do about an error of a request that got no answer, or "".
func HintError(err error) string {
	var (
		dns       *net.DNSError
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &dns):
		return "the name of the endpoint cannot be resolved: check IngestionEndpoint of the connection string, the DNS of this machine, and private link zones"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate is not valid now: it expired, or the clock of this machine is wrong"
	case errors.As(err, &authority):
		return "nobody vouches for the certificate: a proxy that looks into TLS needs its CA in tls::ca_file"
	case errors.As(err, &name):
		return "the certificate is for another name: check IngestionEndpoint of the connection string and proxies on the way"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "what answers does not speak TLS: check the scheme and the port of IngestionEndpoint"
	}
	return ""
}
