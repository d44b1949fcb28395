// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// frames are frames as a client writes them, behind its preface.
type frames struct {
	bytes.Buffer
	*http2.Framer
	t testing.TB
}

func newFrames(t testing.TB) *frames {
	f := &frames{t: t}
	f.WriteString(http2.ClientPreface)
	f.Framer = http2.NewFramer(&f.Buffer, nil)
	return f
}

func (f *frames) must(err error) { require.NoError(f.t, err) }

func (f *frames) settings() { f.must(f.WriteSettings()) }
func (f *frames) ack()      { f.must(f.WriteSettingsAck()) }
func (f *frames) ping()     { f.must(f.WritePing(false, [8]byte{})) }
func (f *frames) window()   { f.must(f.WriteWindowUpdate(0, 1)) }
func (f *frames) reset()    { f.must(f.WriteRSTStream(1, http2.ErrCodeCancel)) }
func (f *frames) priority() { f.must(f.WritePriority(1, http2.PriorityParam{Weight: 1})) }
func (f *frames) more()     { f.must(f.WriteContinuation(1, false, nil)) }
func (f *frames) unknown()  { f.must(f.WriteRawFrame(0xfa, 0, 0, []byte("grease"))) }
func (f *frames) head(id uint32) {
	f.must(f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x83}, EndHeaders: true}))
}
func (f *frames) data(id uint32, n int, end bool) { f.must(f.WriteData(id, end, make([]byte, n))) }
func (f *frames) padded(n, pad int) {
	f.must(f.WriteDataPadded(1, false, make([]byte, n), make([]byte, pad)))
}

// times repeats a kind of frame.
func times(n int, write func()) func() {
	return func() {
		for range n {
			write()
		}
	}
}

// recorded is a connection on which nothing but these bytes comes.
type recorded struct {
	net.Conn
	*bytes.Reader
}

func (r *recorded) Read(into []byte) (int, error) { return r.Reader.Read(into) }
func (*recorded) RemoteAddr() net.Addr            { return nil }

// through sends what was written through a guard, in reads of at most chunk bytes (0 is a random number each time).
func through(l *requestLimits, sent []byte, chunk int) error {
	guarded := l.GuardConn(&recorded{Reader: bytes.NewReader(sent)})
	into := make([]byte, max(chunk, 40))
	for {
		n := chunk
		if n == 0 {
			n = 1 + rand.IntN(40) //nolint:gosec // any
		}
		if _, err := guarded.Read(into[:n]); err == io.EOF { //nolint:errorlint // of the reader
			return nil
		} else if err != nil {
			return err
		}
	}
}

// TestFramesThatBringNothing holds what ends a connection and what does not, however the bytes come.
func TestFramesThatBringNothing(t *testing.T) {
	const most = 100
	f := newFixture(t, func(c *Config) { c.MaxSmallFrames, c.MaxSmallFramesPerSecond = most, 1 }, nil, nil)
	start := time.Now()
	f.now = func() time.Time { return start }
	const over = most + 1
	for name, c := range map[string]struct {
		write  func(w *frames) func()
		reason string
	}{
		"a byte in each": {func(w *frames) func() { return times(over, func() { w.data(1, 1, false) }) }, "small_frames"},
		"empty":          {func(w *frames) func() { return times(over, func() { w.data(1, 0, false) }) }, "small_frames"},
		"of many streams": {func(w *frames) func() {
			n := uint32(0)
			return times(over, func() { n++; w.head(2*n + 1); w.data(2*n+1, 63, false) })
		}, "small_frames"},
		"padded":           {func(w *frames) func() { return times(over, func() { w.padded(1, 255) }) }, "small_frames"},
		"pings":            {func(w *frames) func() { return times(over, w.ping) }, "control_frames"},
		"settings":         {func(w *frames) func() { return times(over, w.settings) }, "control_frames"},
		"acks":             {func(w *frames) func() { return times(over, w.ack) }, "control_frames"},
		"windows":          {func(w *frames) func() { return times(over, w.window) }, "control_frames"},
		"resets":           {func(w *frames) func() { return times(over, w.reset) }, "control_frames"},
		"priorities":       {func(w *frames) func() { return times(over, w.priority) }, "control_frames"},
		"continuations":    {func(w *frames) func() { return times(over, w.more) }, "control_frames"},
		"of no known kind": {func(w *frames) func() { return times(over, w.unknown) }, "control_frames"},
		"ends of streams":  {func(w *frames) func() { return times(over, func() { w.data(1, 0, true) }) }, "control_frames"},
		"as many as may be": {func(w *frames) func() {
			return times(most, func() { w.data(1, 1, false); w.ping() })
		}, ""},
		"not so small": {func(w *frames) func() { return times(10*most, func() { w.data(1, smallFrame, false) }) }, ""},
		// A call of gRPC in Go: its answer is followed by a window and a ping.
		"small calls": {func(w *frames) func() {
			n := uint32(0)
			return times(10*most, func() { n++; w.head(2*n + 1); w.data(2*n+1, 5, true); w.window(); w.ping() })
		}, ""},
		// What a window of flow control leaves of a frame.
		"large messages": {func(w *frames) func() {
			return times(2*most, func() { w.data(1, 16383, false); w.data(1, 1, false); w.window() })
		}, ""},
		// Junk does not buy many of them.
		"in between": {func(w *frames) func() { return times(10*most, func() { w.data(3, 64, false); w.data(1, 1, false) }) }, "small_frames"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFrames(t)
			c.write(w)()
			for _, chunk := range []int{0, 1, 7, 1 << 16} {
				before, _ := f.refused(t)
				err := through(f.requestLimits, w.Bytes(), chunk)
				after, _ := f.refused(t)
				if c.reason == "" {
					require.NoError(t, err)
					require.Equal(t, before, after)
					continue
				}
				require.ErrorIs(t, err, errFrames)
				before[c.reason]++
				require.Equal(t, before, after, "one connection, counted once")
			}
		})
	}
}

