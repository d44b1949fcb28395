// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/entratest"
)

// TestCheck goes each way that a check can end; what it prints is in testdata/check.
func TestCheck(t *testing.T) {
	status := func(code int) func(*stage) {
		return func(s *stage) { s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: code}) }
	}
	item := func(code int, message string) func(*stage) {
		return func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultItems, ItemStatus: code, ItemMessage: message})
		}
	}
	certificate := func(from, until time.Duration, hosts ...string) func(*stage) {
		return func(s *stage) {
			s.server.SetCertificate(s.certificate(time.Now().Add(from), time.Now().Add(until), hosts...))
		}
	}
	for name, c := range map[string]struct {
		set  func(*stage)
		args []string
		code int
	}{
		"works":         {func(*stage) {}, nil, ExitOK},
		"works_as_json": {func(*stage) {}, []string{"--json"}, ExitOK},
		"dry_run":       {func(*stage) {}, []string{"--dry-run"}, ExitOK},

		"string_missing":      {func(s *stage) { clear(s.env) }, nil, ExitFailed},
		"string_without_key":  {func(s *stage) { s.env[variables[0]] = "IngestionEndpoint=https://" + testHost }, nil, ExitFailed},
		"string_of_sdks":      {func(s *stage) { s.env[variables[1]], s.env[variables[0]] = s.env[variables[0]], "" }, nil, ExitOK},
		"string_on_the_line":  {func(*stage) {}, []string{"--connection-string", testString}, ExitOK},
		"string_without_host": {func(s *stage) { s.env[variables[0]] = "InstrumentationKey=" + testKey }, []string{"--dry-run"}, ExitFailed},
		"string_file_missing": {func(*stage) {}, []string{"--connection-string-file", "/does/not/exist"}, ExitFailed},

		"name_unknown": {func(s *stage) {
			s.env[variables[0]] = "InstrumentationKey=" + testKey + ";IngestionEndpoint=https://nobody.invalid"
		}, nil, ExitFailed},
		"name_unknown_here": {func(s *stage) { delete(s.names, testHost) }, nil, ExitFailed},
		"name_no_answer": {func(s *stage) {
			s.names[testHost] = entry{err: &net.DNSError{Err: "i/o timeout", Name: testHost, IsTimeout: true}}
		}, nil, ExitFailed},
		"name_failure": {func(s *stage) { s.names[testHost] = entry{err: errors.New("server misbehaving")} }, nil, ExitFailed},
		"private_link": {func(s *stage) {
			s.names[testHost] = entry{canonical: "westeurope-5.in.ai.privatelink.monitor.azure.com", addresses: []string{"10.1.2.3"}}
			s.places["10.1.2.3:443"] = s.server.Addr()
		}, nil, ExitOK},
		"private_link_unused": {func(s *stage) {
			s.names[testHost] = entry{canonical: "gig-ai-g.privatelink.monitor.azure.com", addresses: []string{testAddress}}
		}, nil, ExitOK},
		"private_address": {func(s *stage) {
			s.names[testHost] = entry{canonical: testHost, addresses: []string{"10.1.2.3"}}
			s.places["10.1.2.3:443"] = s.server.Addr()
		}, nil, ExitOK},

		"refused":  {func(s *stage) { s.dialed = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} }, nil, ExitFailed},
		"dropped":  {func(s *stage) { s.dialed = context.DeadlineExceeded }, nil, ExitFailed},
		"no_route": {func(s *stage) { s.dialed = syscall.ENETUNREACH }, nil, ExitFailed},
		"second_address": {func(s *stage) {
			s.names[testHost] = entry{canonical: testHost, addresses: []string{"203.0.113.9", testAddress}}
		}, nil, ExitOK},

		"certificate_expired":    {certificate(-48*time.Hour, -90*time.Minute, testHost), nil, ExitFailed},
		"certificate_too_new":    {certificate(100*time.Hour, 200*time.Hour, testHost), nil, ExitFailed},
		"certificate_of_another": {certificate(-time.Hour, time.Hour, "intranet.example", "127.0.0.1"), nil, ExitFailed},
		"certificate_ends_soon":  {certificate(-time.Hour, 24*time.Hour+time.Minute, testHost), nil, ExitOK},
		"certificate_untrusted":  {func(s *stage) { s.args = nil }, nil, ExitFailed},
		"inspected":              {func(s *stage) { s.world.issuers = issuers }, nil, ExitOK},
		"inspected_untrusted":    {func(s *stage) { s.world.issuers, s.args = issuers, nil }, nil, ExitFailed},
		"not_tls": {func(s *stage) {
			s.raw(func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) })
		}, nil, ExitFailed},
		"broken_off": {func(s *stage) { s.raw(func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<10)) }) }, nil, ExitFailed},

		"proxy":         {func(s *stage) { s.proxy(http.StatusOK) }, []string{"--proxy-url", "http://user:s3cr3t@" + proxyHost + ":3128"}, ExitOK},
		"proxy_login":   {func(s *stage) { s.proxy(http.StatusProxyAuthRequired) }, []string{"--proxy-url", "http://" + proxyHost + ":3128"}, ExitFailed},
		"proxy_refuses": {func(s *stage) { s.proxy(http.StatusForbidden) }, []string{"--proxy-url", "http://" + proxyHost + ":3128"}, ExitFailed},
		"proxy_of_environment": {func(s *stage) {
			s.proxy(http.StatusOK)
			s.world.proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: proxyHost + ":3128"})
		}, nil, ExitOK},
		"proxy_damaged": {func(s *stage) {
			s.world.proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("s3cr3t") }
		}, nil, ExitFailed},
		"proxy_excepted": {func(s *stage) { s.env["https_proxy"] = "http://" + proxyHost }, []string{"--dry-run"}, ExitOK},
		"proxy_gone": {func(s *stage) {
			s.dialed = &net.OpError{Op: "dial", Err: syscall.ETIMEDOUT}
		}, []string{"--proxy-url", "https://" + proxyHost + ":3128"}, ExitFailed},

		"status_400": {status(400), nil, ExitFailed},
		"status_401": {status(401), nil, ExitFailed},
		"status_402": {status(402), nil, ExitFailed},
		"status_403": {status(403), nil, ExitFailed},
		"status_404": {status(404), nil, ExitFailed},
		"status_408": {status(408), nil, ExitFailed},
		"status_413": {status(413), nil, ExitFailed},
		"status_418": {status(418), nil, ExitFailed},
		"status_429": {func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: 429, RetryAfter: 30 * time.Second})
		}, nil, ExitFailed},
		"status_439": {status(439), nil, ExitFailed},
		"status_500": {status(500), nil, ExitFailed},
		"status_503": {status(503), nil, ExitFailed},

		"key_unknown":      {func(s *stage) { s.serve(ingestiontest.Config{InstrumentationKeys: []string{"another"}}) }, nil, ExitFailed},
		"item_old":         {func(s *stage) { s.server.SetClock(func() time.Time { return time.Now().Add(50 * time.Hour) }) }, nil, ExitFailed},
		"item_sampled_out": {item(206, ""), nil, ExitOK},
		"item_too_long":    {item(400, ai.MessageItemTooLong), nil, ExitFailed},
		"item_refused":     {item(400, "109: Field 'name' on type 'X' of key "+testKey), nil, ExitFailed},
		"item_later":       {item(500, ""), nil, ExitFailed},
		"clock_behind": {func(s *stage) {
			s.server.SetClock(func() time.Time { return time.Now().Add(3*time.Hour + time.Minute) })
		}, nil, ExitOK},
		"clock_ahead": {func(s *stage) {
			s.server.SetClock(func() time.Time { return time.Now().Add(-20*time.Minute - 30*time.Second) })
		}, nil, ExitOK},

		"hang":  {func(s *stage) { s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultHang}) }, []string{"--timeout", "3s"}, ExitFailed},
		"close": {func(s *stage) { s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultClose}) }, nil, ExitFailed},
		"half_an_answer": {func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultTruncate, Status: 200})
		}, nil, ExitFailed},
		"another_index": {func(s *stage) { s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultBadIndex}) }, nil, ExitFailed},
		"sign_in_page": {func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultBody, Status: 200, Body: "<html><title>Please sign in</title>\n<p>\x1b[31mto " + testKey})
		}, nil, ExitFailed},
		"empty_answer": {func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultBody, Status: 200, Body: " "})
		}, nil, ExitFailed},
		"nothing_accepted": {func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultBody, Status: 200, Body: `{"itemsReceived":1,"itemsAccepted":0,"errors":[]}`})
		}, nil, ExitFailed},
		"slow_answer": {func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultSlow, Drip: time.Millisecond})
		}, nil, ExitOK},
		"answer_without_end": {func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultHang, Drip: time.Millisecond})
		}, []string{"--timeout", "3s"}, ExitFailed},
		"refused_whole": {func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultPoison, Match: "doctor", Whole: true})
		}, nil, ExitFailed},
		"redirect": {func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultRedirect, Status: 308, Location: "https://" + testHost + "/v2.1/track"})
		}, nil, ExitOK},
		"redirect_elsewhere": {func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultRedirect, Location: "https://login.example/?back=" + testKey})
		}, nil, ExitFailed},
		"redirect_to_plain": {func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultRedirect, Location: "http://" + testHost + "/v2.1/track"})
		}, nil, ExitFailed},
		"redirect_in_circles": {func(s *stage) {
			s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultRedirect, Location: "/v2.1/track", Times: ingestiontest.Forever})
		}, nil, ExitFailed},
		"plain_http": {func(s *stage) {
			plain := ingestiontest.Start(s.t, ingestiontest.Config{})
			s.env[variables[0]] = plain.ConnectionString()
		}, nil, ExitOK},
		"plain_http_far": {func(s *stage) {
			plain := ingestiontest.Start(s.t, ingestiontest.Config{})
			s.names["trial.example"] = entry{canonical: "trial.example", addresses: []string{testAddress}}
			s.places[testAddress+":80"] = plain.Addr()
			s.env[variables[0]] = strings.ReplaceAll(plain.ConnectionString(), plain.URL(), "http://trial.example")
		}, []string{"--allow-plain-http"}, ExitOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			c.set(s)
			code, out, errs := s.run(append([]string{"check"}, c.args...)...)
			assert.Equal(t, c.code, code)
			assert.Empty(t, errs)
			golden(t, filepath.Join("check", name+".txt"), out)
		})
	}
}

