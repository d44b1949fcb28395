// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// handshakeTimeout is how long a handshake may take.
	handshakeTimeout = 10 * time.Second
	// mostHandshakes is how many may be under way at once. One more ends the oldest: those of honest senders are over in far
	// less time than it takes to open so many.
	mostHandshakes = 1024
)

// tlsListener hands a server the connections whose TLS handshake is over. The server would do it by itself, but only log, at
// a place that nobody can count at, those that fail. Safe for concurrent use.
type tlsListener struct {
	net.Listener
	e      *clusterIdentity
	config func() *tls.Config
	// accepted are the connections for the server, and the errors of the listener below.
	accepted chan accepted
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu sync.Mutex
	// pending are the connections within their handshake, the oldest first, each a *pending.
	pending *list.List
}

type accepted struct {
	conn net.Conn
	err  error
}

// pending is one connection within its handshake; crowded says that it had to make room. The listener's lock guards it.
type pending struct {
	conn    net.Conn
	crowded bool
}

var errTooManyHandshakes = errors.New("there are too many handshakes at once")

// listenTLS begins to take connections; config is asked at each of them.
func listenTLS(e *clusterIdentity, below net.Listener, config func() *tls.Config) *tlsListener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &tlsListener{Listener: below, e: e, config: config, accepted: make(chan accepted), ctx: ctx, cancel: cancel, pending: list.New()}
	l.running.Go(l.listen)
	return l
}

func (l *tlsListener) listen() {
	for l.ctx.Err() == nil {
		conn, err := l.Listener.Accept()
		if err != nil {
			// The server waits before it asks again.
			l.hand(nil, err)
			continue
		}
		l.running.Go(func() { l.shake(conn) })
	}
}

// shake does the handshake of one connection, and counts it if it fails.
func (l *tlsListener) shake(raw net.Conn) {
	leave := l.enter(raw)
	ctx, cancel := context.WithTimeout(l.ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Server(raw, l.config())
	err := conn.HandshakeContext(ctx)
	if leave() {
		err = errTooManyHandshakes
	}
	if err == nil {
		l.hand(conn, nil)
		return
	}
	if l.ctx.Err() == nil {
		l.e.gaveUp(receiverSide, raw.RemoteAddr(), err)
	}
	answerPlainHTTP(err)
	_ = raw.Close()
}

// enter notes a connection within its handshake; leave notes that this is over, and says whether it had to make room.
func (l *tlsListener) enter(conn net.Conn) (leave func() (crowded bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending.Len() >= mostHandshakes {
		oldest := l.pending.Remove(l.pending.Front()).(*pending)
		oldest.crowded = true
		_ = oldest.conn.Close()
	}
	own := &pending{conn: conn}
	place := l.pending.PushBack(own)
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !own.crowded {
			l.pending.Remove(place)
		}
		return own.crowded
	}
}

// hand gives the server a connection, or an error.
func (l *tlsListener) hand(conn net.Conn, err error) {
	select {
	case l.accepted <- accepted{conn, err}:
	case <-l.ctx.Done():
		if conn != nil {
			_ = conn.Close()
		}
	}
}

// Accept implements [net.Listener].
func (l *tlsListener) Accept() (net.Conn, error) {
	select {
	case next := <-l.accepted:
		return next.conn, next.err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. Handshakes end, and connections that were handed over live on.
func (l *tlsListener) Close() error {
	l.cancel()
	err := l.Listener.Close()
	l.running.Wait()
	return err
}

// closing says whether the listener was closed.
func (l *tlsListener) closing() bool { return l.ctx.Err() != nil }

// answerPlainHTTP tells a client that wrote http:// in place of https://, as net/http does.
func answerPlainHTTP(err error) {
	plain, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || plain.Conn == nil {
		return
	}
	switch string(plain.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		_ = plain.Conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nTLS is spoken here: write https:// in place of http://\n")
	}
}