// TestFramesOverTime: so many a second may come all the time, and not a few more.
func TestFramesOverTime(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxSmallFrames, c.MaxSmallFramesPerSecond = 100, 50 }, nil, nil)
	for rate, ends := range map[int]bool{49: false, 60: true} {
		now := time.Now()
		var clock atomic.Pointer[time.Time]
		clock.Store(&now)
		f.now = func() time.Time { return *clock.Load() }
		g := f.GuardConn(&reread{}).(*guardedConn)
		w := newFrames(t)
		g.follow(w.Bytes())
		w.Reset()
		w.ping()
		ended := false
		for n := range 60 * rate {
			at := now.Add(time.Duration(n) * time.Second / time.Duration(rate))
			clock.Store(&at)
			if g.follow(w.Bytes()) != "" {
				ended = true
				break
			}
		}
		assert.Equal(t, ends, ended, "%d a second", rate)
	}
}

// open begins a call by hand and returns its connection.
func open(t *testing.T, address string) (net.Conn, *http2.Framer) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", tracesMethod}, {":authority", "hub"}, {"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		require.NoError(t, encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	framer := http2.NewFramer(conn, conn)
	require.NoError(t, framer.WriteSettings())
	require.NoError(t, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}))
	return conn, framer
}

// TestAConnectionOfSmallFramesIsEnded: by the receiver as it is, and others are served.
func TestAConnectionOfSmallFramesIsEnded(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxSmallFrames, c.MaxSmallFramesPerSecond = 1000, 1 }, nil, nil)
	honestConn := f.dial(t, "127.0.0.8")
	require.NoError(t, send(t.Context(), honestConn, tracesMethod, honest(t, 10)))
	conn, framer := open(t, f.grpc)
	require.NoError(t, framer.WriteData(1, false, []byte{0, 0, 0x40, 0, 0}))
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	go func() {
		var many bytes.Buffer
		small := http2.NewFramer(&many, nil)
		for range 2000 {
			_ = small.WriteData(1, false, []byte{0})
		}
		_, _ = conn.Write(many.Bytes())
	}()
	_, err := io.Copy(io.Discard, conn)
	if err != nil {
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.NotContains(t, err.Error(), "timeout")
	}
	f.refusedSoon(t, map[string]int64{"small_frames": 1})
	require.NoError(t, send(t.Context(), honestConn, tracesMethod, honest(t, 10)))
	f.idle(t)
}

// TestClientsOfGRPCAreNotHit: small calls and large ones on one connection, as fast as they go, make up for what stands between
// them: they need hardly any of what a connection may have beyond it.
func TestClientsOfGRPCAreNotHit(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxSmallFrames, c.MaxSmallFramesPerSecond = 100, 1 }, nil, nil)
	conn := f.dial(t, "")
	for range 1000 {
		require.NoError(t, send(t.Context(), conn, logsMethod, nil))
	}
	large := honest(t, 30_000)
	for range 5 {
		require.NoError(t, send(t.Context(), conn, tracesMethod, large))
	}
	byReason, _ := f.refused(t)
	require.Empty(t, byReason)
}

// reread is a connection that brings the same bytes again and again.
type reread struct {
	net.Conn
	data []byte
	at   int
}

func (r *reread) Read(into []byte) (int, error) {
	n := copy(into, r.data[r.at:])
	r.at = (r.at + n) % len(r.data)
	return n, nil
}

// BenchmarkGuard is what the guard adds to the reading of a request of so many bytes.
func BenchmarkGuard(b *testing.B) {
	f := newFixture(b, nil, nil, nil)
	for _, size := range []int{500, 16 << 10, 4 << 20} {
		w := newFrames(b)
		w.Reset()
		w.head(1)
		for left := size; left > 0; left -= 16 << 10 {
			w.data(1, min(left, 16<<10), left <= 16<<10)
		}
		w.window()
		w.ping()
		b.Run("bytes="+strconv.Itoa(size), func(b *testing.B) {
			g := f.GuardConn(&reread{data: w.Bytes()}).(*guardedConn)
			g.passed = 0
			b.ReportAllocs()
			for b.Loop() {
				if why := g.follow(w.Bytes()); why != "" {
					b.Fatal(why)
				}
			}
		})
	}
}

// BenchmarkExport is a whole call of 100 spans, with the guard and without it.
func BenchmarkExport(b *testing.B) {
	for name, guarded := range map[string]bool{"guarded": true, "alone": false} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b, nil, nil, nil)
			f.plaintext.Store(guarded)
			options, err := f.GetGRPCServerOptions(b.Context())
			require.NoError(b, err)
			server := grpc.NewServer(append(options, grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
				var in []byte
				if err := s.RecvMsg(&in); err != nil {
					return err
				}
				return s.SendMsg([]byte{})
			}), grpc.ForceServerCodecV2(rawCodec{}))...)
			address := listen(b, server)
			defer server.Stop()
			conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
			require.NoError(b, err)
			defer conn.Close()
			body := honest(b, 100)
			b.ReportAllocs()
			for b.Loop() {
				if err := send(b.Context(), conn, tracesMethod, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