// TestCheckIdentity asks the stand-in of Microsoft Entra ID for tokens.
func TestCheckIdentity(t *testing.T) {
	workload := []string{"--auth", "workload-identity", "--client-id", entratest.AppID, "--tenant-id", entratest.TenantID}
	for name, c := range map[string]struct {
		set  func(*stage, *entratest.Server)
		args []string
		code int
	}{
		"entra_works":               {func(*stage, *entratest.Server) {}, workload, ExitOK},
		"entra_nothing_set":         {func(s *stage, _ *entratest.Server) { clear(s.env); s.env[variables[0]] = testString }, []string{"--auth", "workload-identity"}, ExitFailed},
		"entra_secret_missing":      {func(*stage, *entratest.Server) {}, []string{"--auth", "client-secret"}, ExitFailed},
		"entra_certificate_missing": {func(*stage, *entratest.Server) {}, []string{"--auth", "client-certificate", "--certificate-file", "/does/not/exist"}, ExitFailed},
		"entra_token_file_missing":  {func(*stage, *entratest.Server) {}, append([]string{"--federated-token-file", "/does/not/exist"}, workload...), ExitFailed},
		"entra_subject": {func(_ *stage, e *entratest.Server) {
			e.Script(denied(400, 70021, "No matching federated identity record found."))
		}, workload, ExitFailed},
		"entra_secret_wrong": {func(s *stage, e *entratest.Server) {
			s.env["AZURE_CLIENT_SECRET"] = "s3cr3t"
			e.Script(denied(401, 7000215, "Invalid client secret."))
		}, []string{"--auth", "client-secret"}, ExitFailed},
		"entra_no_managed_identity": {func(_ *stage, e *entratest.Server) { e.Script(denied(400, 0, "Identity not found")) }, []string{"--auth", "managed-identity"}, ExitFailed},
		"entra_role_missing": {func(s *stage, _ *entratest.Server) {
			s.serve(ingestiontest.Config{Auth: ingestiontest.Auth{Mode: ingestiontest.AuthForbidden}})
		}, workload, ExitFailed},
		"entra_token_refused": {func(s *stage, _ *entratest.Server) {
			s.serve(ingestiontest.Config{Auth: ingestiontest.Auth{Mode: ingestiontest.AuthUnauthorized}})
		}, workload, ExitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.serve(ingestiontest.Config{Auth: ingestiontest.Auth{Mode: ingestiontest.AuthRequire}})
			entra := entratest.New(t)
			s.world.entra = entra.Transport(t)
			file := filepath.Join(t.TempDir(), "token")
			require.NoError(t, os.WriteFile(file, []byte(entratest.Federated(time.Now().Add(time.Hour))), 0o600))
			s.env["AZURE_AUTHORITY_HOST"], s.env["AZURE_FEDERATED_TOKEN_FILE"] = entra.URL(), file
			s.env["AZURE_TENANT_ID"], s.env["AZURE_CLIENT_ID"] = entratest.TenantID, entratest.AppID
			c.set(s, entra)
			code, out, errs := s.run(c.args...)
			assert.Equal(t, c.code, code)
			assert.Empty(t, errs)
			golden(t, filepath.Join("check", name+".txt"), out)
		})
	}
}

