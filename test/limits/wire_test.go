// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wire is an HTTP/2 connection whose frames are written one by one, as no client library would.
type wire struct {
	conn   net.Conn
	out    *bufio.Writer
	framer *http2.Framer

	mu      sync.Mutex
	changed *sync.Cond
	closed  bool
	next    uint32
	initial int64            // window of a new stream
	window  int64            // of the connection
	streams map[uint32]int64 // their windows; one that has ended is not in it
	reader  sync.WaitGroup
}

// dialWire connects from a loopback address.
func dialWire(t testing.TB, from, target string) *wire {
	t.Helper()
	conn, err := dialer(from).DialContext(context.Background(), "tcp", target)
	require.NoError(t, err)
	return newWire(t, conn)
}

// newWire begins HTTP/2 on a connection, which may be one of TLS.
func newWire(t testing.TB, conn net.Conn) *wire {
	t.Helper()
	out := bufio.NewWriterSize(conn, 64<<10)
	w := &wire{conn: conn, out: out, framer: http2.NewFramer(out, conn), next: 1, initial: 65535, window: 65535, streams: make(map[uint32]int64)}
	w.changed = sync.NewCond(&w.mu)
	_, err := out.WriteString(http2.ClientPreface)
	require.NoError(t, err)
	require.NoError(t, w.framer.WriteSettings())
	require.NoError(t, out.Flush())
	w.reader.Go(w.read)
	t.Cleanup(w.close)
	return w
}

func (w *wire) close() {
	_ = w.conn.Close()
	w.reader.Wait()
}

// read follows what the server allows until the connection ends.
func (w *wire) read() {
	for {
		frame, err := w.framer.ReadFrame()
		w.mu.Lock()
		if err != nil {
			w.closed = true
			w.changed.Broadcast()
			w.mu.Unlock()
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
				for id := range w.streams {
					w.streams[id] += int64(v) - w.initial
				}
				w.initial = int64(v)
			}
			if !f.IsAck() {
				_ = w.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = w.framer.WritePing(true, f.Data)
			}
		case *http2.WindowUpdateFrame:
			if f.StreamID == 0 {
				w.window += int64(f.Increment)
			} else if _, ok := w.streams[f.StreamID]; ok {
				w.streams[f.StreamID] += int64(f.Increment)
			}
		case *http2.RSTStreamFrame:
			delete(w.streams, f.StreamID)
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				delete(w.streams, f.StreamID)
			}
		}
		_ = w.out.Flush()
		w.changed.Broadcast()
		w.mu.Unlock()
	}
}

// open begins a call.
func (w *wire) open(method string) (uint32, error) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", method},
		{":authority", "agent"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			return 0, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	id := w.next
	w.next += 2
	w.streams[id] = w.initial
	if err := w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		return 0, err
	}
	return id, w.out.Flush()
}

// frames writes frames as fast as the connection takes them, whatever the windows say, until it ends.
func (w *wire) frames(n int, write func(*http2.Framer) error) {
	for range n {
		w.mu.Lock()
		closed := w.closed
		err := write(w.framer)
		w.mu.Unlock()
		if closed || err != nil {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.out.Flush()
}

// ended waits until the server has closed the connection, or for a while, and says whether it did.
func (w *wire) ended(patience time.Duration) bool {
	timeout := time.AfterFunc(patience, w.changed.Broadcast)
	defer timeout.Stop()
	began := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.closed && time.Since(began) < patience {
		w.changed.Wait()
	}
	return w.closed
}

// message is a gRPC message's head and as much of its body as is given; size is what the head says.
func message(size int, body []byte) []byte {
	head := binary.BigEndian.AppendUint32([]byte{0}, uint32(size)) //nolint:gosec // small
	return append(head, body...)
}

// data sends data of a call in frames of at most size bytes as the server's windows allow, and returns how much it could
// until the stream or the connection ended or nothing was allowed for a while.
func (w *wire) data(id uint32, data []byte, size int, patience time.Duration) (sent int) {
	stalled := time.AfterFunc(patience, w.changed.Broadcast)
	defer stalled.Stop()
	last := time.Now()
	for sent < len(data) {
		w.mu.Lock()
		window, open := w.streams[id]
		if window <= 0 || w.window <= 0 {
			_ = w.out.Flush()
		}
		for open && !w.closed && (window <= 0 || w.window <= 0) && time.Since(last) < patience {
			w.changed.Wait()
			window, open = w.streams[id]
		}
		if !open || w.closed || window <= 0 || w.window <= 0 {
			w.mu.Unlock()
			return sent
		}
		n := min(int64(size), int64(len(data)-sent), window, w.window)
		w.streams[id] -= n
		w.window -= n
		err := w.framer.WriteData(id, false, data[sent:sent+int(n)])
		w.mu.Unlock()
		if err != nil {
			return sent
		}
		sent += int(n)
		last = time.Now()
		stalled.Reset(patience)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.out.Flush()
	return sent
}
