// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy forwards TCP connections to an API server, counts the bytes, and disturbs them on demand. TLS goes through it
// untouched. It is safe for concurrent use.
type Proxy struct {
	listener net.Listener
	upstream string
	done     chan struct{}
	wait     sync.WaitGroup

	accepted, sent, received atomic.Int64

	mu      sync.Mutex
	links   map[*link]struct{}
	refuse  bool
	flowing chan struct{} // closed while bytes flow
}

// link is one connection with its counterpart.
type link struct {
	client, server net.Conn
	once           sync.Once
	gone           chan struct{}
}

// NewProxy returns another proxy in front of the API server, on a port of its own: for a client whose bytes are to be
// counted, or whose connections are to be cut, apart from all others. Close it.
func (c *Cluster) NewProxy() (*Proxy, error) { return newProxy(address(0), address(c.apiPort)) }

func newProxy(listen, upstream string) (*Proxy, error) {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", listen)
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		listener: l, upstream: upstream, done: make(chan struct{}),
		links: map[*link]struct{}{}, flowing: make(chan struct{}),
	}
	close(p.flowing)
	p.wait.Go(p.accept)
	return p, nil
}

// URL returns the address of the API server as clients of the proxy see it.
func (p *Proxy) URL() string { return "https://" + p.listener.Addr().String() }

// Connections returns how many connections the proxy has accepted since it started.
func (p *Proxy) Connections() int64 { return p.accepted.Load() }

// Sent returns how many bytes clients have sent to the API server, TLS included.
func (p *Proxy) Sent() int64 { return p.sent.Load() }

// Received returns how many bytes the API server has sent to clients, TLS included.
func (p *Proxy) Received() int64 { return p.received.Load() }

// Cut resets all connections that there are, also in the middle of a watch, and returns how many. New ones are accepted.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.links)
	for l := range p.links {
		l.cut()
	}
	return n
}

// Refuse cuts all connections and resets new ones as soon as they come, until [Proxy.Resume].
func (p *Proxy) Refuse() {
	p.mu.Lock()
	p.refuse = true
	p.mu.Unlock()
	p.Cut()
}

// Stall keeps all connections open, and accepts new ones, but lets no byte through until [Proxy.Resume]: a network that
// swallows packets. Nothing is lost.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flowing:
		p.flowing = make(chan struct{})
	default:
	}
}

// Resume ends [Proxy.Stall] and [Proxy.Refuse].
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = false
	select {
	case <-p.flowing:
	default:
		close(p.flowing)
	}
}

// Close ends all connections and returns when nothing of the proxy runs anymore. It may be called more than once.
func (p *Proxy) Close() {
	p.mu.Lock()
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	p.mu.Unlock()
	p.listener.Close()
	p.Cut()
	p.wait.Wait()
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			select {
			case <-p.done:
				return
			case <-time.After(time.Millisecond): // out of file descriptors, for instance
				continue
			}
		}
		p.accepted.Add(1)
		p.wait.Go(func() { p.serve(conn) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	var dialer net.Dialer
	server, err := dialer.DialContext(ctx, "tcp", p.upstream)
	if err != nil {
		reset(client)
		return
	}
	l := &link{client: client, server: server, gone: make(chan struct{})}
	if !p.add(l) {
		l.cut()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.forward(l, server, client, &p.sent) })
	both.Go(func() { p.forward(l, client, server, &p.received) })
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// add registers a connection unless there are to be none.
func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return false
	default:
	}
	if p.refuse {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

// forward copies until one side ends, which ends the other one too: no client of an API server half-closes.
func (p *Proxy) forward(l *link, to io.Writer, from io.Reader, count *atomic.Int64) {
	defer l.cut()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			p.mu.Lock()
			flowing := p.flowing
			p.mu.Unlock()
			select {
			case <-flowing:
			case <-l.gone:
				return
			}
			count.Add(int64(n)) // first, so that what the other side has is counted
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *link) cut() {
	l.once.Do(func() {
		close(l.gone)
		reset(l.client)
		reset(l.server)
	})
}

// reset closes a connection in a way that the other side notices at once, as an error.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Without it the connection ends in order, which is as good for all but the error's text.
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}
