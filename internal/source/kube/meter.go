// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// meter watches the connections to the API server. When bytes arrive, even those of an answer to a ping, then all that
// the server had sent before has arrived too: that is the proof that a silent watch missed nothing until then. It also
// counts the bytes.
type meter struct {
	now           func() time.Time
	read, written atomic.Uint64

	mu   sync.Mutex
	open map[*connection]struct{}
}

func newMeter(now func() time.Time) *meter {
	return &meter{now: now, open: map[*connection]struct{}{}}
}

// connection counts what one connection carries.
type connection struct {
	net.Conn
	meter *meter
	// heard is when bytes arrived last, in Unix nanoseconds.
	heard  atomic.Int64
	closed sync.Once
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// dialer returns dial with its connections watched.
func (m *meter) dialer(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, meter: m}
		c.heard.Store(m.now().UnixNano())
		m.mu.Lock()
		m.open[c] = struct{}{}
		m.mu.Unlock()
		return c, nil
	}
}

// Read is [net.Conn.Read].
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(c.meter.now().UnixNano())
		c.meter.read.Add(uint64(n))
	}
	return n, err
}

// Write is [net.Conn.Write].
func (c *connection) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.meter.written.Add(uint64(max(n, 0)))
	return n, err
}

// Close is [net.Conn.Close].
func (c *connection) Close() error {
	c.closed.Do(func() {
		c.meter.mu.Lock()
		delete(c.meter.open, c)
		c.meter.mu.Unlock()
	})
	return c.Conn.Close()
}

// heard returns until when every open connection was heard from. It is false if none is open.
func (m *meter) heard() (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var oldest int64
	for c := range m.open {
		if h := c.heard.Load(); oldest == 0 || h < oldest {
			oldest = h
		}
	}
	return time.Unix(0, oldest), oldest != 0
}
