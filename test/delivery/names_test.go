// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// namesAt is the address of the name server that this process asks, if it is to ask one of its own.
var namesAt atomic.Pointer[string]

// resolveBy makes this process ask the name server at address. It is the same for all who ask in one process, so all cases
// share one name server.
func resolveBy(address string) { namesAt.Store(&address) }

// installResolver must come before anything that may look up a name.
func installResolver() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if own := namesAt.Load(); own != nil {
			network, address = "udp", *own
		}
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}}
}

// nameServer knows names below otelcol-mesh.test: "127-8-1-5.otelcol-mesh.test" is 127.8.1.5, once it was revealed, and
// before that there is no such name.
type nameServer struct {
	conn net.PacketConn
	done chan struct{}
	mu   sync.Mutex
	// asked counts the questions by name, known are the names that were revealed.
	asked map[string]int
	known map[string]bool
	// others are names of any form, with their addresses.
	others map[string]string
}

const domain = ".otelcol-mesh.test"

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.8.0.53:0")
	require.NoError(t, err)
	s := &nameServer{conn: conn, done: make(chan struct{}), asked: map[string]int{}, known: map[string]bool{}, others: map[string]string{}}
	go s.serve()
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		<-s.done
	})
	return s
}

func (s *nameServer) address() string { return s.conn.LocalAddr().String() }

// name is the name of an address.
func (s *nameServer) name(ip string) string { return strings.ReplaceAll(ip, ".", "-") + domain }

// questions tells how often the name, with or without a port, was asked for.
func (s *nameServer) questions(host string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[bare(host)]
}

// reveal makes the name known.
func (s *nameServer) reveal(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[bare(host)] = true
}

// add makes another name known, of any form.
func (s *nameServer) add(name, ip string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[name], s.others[name] = true, ip
}

func bare(host string) string {
	name, _, _ := strings.Cut(host, ":")
	return name
}

func (s *nameServer) serve() {
	defer close(s.done)
	query := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(query)
		if err != nil {
			return // closed
		}
		if answer := s.answer(query[:n]); answer != nil {
			_, _ = s.conn.WriteTo(answer, from)
		}
	}
}

// answer builds a reply by RFC 1035: the header and the question of the query again, and one address record if there is
// one of that type.
func (s *nameServer) answer(query []byte) []byte {
	name, end := question(query)
	if end == 0 {
		return nil
	}
	s.mu.Lock()
	s.asked[name]++
	known, address := s.known[name], s.others[name]
	s.mu.Unlock()
	if address == "" {
		address = strings.ReplaceAll(strings.TrimSuffix(name, domain), "-", ".")
	}
	ip := net.ParseIP(address).To4()
	reply := append([]byte(nil), query[:end]...)
	reply[2], reply[3] = 0x84, 0 // an authoritative response
	clear(reply[6:12])
	if !known || ip == nil {
		reply[3] = 3 // there is no such name
		return reply
	}
	if binary.BigEndian.Uint16(query[end-4:]) != 1 {
		return reply // not an A record, and there is nothing else
	}
	reply[7] = 1
	reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
	return append(reply, ip...)
}

// question returns the name that a query asks for and where its question ends, 0 if it is none.
func question(query []byte) (string, int) {
	var labels []string
	at := 12
	for at < len(query) && query[at] != 0 {
		next := at + 1 + int(query[at])
		if next >= len(query) {
			return "", 0
		}
		labels = append(labels, string(query[at+1:next]))
		at = next
	}
	if at+5 > len(query) {
		return "", 0
	}
	return strings.ToLower(strings.Join(labels, ".")), at + 5 // the root label, type and class
}

func TestNameServer(t *testing.T) {
	s := startNameServer(t)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.address())
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	name := s.name("127.8.1.250")
	_, err := resolver.LookupHost(ctx, name)
	var missing *net.DNSError
	require.ErrorAs(t, err, &missing)
	require.True(t, missing.IsNotFound, err)
	require.Positive(t, s.questions(name+":80"))
	s.reveal(name)
	found, err := resolver.LookupHost(ctx, name)
	require.NoError(t, err)
	require.Equal(t, []string{"127.8.1.250"}, found)
}