func denied(status, code int, text string) func(entratest.Request) entratest.Answer {
	return func(r entratest.Request) entratest.Answer {
		if r.Kind == "discovery" {
			return entratest.Answer{}
		}
		return entratest.Denied(status, code, text)
	}
}

// TestTheItem is what arrives: it says what it is, and comes as the exporter's items do.
func TestTheItem(t *testing.T) {
	s := newStage(t)
	code, _, _ := s.run()
	require.Equal(t, ExitOK, code)
	arrived := s.server.Items(ingestiontest.Filter{})
	require.Len(t, arrived, 1)
	assert.Equal(t, testKey, arrived[0].Envelope.InstrumentationKey)
	assert.Equal(t, "otelcol-mesh-doctor", arrived[0].Role)
	assert.Contains(t, arrived[0].Name, "can be ignored")
	requests := s.server.Requests()
	require.Len(t, requests, 1)
	assert.Equal(t, "gzip", requests[0].ContentEncoding)
	assert.Equal(t, ai.ContentTypeLines, requests[0].ContentType)

	code, _, _ = s.run("--dry-run")
	require.Equal(t, ExitOK, code)
	assert.Len(t, s.server.Requests(), 1, "a dry run posts nothing")
}

// TestProxyIsTold checks what the proxy sees: where to, and the password.
func TestProxyIsTold(t *testing.T) {
	s := newStage(t)
	seen := s.proxy(http.StatusOK)
	code, _, _ := s.run("--proxy-url", "http://user:s3cr3t@"+proxyHost+":3128")
	require.Equal(t, ExitOK, code)
	told, ok := seen.Load("CONNECT " + testHost + ":443")
	require.True(t, ok)
	assert.Equal(t, "Basic dXNlcjpzM2NyM3Q=", told)
}

