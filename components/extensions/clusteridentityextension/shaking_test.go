// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHandshakesDoNotHoldUpTheEnd: a gRPC server that ends does not wait for those who connect and say nothing, or not all.
func TestHandshakesDoNotHoldUpTheEnd(t *testing.T) {
	m := startMesh(t)
	var conns []net.Conn
	for _, said := range []string{"", "\x16\x03\x01\x02\x00\x01"} {
		conn, err := net.Dial("tcp", m.address)
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, said)
		require.NoError(t, err)
		conns = append(conns, conn)
	}
	under := func() int {
		m.server.shaking.mu.Lock()
		defer m.server.shaking.mu.Unlock()
		return len(m.server.shaking.conns)
	}
	require.Eventually(t, func() bool { return under() == 2 }, 20*time.Second, time.Millisecond)
	require.NoError(t, m.server.NotReady())
	ended := make(chan struct{})
	go func() { defer close(ended); m.grpc.GracefulStop() }()
	for _, conn := range conns {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
		_, err := io.Copy(io.Discard, conn)
		assert.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	<-ended
	assert.Zero(t, under())
	assert.Empty(t, counted(t, m.server, "refused_connections", "reason"), "they are nobody's fault")
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	assert.False(t, m.server.shaking.enter(client), "no more begin")
	_, _, err := (&receiverCredentials{e: m.server.clusterIdentity}).ServerHandshake(client)
	assert.ErrorIs(t, err, errEnding)
}
