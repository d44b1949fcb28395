// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"errors"
	"net"
	"sync"
)

var errEnding = errors.New("the receiver ends")

// shaking are connections within their handshake. A gRPC server that ends waits for them, by itself for two minutes: whoever connects
// and says nothing would hold it up for so long. Safe for concurrent use; the zero value is ready.
type shaking struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	ended bool
}

// enter notes a connection. It is false if there shall be no more handshakes.
func (s *shaking) enter(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[net.Conn]struct{})
	}
	s.conns[conn] = struct{}{}
	return true
}

// leave says whether the handshake may have been ended.
func (s *shaking) leave(conn net.Conn) (ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	return s.ended
}

// end ends all handshakes, and those that would begin.
func (s *shaking) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for conn := range s.conns {
		_ = conn.Close()
	}
}
