// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/entratest"
)

// What Entra ID and the managed identity endpoint refuse, as they word it.
func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		method Method
		answer entratest.Answer
		reason Reason
		code   string
		words  []string
	}{
		"secret is wrong": {
			MethodClientSecret, entratest.Denied(401, 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value."),
			ReasonInvalidSecret, "AADSTS7000215",
			[]string{"must be the value of the secret and not its id", entratest.AppID, "Ensure the secret being sent"},
		},
		"secret is quoted": {
			MethodClientSecret, entratest.Denied(401, 7000222, "The provided client secret '"+testSecret+"' is expired."),
			ReasonInvalidSecret, "AADSTS7000222",
			[]string{"create a new one", "'[secret]' is expired"},
		},
		"secret is quoted by a proxy": {
			MethodClientSecret, entratest.Answer{Status: 403, Body: `{"error":"blocked: ` + testSecret + `"}`}, ReasonRefused, "", []string{"answers 403", "blocked: [secret]"},
		},
		"application is unknown": {
			MethodWorkloadIdentity, entratest.Denied(400, 700016, "Application with identifier 'x' was not found in the directory."),
			ReasonUnknownApplication, "AADSTS700016",
			[]string{"no application or managed identity with client id " + entratest.AppID},
		},
		"subject does not match": {
			MethodWorkloadIdentity, entratest.Denied(401, 700213, "No matching federated identity record found for presented assertion subject."),
			ReasonFederation, "AADSTS700213",
			[]string{`subject "system:serviceaccount:mesh:hub"`, `issuer "https://oidc.example/cluster"`, `audience "api://AzureADTokenExchange"`},
		},
		"assertion is quoted": {
			MethodWorkloadIdentity,
			entratest.Answer{Status: 400, Body: `{"error":"invalid_client","error_description":"bad assertion ` + entratest.Federated(time.Unix(4e9, 0)) + `"}`},
			ReasonRefused, "",
			[]string{"bad assertion [token]"},
		},
		"secret is quoted where the text is cut": {
			MethodClientSecret, entratest.Answer{Status: 400, Body: `{"error":"x","error_description":"` + strings.Repeat("x", 290) + testSecret + `"}`}, ReasonRefused, "", []string{"[secret]"},
		},
		"token of the cluster is too old for Entra ID": {
			MethodWorkloadIdentity, entratest.Denied(401, 700024, "Client assertion is not within its valid time range."),
			ReasonAssertionExpired, "AADSTS700024",
			[]string{"check this node's clock"},
		},
		"certificate is not registered": {
			MethodClientCertificate, entratest.Denied(401, 700027, "The certificate with identifier used to sign the client assertion is not registered on application."),
			ReasonCertificate, "AADSTS700027",
			[]string{"certificate.pem is not taken for " + entratest.AppID},
		},
		"scope is unknown": {
			MethodClientSecret, entratest.Denied(400, 500011, "The resource principal named https://nothing.example was not found."),
			ReasonInvalidScope, "AADSTS500011",
			[]string{"scope https://", "/.default"},
		},
		"a code that nobody explained": {
			MethodClientSecret, entratest.Denied(400, 123456, "Something new."), ReasonRefused, "AADSTS123456", []string{"AADSTS123456: 127.0.0.1", "answers 400", "Something new."},
		},
		"a code without a text": {
			MethodClientSecret, entratest.Answer{Status: 400, Body: `{"error":"unauthorized_client","error_codes":[700016]}`}, ReasonUnknownApplication, "AADSTS700016", nil,
		},
		"too many requests": {
			MethodClientSecret, entratest.Answer{Status: 429, Body: `{"error":"throttled"}`}, ReasonThrottled, "", []string{"asks to wait"},
		},
		"a broken server": {
			MethodClientSecret, entratest.Answer{Status: 503, Body: `<html>`}, ReasonServerError, "", []string{"answers 503"},
		},
		"a login page": {
			MethodClientSecret, entratest.Answer{Status: 403, Body: "<html>Please log in to the proxy"}, ReasonUnreadableAnswer, "", []string{"a proxy may stand between"},
		},
		"a login page that is fine": {
			MethodClientSecret, entratest.Answer{Status: 200, Body: "<html>Please log in to the proxy"}, ReasonUnreadableAnswer, "", []string{"what is no token"},
		},
		"a redirect, which would carry the secret away": {
			MethodClientSecret, entratest.Answer{Status: 307, Header: map[string]string{"Location": "https://127.0.0.1:1/"}}, ReasonUnreadableAnswer, "", []string{"answers 307"},
		},
		"a token that nobody can send": {
			MethodClientSecret, entratest.Answer{Status: 200, Body: `{"access_token":"a\nb","token_type":"Bearer","expires_in":3600}`}, ReasonUnreadableAnswer, "", []string{"no token"},
		},
		"a token that ends at once": {
			MethodClientSecret, entratest.Answer{ExpiresIn: 2 * time.Second}, ReasonUnreadableAnswer, "", []string{"expired"},
		},
		"an answer without end": {
			MethodClientSecret, entratest.Answer{Status: 200, Body: strings.Repeat(" ", maxAnswer+1)}, ReasonUnreachable, "", []string{"longer than"},
		},
		"identity of the machine": {
			MethodManagedIdentity,
			entratest.Answer{Status: 400, Body: `{"error":"invalid_request","error_description":"Identity not found"}`},
			ReasonIdentityNotAssigned, "",
			[]string{"no managed identity with client id " + entratest.AppID, "az vmss identity assign", "Identity not found"},
		},
		"a machine that knows no identities": {
			MethodManagedIdentity, entratest.Answer{Status: 404, Body: `not found`}, ReasonUnreadableAnswer, "", []string{"169.254.169.254 answers 404"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := entratest.New(t)
			f := fetcher(t, asking(t, server, tc.method))
			server.Script(func(r entratest.Request) entratest.Answer {
				if r.Kind == "discovery" {
					return entratest.Answer{}
				}
				return tc.answer
			})
			failed := failure(t, f)
			assert.Equal(t, tc.reason, failed.Reason, failed.Message)
			assert.Equal(t, tc.code, failed.Code)
			for _, words := range tc.words {
				assert.Contains(t, failed.Message, words)
			}
			assert.NotContains(t, failed.Message, "Trace ID")
			assert.NotRegexp(t, `\{[a-z]+\}`, failed.Message, "every word is filled in")
		})
	}
}

