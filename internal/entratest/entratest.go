// SPDX-License-Identifier: Apache-2.0

// Package entratest stands in for Microsoft Entra ID and for the managed identity endpoint of a virtual machine in tests:
// real servers on loopback that issue tokens, refuse, hang and count.
package entratest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Request is a request for a token, or for the description of a tenant.
type Request struct {
	// Kind is token, discovery or managed.
	Kind string
	// Tenant is the first part of the path; empty for managed.
	Tenant string
	// Values are the form's, or the query's.
	Values url.Values
	// Header is the request's.
	Header http.Header
}

// Answer is what a server answers. The zero value is the ordinary answer.
type Answer struct {
	// Status is the HTTP status; 0 for the ordinary answer.
	Status int
	// Body is the answer's body.
	Body string
	// Header is added to the answer's.
	Header map[string]string
	// Hang keeps the request until its client gives up or the server closes.
	Hang bool
	// Reset closes the connection.
	Reset bool
	// ExpiresIn is the time of the token of an ordinary answer; 0 for an hour.
	ExpiresIn time.Duration
	// RefreshIn is when the token should be replaced; 0 for no word about it.
	RefreshIn time.Duration
}

// Denied is how Entra ID says no.
func Denied(status, code int, text string) Answer {
	body, _ := json.Marshal(map[string]any{
		"error": "invalid_client", "error_codes": []int{code},
		"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: 00000000-1111 Correlation ID: 2222 Timestamp: 2026-01-01 00:00:00Z", code, text),
	})
	return Answer{Status: status, Body: string(body)}
}

// Server is the stand-in.
type Server struct {
	entra, metadata *httptest.Server
	done            chan struct{}

	mu       sync.Mutex
	script   func(Request) Answer
	requests []Request
	issued   []string
}

// The identity that tokens are for.
const (
	ObjectID = "0b1ec700-0000-4000-8000-000000000001"
	AppID    = "a9900000-0000-4000-8000-000000000002"
	TenantID = "7e4a4700-0000-4000-8000-000000000003"
)

// New starts the servers; they stop with the test.
func New(t testing.TB) *Server {
	s := &Server{done: make(chan struct{})}
	s.entra = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	s.metadata = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		close(s.done)
		s.entra.Close()
		s.metadata.Close()
	})
	return s
}

// URL is the address of Entra ID, for 'authority_host'.
func (s *Server) URL() string { return s.entra.URL }

// Transport reaches the servers: the managed identity endpoint for whatever is asked over http, and Entra ID at
// [Server.URL]. The caller closes its idle connections, or the test does.
func (s *Server) Transport(t testing.TB) *http.Transport {
	transport := s.entra.Client().Transport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasSuffix(address, ":80") {
			address = s.metadata.Listener.Addr().String()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// Script decides about the answers from now on; nil for ordinary ones.
func (s *Server) Script(script func(Request) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// Requests are those that came, of this kind.
func (s *Server) Requests(kind string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var of []Request
	for _, r := range s.requests {
		if r.Kind == kind {
			of = append(of, r)
		}
	}
	return of
}

// Issued are the tokens that were issued, in order.
func (s *Server) Issued() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.issued...)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	request := Request{Kind: "token", Tenant: parts[0], Values: r.Form, Header: r.Header.Clone()}
	switch {
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		request.Kind = "discovery"
	case strings.HasPrefix(r.URL.Path, "/metadata/identity"):
		request.Kind, request.Tenant = "managed", ""
	}
	s.mu.Lock()
	s.requests = append(s.requests, request)
	script := s.script
	s.mu.Unlock()
	var answer Answer
	if script != nil {
		answer = script(request)
	}
	for name, value := range answer.Header {
		w.Header().Set(name, value)
	}
	switch {
	case answer.Hang:
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
	case answer.Reset:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	case answer.Status != 0:
		w.WriteHeader(answer.Status)
		_, _ = w.Write([]byte(answer.Body))
	case request.Kind == "discovery":
		s.describe(w, request.Tenant)
	default:
		s.issue(w, request, answer)
	}
}

func (s *Server) describe(w http.ResponseWriter, tenant string) {
	base := s.entra.URL + "/" + tenant
	_ = json.NewEncoder(w).Encode(map[string]string{
		"issuer": base + "/v2.0", "token_endpoint": base + "/oauth2/v2.0/token", "authorization_endpoint": base + "/oauth2/v2.0/authorize",
	})
}

func (s *Server) issue(w http.ResponseWriter, request Request, answer Answer) {
	life := answer.ExpiresIn
	if life == 0 {
		life = time.Hour
	}
	s.mu.Lock()
	token := JWT(map[string]any{
		"appid": AppID, "oid": ObjectID, "tid": TenantID, "exp": time.Now().Add(life).Unix(), "jti": strconv.Itoa(len(s.issued) + 1),
	})
	s.issued = append(s.issued, token)
	s.mu.Unlock()
	body := map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(life.Seconds())}
	if request.Kind == "managed" {
		// The managed identity endpoint writes its numbers as texts.
		body["expires_in"], body["resource"] = strconv.Itoa(int(life.Seconds())), request.Values.Get("resource")
		body["expires_on"] = strconv.FormatInt(time.Now().Add(life).Unix(), 10)
	}
	if answer.RefreshIn > 0 {
		body["refresh_in"] = int(answer.RefreshIn.Seconds())
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// JWT makes a JSON web token with these claims and a signature that is none.
func JWT(claims map[string]any) string {
	payload, _ := json.Marshal(claims)
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(payload) + "." + encode([]byte("no signature"))
}

// Federated makes a token as the API server of a cluster issues it to a service account.
func Federated(expires time.Time) string {
	return JWT(map[string]any{
		"iss": "https://oidc.example/cluster", "sub": "system:serviceaccount:mesh:hub", "aud": []string{"api://AzureADTokenExchange"}, "exp": expires.Unix(),
	})
}
