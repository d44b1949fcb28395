// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"errors"
	"io"
	"net"
	"syscall"

	"google.golang.org/grpc/mem"
)

// readyConn is a guarded connection without TLS. gRPC reads such connections into a buffer of 512 KiB that it takes only when
// something is there to read, which it cannot tell of a connection that somebody else wraps: that one has its buffer for as long
// as it is open. So this one tells by itself, in the way that gRPC asks for (its internal package readyreader).
type readyConn struct {
	*guardedConn
	raw  syscall.RawConn
	read func(fd uintptr) bool
	// What read is asked for, and what it found.
	size int
	pool mem.BufferPool
	into *[]byte
	n    int
	err  error
}

// whenReady adds what a connection of this system can.
func (g *guardedConn) whenReady() net.Conn {
	var own syscall.Conn
	switch conn := g.Conn.(type) {
	case *net.TCPConn:
		own = conn
	case *net.UnixConn:
		own = conn
	default:
		return g
	}
	raw, err := own.SyscallConn()
	if err != nil {
		return g
	}
	r := &readyConn{guardedConn: g, raw: raw}
	r.read = r.tryRead
	return r
}

// tryRead reads what is there, and says whether there was something, or an end.
func (r *readyConn) tryRead(fd uintptr) bool {
	r.into = r.pool.Get(r.size)
	for {
		r.n, r.err = syscall.Read(int(fd), *r.into) //nolint:gosec // a descriptor
		if !errors.Is(r.err, syscall.EINTR) {
			break
		}
	}
	if r.err != nil {
		r.give()
	}
	return !errors.Is(r.err, syscall.EAGAIN)
}

// give gives back the buffer.
func (r *readyConn) give() {
	r.pool.Put(r.into)
	r.into = nil
}

// ReadOnReady waits until there is something to read, takes a buffer from the pool and reads into it. The buffer is the caller's if
// there is no error.
func (r *readyConn) ReadOnReady(size int, pool mem.BufferPool) (into *[]byte, n int, err error) {
	if r.ended {
		return nil, 0, errFrames
	}
	r.size, r.pool = size, pool
	err = r.raw.Read(r.read)
	defer func() { r.pool, r.into, r.err = nil, nil, nil }()
	switch {
	case err != nil:
		if r.into != nil {
			r.give()
		}
		return nil, 0, err
	case r.err != nil:
		return nil, 0, r.err
	case r.n == 0:
		r.give()
		return nil, 0, io.EOF
	}
	if r.ends((*r.into)[:r.n]) {
		r.give()
		return nil, 0, errFrames
	}
	return r.into, r.n, nil
}
