// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// service is a Service of Kubernetes as kube-proxy makes it: a new connection goes to one of the ready endpoints, by turns;
// a connection that there is stays where it is, also when its endpoint is no longer ready.
type service struct {
	listener net.Listener
	port     string
	running  sync.WaitGroup

	mu        sync.Mutex
	endpoints []string // hosts
	turn      int
	conns     map[net.Conn]struct{}
	closed    bool
}

// newService listens at the service's own address. The endpoints listen at the same port.
func newService(t *testing.T, host, port string) *service {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, port))
	require.NoError(t, err)
	s := &service{listener: listener, port: port, conns: map[net.Conn]struct{}{}}
	s.running.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

func (s *service) address() string { return s.listener.Addr().String() }

func (s *service) add(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = append(s.endpoints, host)
}

func (s *service) remove(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = slices.DeleteFunc(s.endpoints, func(e string) bool { return e == host })
}

// pick returns an endpoint, or nothing if none is ready.
func (s *service) pick() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.endpoints) == 0 {
		return ""
	}
	s.turn++
	return s.endpoints[s.turn%len(s.endpoints)]
}

func (s *service) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.running.Go(func() { s.serve(conn) })
	}
}

// serve connects one client. Without an endpoint it is refused, as kube-proxy has it.
func (s *service) serve(client net.Conn) {
	defer client.Close()
	endpoint := s.pick()
	if endpoint == "" || !s.track(client) {
		return
	}
	defer s.forget(client)
	server, err := net.Dial("tcp", net.JoinHostPort(endpoint, s.port))
	if err != nil {
		return
	}
	defer server.Close()
	if !s.track(server) {
		return
	}
	defer s.forget(server)
	var copying sync.WaitGroup
	copying.Go(func() { pipe(client, server) })
	pipe(server, client)
	copying.Wait()
}

// pipe copies one direction and hands on its end, so that the other direction may still say something.
func pipe(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	_ = to.(*net.TCPConn).CloseWrite() // it may be gone
}

func (s *service) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *service) forget(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

func (s *service) close() {
	s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}
