// SPDX-License-Identifier: Apache-2.0

package fakeapi

import (
	"cmp"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// Count is what one kind of request cost.
type Count struct {
	// Request is the verb and the resource, such as "WATCH pods".
	Request string
	// Requests is how many began.
	Requests int
	// Bytes is the size of the answers' bodies; Wire is what of them went over the network, after compression.
	Bytes, Wire int64
}

// counters adds up what was asked for and answered. Safe for concurrent use.
type counters struct {
	mu  sync.Mutex
	all map[string]*Count
}

func (c *counters) add(request string, requests int, bytes, wire int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]*Count{}
	}
	n := c.all[request]
	if n == nil {
		n = &Count{Request: request}
		c.all[request] = n
	}
	n.Requests += requests
	n.Bytes += bytes
	n.Wire += wire
}

// take returns what was counted since it was called last, by request.
func (c *counters) take() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := Counts{}
	for _, request := range slices.Sorted(maps.Keys(c.all)) {
		all = append(all, *c.all[request])
	}
	c.all = nil
	slices.SortStableFunc(all, func(a, b Count) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return all
}

// Counts is a table of requests, the one with the most bytes first.
type Counts []Count

// Total adds up all.
func (c Counts) Total() Count {
	var sum Count
	for _, n := range c {
		sum.Requests += n.Requests
		sum.Bytes += n.Bytes
		sum.Wire += n.Wire
	}
	return sum
}

// counted counts what is written through it, as it is written: a watch ends late.
type counted struct {
	w          io.Writer
	counters   *counters
	request    string
	compressed bool
	wire       bool
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	switch {
	case c.wire:
		c.counters.add(c.request, 0, 0, int64(n))
	case c.compressed:
		c.counters.add(c.request, 0, int64(n), 0)
	default:
		c.counters.add(c.request, 0, int64(n), int64(n))
	}
	return n, err
}

// network counts what connections carry.
type network struct{ sent, received atomic.Int64 }

type countedListener struct {
	net.Listener
	network *network
}

func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{c, l.network}, nil
}

type countedConn struct {
	net.Conn
	network *network
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.network.received.Add(int64(max(n, 0)))
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.network.sent.Add(int64(max(n, 0)))
	return n, err
}
