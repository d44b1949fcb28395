// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPeersThatHangEnd: a receiver ends though a call, and a request over HTTP, never do; before the collector says that it ends nobody
// is hit.
func TestPeersThatHangEnd(t *testing.T) {
	f := newFixture(t, nil, nil, nil)
	f.ending.grace = 100 * time.Millisecond
	honestConn := f.dial(t, "127.0.0.8")
	require.NoError(t, send(t.Context(), honestConn, tracesMethod, honest(t, 10)))
	call, framer := open(t, f.grpc)
	require.NoError(t, framer.WriteData(1, false, []byte{0, 0, 0x40, 0, 0}))
	request, err := net.Dial("tcp", f.http)
	require.NoError(t, err)
	defer request.Close()
	_, err = io.WriteString(request, "POST /v1/traces HTTP/1.1\r\nHost: hub\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\n1")
	require.NoError(t, err)
	require.Eventually(t, func() bool { _, streams, _ := f.ledger.held(); return streams == 2 }, 20*time.Second, time.Millisecond)

	require.NoError(t, f.Ready())
	require.NoError(t, f.NotReady())
	for _, conn := range []net.Conn{call, request} {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
		_, err := io.Copy(io.Discard, conn)
		assert.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	// The idle connection, too: the receiver has not begun to end here.
	f.refusedSoon(t, map[string]int64{"ending": 2, "unreadable": 1})
	f.idle(t)
}