func TestUnknownTenant(t *testing.T) {
	server := entratest.New(t)
	f := fetcher(t, asking(t, server, MethodClientSecret))
	server.Script(func(entratest.Request) entratest.Answer {
		return entratest.Denied(400, 90002, "Tenant 'x' not found.")
	})
	failed := failure(t, f)
	assert.Equal(t, ReasonUnknownTenant, failed.Reason)
	assert.Contains(t, failed.Message, "check 'tenant_id' and 'cloud'")
	assert.Empty(t, server.Requests("token"), "the secret was not sent")
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "-5": 0, "soon": 0, "99999": maxAfter, "99999999999999999999": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		assert.Equal(t, want, retryAfter(http.Header{"Retry-After": {text}}, now), text)
	}
	server := entratest.New(t)
	s := asking(t, server, MethodManagedIdentity)
	s.Timeout = 5 * time.Second
	server.Script(func(entratest.Request) entratest.Answer {
		return entratest.Answer{Status: 429, Header: map[string]string{"Retry-After": "120"}}
	})
	failed := failure(t, fetcher(t, s))
	assert.Equal(t, 2*time.Minute, failed.After, failed.Message)
}

func TestAPassingErrorIsOvercome(t *testing.T) {
	server := entratest.New(t)
	f := fetcher(t, asking(t, server, MethodClientSecret))
	var once sync.Once
	server.Script(func(r entratest.Request) (answer entratest.Answer) {
		if r.Kind == "token" {
			once.Do(func() { answer = entratest.Answer{Status: 503, Body: "x"} })
		}
		return answer
	})
	_, err := f.Fetch(t.Context())
	require.NoError(t, err)
	assert.Len(t, server.Requests("token"), 2)
}

func TestNoAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		answer entratest.Answer
		reason Reason
	}{"hang": {entratest.Answer{Hang: true}, ReasonTimeout}, "reset": {entratest.Answer{Reset: true}, ReasonUnreachable}} {
		for _, method := range []Method{MethodClientSecret, MethodManagedIdentity} {
			t.Run(name+" "+string(method), func(t *testing.T) {
				server := entratest.New(t)
				s := asking(t, server, method)
				if tc.answer.Hang {
					s.Timeout = 300 * time.Millisecond // what is waited for; a reset comes by itself
				}
				server.Script(func(entratest.Request) entratest.Answer { return tc.answer })
				failed := failure(t, fetcher(t, s))
				assert.Equal(t, tc.reason, failed.Reason, failed.Message)
			})
		}
	}
}

// The timeout bounds the pauses too, and what was answered before it is the reason.
func TestTheTimeoutBoundsThePauses(t *testing.T) {
	server := entratest.New(t)
	s := asking(t, server, MethodClientSecret)
	const pause = 4 * time.Second
	s.Timeout = pause * 3 / 4 // time for an answer, and not for a pause
	server.Script(func(entratest.Request) entratest.Answer {
		return entratest.Answer{Status: 503, Body: `{}`, Header: map[string]string{"Retry-After": "4"}}
	})
	failed := failure(t, fetcher(t, s))
	assert.Equal(t, ReasonServerError, failed.Reason)
	assert.Equal(t, pause, failed.After)
	assert.Len(t, server.Requests("discovery"), 1, "the time was over before the pause")
}

func TestNobodyIsThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	server := entratest.New(t)
	s := asking(t, server, MethodClientSecret)
	s.AuthorityHost, s.Transport = "https://"+address, nil
	failed := failure(t, fetcher(t, s))
	assert.Equal(t, ReasonUnreachable, failed.Reason)
	assert.Contains(t, failed.Message, address+" cannot be reached")
	assert.Contains(t, failed.Message, "HTTPS_PROXY")

	// A certificate that nobody trusts, as a proxy that looks into everything has.
	s.AuthorityHost = server.URL()
	failed = failure(t, fetcher(t, s))
	assert.Equal(t, ReasonUnreachable, failed.Reason)
	assert.Contains(t, failed.Message, "certificate")
}
