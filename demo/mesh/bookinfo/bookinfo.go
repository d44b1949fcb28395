// SPDX-License-Identifier: Apache-2.0

// Package bookinfo is Istio's sample application in a few lines: productpage calls details and reviews, reviews v2 and
// v3 call ratings. Each application is an HTTP server on its pod's address that sends its own calls through its pod's
// sidecar and forwards the trace headers, as every traced application must.
package bookinfo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
)

// callTimeout bounds one call to another service, retries of the sidecar included.
const callTimeout = 5 * time.Second

// A review has about 8 kB, so that what a failover costs in cross-region bytes can be seen.
const (
	reviewText   = "An extremely entertaining play by Shakespeare. "
	reviewCopies = 170
)

// forwarded are the headers an application must pass on for Envoy to join its spans.
var forwarded = []string{"traceparent", "tracestate", "x-request-id"}

// Server is one pod's application.
type Server struct {
	pod    layout.Pod
	http   *http.Server
	client *http.Client
	done   chan error
	count  atomic.Int64
}

// Start listens on the pod's application port and serves, and writes into the ledger what it answered, before the answer is
// complete. It fails when the address is taken or is not local.
func Start(ctx context.Context, pod layout.Pod, ledger *Ledger) (*Server, error) {
	s := &Server{pod: pod, done: make(chan error, 1)}
	handler, err := s.handler()
	if err != nil {
		return nil, err
	}
	handler = ledger.keep(pod.Name, handler)
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(pod.IP, strconv.Itoa(layout.PortAppLocal)))
	if err != nil {
		return nil, fmt.Errorf("application %s: %w", pod.Name, err)
	}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(pod.IP)}, Timeout: callTimeout}
	sidecar := net.JoinHostPort(pod.IP, strconv.Itoa(layout.PortOutbound))
	s.client = &http.Client{Timeout: callTimeout, Transport: &http.Transport{
		// Whatever the name, the connection goes to the sidecar: what iptables does in a real pod.
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", sidecar)
		},
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second,
	}}
	s.http = &http.Server{Handler: handler, ReadHeaderTimeout: callTimeout}
	go func() { s.done <- s.http.Serve(listener) }()
	return s, nil
}

// Stop closes the server and its connections and waits for the serving goroutine.
func (s *Server) Stop() error {
	err := s.http.Close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	s.client.CloseIdleConnections()
	return err
}

func (s *Server) handler() (http.Handler, error) {
	mux := http.NewServeMux()
	switch s.pod.Service {
	case "productpage":
		mux.HandleFunc("GET /productpage", s.productpage)
	case "details":
		mux.HandleFunc("GET /details/{id}", s.details)
	case "reviews":
		mux.HandleFunc("GET /reviews/{id}", s.reviews)
	case "ratings":
		mux.HandleFunc("GET /ratings/{id}", func(w http.ResponseWriter, _ *http.Request) {
			s.write(w, http.StatusOK, map[string]any{"ratings": map[string]int{"Reviewer1": 5, "Reviewer2": 4}})
		})
	default:
		return nil, fmt.Errorf("bookinfo has no service %q", s.pod.Service)
	}
	return mux, nil
}

// productpage answers 404 for a missing book, 200 with a gap when details fail, and 503 when reviews fail: the demo
// measures availability by reviews, while a failing detail is the error inside a successful request.
func (s *Server) productpage(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("missing") {
		s.write(w, http.StatusNotFound, map[string]any{"error": "no such book"})
		return
	}
	details := "/details/0"
	if r.URL.Query().Has("broken") {
		details += "?broken=1"
	}
	page := map[string]any{}
	status := http.StatusOK
	if err := s.call(r, "details", details, page); err != nil {
		page["details"] = err.Error()
	}
	if err := s.call(r, "reviews", "/reviews/0", page); err != nil {
		page["reviews"] = err.Error()
		status = http.StatusServiceUnavailable
	}
	s.write(w, status, page)
}

// details fails on request, and once in fifty calls by itself, which the caller's sidecar repairs by a retry.
func (s *Server) details(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("broken") || s.count.Add(1)%50 == 0 {
		s.write(w, http.StatusServiceUnavailable, map[string]any{"error": "details are out of order"})
		return
	}
	s.write(w, http.StatusOK, map[string]any{"author": "William Shakespeare", "pages": 200})
}

func (s *Server) reviews(w http.ResponseWriter, r *http.Request) {
	answer := map[string]any{"reviews": strings.Repeat(reviewText, reviewCopies)}
	if s.pod.Version != "v1" {
		if err := s.call(r, "ratings", "/ratings/0", answer); err != nil {
			answer["ratings"] = err.Error()
		}
	}
	s.write(w, http.StatusOK, answer)
}

// call asks another service through the sidecar and puts its answer under the service's name.
func (s *Server) call(in *http.Request, service, path string, into map[string]any) error {
	url := fmt.Sprintf("http://%s:%d%s", service, layout.PortApp, path)
	out, err := http.NewRequestWithContext(in.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	for _, name := range forwarded {
		if value := in.Header.Get(name); value != "" {
			out.Header.Set(name, value)
		}
	}
	out.Header.Set("User-Agent", "bookinfo-"+s.pod.Service)
	out.Header.Set(CallerHeader, s.pod.Name)
	response, err := s.client.Do(out)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", service, response.StatusCode)
	}
	var answer any
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: %w", service, err)
	}
	into[service] = answer
	return nil
}

// write adds which pod answered, so that a caller can see where its request went.
func (s *Server) write(w http.ResponseWriter, status int, answer map[string]any) {
	answer["pod"], answer["cluster"] = s.pod.Name, s.pod.Cluster.Name
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client may be gone; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(answer)
}
