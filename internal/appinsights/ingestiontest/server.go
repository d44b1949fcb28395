// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Server is an [Endpoint] that listens.
type Server struct {
	*Endpoint
	key        string
	listener   net.Listener
	cert       atomic.Pointer[tls.Certificate]
	handshakes atomic.Uint64
	conns      connections
	http       *http.Server
	done       chan error
	stop       func(context.Context) error
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
	s.http.ConnState = s.conns.changed
	if cfg.TLS != nil {
		s.cert.Store(cfg.TLS)
		s.listener = tls.NewListener(listener, &tls.Config{
			MinVersion: tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				s.handshakes.Add(1)
				return s.cert.Load(), nil
			},
		})
	}
	s.stop = s.stopOnce()
	go func() { s.done <- s.http.Serve(s.listener) }()
	return s, nil
}

// Addr returns the address the server listens on, as host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL returns the base URL of the server, without a slash at the end.
func (s *Server) URL() string {
	if s.cert.Load() != nil {
		return "https://" + s.Addr()
	}
	return "http://" + s.Addr()
}

// SetCertificate makes a server that [Config.TLS] started show another
// certificate, and closes all connections, because a client that keeps one would
// not see the change.
func (s *Server) SetCertificate(certificate tls.Certificate) {
	s.cert.Store(&certificate)
	s.DropConnections()
}

// Handshakes returns how often a client asked for the certificate, whether it
// liked it or not.
func (s *Server) Handshakes() uint64 { return s.handshakes.Load() }

// DropConnections closes all connections, whatever they are at.
func (s *Server) DropConnections() { s.conns.drop() }

// connections are those that are open. Its zero value is ready.
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if c.open == nil {
			c.open = map[net.Conn]struct{}{}
		}
		c.open[conn] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	}
}

func (c *connections) drop() {
	c.mu.Lock()
	conns := slices.Collect(maps.Keys(c.open))
	c.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close() // whether it was closed already is all the same
	}
}

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
