// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is an [Endpoint] that listens.
type Server struct {
	*Endpoint
	key      string
	listener net.Listener
	http     *http.Server
	done     chan error
	stop     func(context.Context) error
}

// Listen starts a server on a TCP address such as "127.0.0.1:0". It listens
// when it returns. The error tells what is wrong with cfg or addr, such as a
// port that is in use.
func Listen(addr string, cfg Config) (*Server, error) {
	endpoint, err := New(cfg)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %q: %w", addr, err)
	}
	s := &Server{
		Endpoint: endpoint,
		key:      DefaultInstrumentationKey,
		listener: listener,
		http: &http.Server{
			Handler:           endpoint,
			ReadHeaderTimeout: 10 * time.Second,
			ErrorLog:          log.New(io.Discard, "", 0), // clients that go away are no news here
		},
		done: make(chan error, 1),
	}
	if len(cfg.InstrumentationKeys) > 0 {
		s.key = cfg.InstrumentationKeys[0]
	}
	s.stop = s.stopOnce()
	go func() { s.done <- s.http.Serve(listener) }()
	return s, nil
}

// Addr returns the address the server listens on, as host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL returns the base URL of the server, without a slash at the end.
func (s *Server) URL() string { return "http://" + s.Addr() }

// ConnectionString returns what an exporter takes to send here, with the first
// of [Config.InstrumentationKeys].
func (s *Server) ConnectionString() string {
	return "InstrumentationKey=" + s.key + ";IngestionEndpoint=" + s.URL()
}

// Shutdown stops listening, lets go of requests that hang, and waits for the
// others until ctx ends; then it closes their connections. It may be called
// more than once, and gives the same answer.
func (s *Server) Shutdown(ctx context.Context) error { return s.stop(ctx) }

func (s *Server) stopOnce() func(context.Context) error {
	var once sync.Once
	var result error
	return func(ctx context.Context) error {
		once.Do(func() {
			s.Close()
			result = s.http.Shutdown(ctx)
			if result != nil {
				result = errors.Join(result, s.http.Close())
			}
			if err := <-s.done; !errors.Is(err, http.ErrServerClosed) {
				result = errors.Join(result, err)
			}
		})
		return result
	}
}

// TB is what [Start] needs of a [testing.TB].
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Start starts a server on a free loopback port for the length of a test. It
// fails the test when that does not work.
func Start(tb TB, cfg Config) *Server {
	tb.Helper()
	s, err := Listen("127.0.0.1:0", cfg)
	if err != nil {
		tb.Fatalf("starting the ingestion endpoint: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			tb.Errorf("stopping the ingestion endpoint: %v", err)
		}
	})
	return s
}