// TestATokenGoesNowhereElse redirects a request with a token to another host.
func TestATokenGoesNowhereElse(t *testing.T) {
	s := newStage(t)
	entra := entratest.New(t)
	s.world.entra = entra.Transport(t)
	s.env["AZURE_AUTHORITY_HOST"], s.env["AZURE_CLIENT_SECRET"] = entra.URL(), "s3cr3t"
	other := ingestiontest.Start(t, ingestiontest.Config{})
	s.fault(ingestiontest.Fault{Kind: ingestiontest.FaultRedirect, Location: other.URL() + "/v2.1/track"})
	code, out, _ := s.run("--auth", "client-secret", "--tenant-id", entratest.TenantID, "--client-id", entratest.AppID)
	assert.Equal(t, ExitFailed, code)
	assert.Contains(t, out, "which is not followed")
	assert.Empty(t, other.Requests())
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"letters"}, "write list, show or replay"},
		{[]string{"letters", "burn"}, "write list, show or replay"},
		{[]string{"letters", "list"}, "--directory is missing"},
		{[]string{"letters", "show", "--directory", "x", "--limit", "-1"}, "--limit"},
		{[]string{"letters", "list", "--directory", "x", "--since", "yesterday"}, "--since \"yesterday\""},
		{[]string{"letters", "list", "--directory", "x", "--until", "-5m"}, "--until"},
		{[]string{"letters", "replay"}, "--directory is missing"},
		{[]string{"check", "now"}, "\"now\" is no option"},
		{[]string{"--what"}, "-what"},
		{[]string{"--timeout", "1h"}, "--timeout"},
		{[]string{"--auth", "password"}, "--auth \"password\""},
		{[]string{"--client-id", "x"}, "--auth is missing"},
		{[]string{"--proxy-url", "socks5://user:s3cr3t@x"}, "--proxy-url"},
		{[]string{"--connection-string", "a", "--connection-string-file", "b"}, "give one of them"},
		{[]string{"--ca-file", "/does/not/exist"}, "--ca-file"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			s := newStage(t)
			s.args = nil
			code, out, errs := s.run(c.args...)
			assert.Equal(t, ExitUsage, code)
			assert.Empty(t, out)
			assert.Contains(t, errs, c.want)
			assert.Contains(t, errs, "--help")
		})
	}
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	s := newStage(t)
	s.args = nil
	code, _, errs := s.run("--ca-file", empty)
	assert.Equal(t, ExitUsage, code)
	assert.Contains(t, errs, "no certificate")
	for _, args := range [][]string{{"--help"}, {"check", "-h"}, {"letters", "--help"}, {"letters", "replay", "--help"}} {
		code, out, _ := s.run(args...)
		assert.Equal(t, ExitOK, code)
		assert.True(t, plain(usage) == out, "the usage is printed")
	}
}

// TestManyAtOnce: a check keeps nothing outside of itself.
func TestManyAtOnce(t *testing.T) {
	s := newStage(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			var out, errs strings.Builder
			assert.Equal(t, ExitOK, run(context.Background(), s.args, &out, &errs, s.world), out.String())
		})
	}
	all.Wait()
	assert.Len(t, s.server.Items(ingestiontest.Filter{}), 8)
}
