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
	"golang.org/x/net/http2"
	"google.golang.org/grpc/mem"
)

// countingPool counts the buffers that are taken and not given back.
type countingPool struct {
	mem.BufferPool
	out int
}

func (p *countingPool) Get(n int) *[]byte { p.out++; return p.BufferPool.Get(n) }
func (p *countingPool) Put(b *[]byte)     { p.out--; p.BufferPool.Put(b) }

// TestABufferIsTakenWhenThereIsSomething: a guarded connection holds no buffer while it waits, in gRPC's own way.
func TestABufferIsTakenWhenThereIsSomething(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxSmallFrames, c.MaxSmallFramesPerSecond = 10, 1 }, nil, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	pair := func() (client net.Conn, server *readyConn) {
		client, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		conn, err := listener.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.IsType(t, &readyConn{}, f.GuardConn(conn))
		return client, f.GuardConn(conn).(*readyConn)
	}
	pool := &countingPool{BufferPool: mem.DefaultBufferPool()}

	client, server := pair()
	require.NoError(t, server.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	_, _, err = server.ReadOnReady(512<<10, pool)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.Zero(t, pool.out, "nothing was there")
	require.NoError(t, server.SetReadDeadline(time.Time{}))
	_, err = io.WriteString(client, http2.ClientPreface)
	require.NoError(t, err)
	buffer, n, err := server.ReadOnReady(512<<10, pool)
	require.NoError(t, err)
	assert.Equal(t, http2.ClientPreface, string((*buffer)[:n]))
	assert.Equal(t, 1, pool.out)
	pool.Put(buffer)
	require.NoError(t, client.Close())
	_, _, err = server.ReadOnReady(512<<10, pool)
	require.ErrorIs(t, err, io.EOF)
	assert.Zero(t, pool.out)

	client, server = pair()
	w := newFrames(t)
	times(11, w.ping)()
	_, err = client.Write(w.Bytes())
	require.NoError(t, err)
	for err == nil {
		if buffer, _, err = server.ReadOnReady(16, pool); err == nil {
			pool.Put(buffer)
		}
	}
	require.ErrorIs(t, err, errFrames)
	_, _, err = server.ReadOnReady(16, pool)
	require.ErrorIs(t, err, errFrames)
	assert.Zero(t, pool.out)
}
