// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// GetGRPCServerOptions returns the options that put the limits into a receiver's server. A receiver that brings a codec of
// its own keeps it, and gets the limits of connections, streams and headers alone.
func (l *requestLimits) GetGRPCServerOptions(context.Context) ([]grpc.ServerOption, error) {
	zstd, err := newBoundedZstd(l.cfg.Request.MaxBytes)
	if err != nil {
		return nil, err
	}
	c := &calls{requestLimits: l, codec: &codec{next: encoding.GetCodecV2("proto")}}
	var transport []grpc.ServerOption
	if l.plaintext.Load() {
		transport = []grpc.ServerOption{grpc.Creds(newPlaintext(l))}
	}
	return append(transport,
		grpc.ForceServerCodecV2(c.codec),
		grpc.RPCDecompressor(zstd),                                                     //nolint:staticcheck // see boundedZstd
		grpc.MaxHeaderListSize(uint32(min(l.cfg.MaxHeaderBytes, math.MaxInt32))),       //nolint:gosec // at least 1024
		grpc.MaxConcurrentStreams(uint32(min(l.cfg.MaxStreamsPerPeer, math.MaxInt32))), //nolint:gosec // at least 1
		// Windows that gRPC measures by itself grow to 16 MiB for each stream, of which nobody has read anything yet.
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connectionWindow),
		// Connections that never begin are closed.
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.InTapHandle(c.admit),
		grpc.StatsHandler(c),
		grpc.ChainUnaryInterceptor(c.unary),
	), nil
}

const (
	// streamWindow is what a sender may send before its call is read; the least that HTTP/2 allows without a round trip.
	streamWindow = 64<<10 - 1
	// connectionWindow costs no memory, as the windows of streams bound what is kept: it is how much may be on the way.
	connectionWindow = 16 << 20
	// handshakeTimeout is how long a connection may take until the first frame, TLS included.
	handshakeTimeout = 10 * time.Second
)

// exports are the calls whose message is read in turn. Streams, such as those of Envoy, wait for their next message most of
// the time: they have no turn.
var exports = map[string]bool{
	"/opentelemetry.proto.collector.trace.v1.TraceService/Export":     true,
	"/opentelemetry.proto.collector.logs.v1.LogsService/Export":       true,
	"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": true,
	// These are refused, but only once they are whole.
	"/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export": true,
}

// calls holds one server to the limits.
type calls struct {
	*requestLimits
	codec *codec
}

var _ stats.Handler = (*calls)(nil)

type (
	callKey       struct{}
	connectionKey struct{}
)

// call is one stream. Its place is given back once: when its handler has returned, or, if it never came to a handler, when
// its context ends. A sender that breaks off while the handler works gets no second place meanwhile.
type call struct {
	ledger *ledger
	turns  *turns
	peer   string
	// cancel ends the reading of its message.
	cancel context.CancelFunc
	// heard is when its last message came, or its begin; of streams.
	heard atomic.Int64

	mu           sync.Mutex
	begun, ended bool
	turn         *turn
	// unread is why it was made to end before its message was whole.
	unread *refusal
	// payload is the message that may wait in the codec; judged says that it did not wait in vain.
	payload any
	judged  bool
}

func (c *call) end() {
	if !c.ended {
		c.ended = true
		c.ledger.close(c.peer)
	}
}

// abandoned runs when the stream's context ends.
func (c *call) abandoned() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun {
		c.end()
		c.read()
	}
}

// read gives back the call's turn. The lock is held.
func (c *call) read() {
	if c.turn == nil {
		return
	}
	if c.turns.done(c.turn) {
		c.unread = tooSlow(0)
	}
	c.turn = nil
}

// complete notes that all of the call's message has come, and says whether it may be decoded: not if it was made to stop or had
// no turn. Its context has ended then, but gRPC hands over what it has all the same.
func (c *call) complete() bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn != nil && !c.turns.complete(c.turn) {
		c.read()
	}
	if c.unread != nil {
		return false
	}
	c.judged = true
	return true
}

// counted gives back the call's turn: what its message takes is counted from here on.
func (c *call) counted() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read()
}

// connection is one connection; over says that it is beyond the limit.
type connection struct {
	peer string
	mu   sync.Mutex
	over bool
}

// admit runs before a stream exists and before anything of its message is read. It may not block: the connection waits.
func (c *calls) admit(ctx context.Context, _ *tap.Info) (context.Context, error) {
	from := peerIn(ctx)
	if conn, ok := ctx.Value(connectionKey{}).(*connection); ok && !c.connected(conn) {
		return nil, c.unavailable(from, reasonConnections, "too many connections ('max_connections', 'max_connections_per_peer')")
	}
	if !c.ledger.open(from) {
		return nil, c.unavailable(from, reasonStreams, "too many streams ('max_streams', 'max_streams_per_peer')")
	}
	ctx, cancel := context.WithCancel(ctx)
	own := &call{ledger: c.ledger, turns: c.turns, peer: from, cancel: cancel}
	context.AfterFunc(ctx, own.abandoned)
	return context.WithValue(ctx, callKey{}, own), nil
}

// unavailable refuses a stream. gRPC sends no details from here, and without them UNAVAILABLE is the code that is retried.
func (c *calls) unavailable(from string, why reason, message string) error {
	r := &refusal{reason: why, message: prefix + message, code: codes.Unavailable}
	c.countRefused(overGRPC, from, r)
	return status.Error(r.code, r.message)
}

// connected says whether a connection may be used; one that was too much may be, once others are gone.
func (c *calls) connected(conn *connection) bool {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.over && c.ledger.connect(conn.peer) {
		conn.over = false
		c.ledger.over(-1)
	}
	return !conn.over
}

// TagConn counts a connection.
func (c *calls) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	conn := &connection{peer: "unknown"}
	if info.RemoteAddr != nil {
		conn.peer = peerOf(info.RemoteAddr.String())
	}
	if !c.ledger.connect(conn.peer) {
		conn.over = true
		c.ledger.over(1)
	}
	return context.WithValue(ctx, connectionKey{}, conn)
}

// HandleConn gives back the place of a connection.
func (c *calls) HandleConn(ctx context.Context, event stats.ConnStats) {
	conn, ok := ctx.Value(connectionKey{}).(*connection)
	if _, end := event.(*stats.ConnEnd); !ok || !end {
		return
	}
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.over {
		c.ledger.over(-1)
		return
	}
	c.ledger.disconnect(conn.peer)
}

// TagRPC waits for the turn of a call: it runs in the call's own goroutine, before anything of its message is read.
func (c *calls) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	own, ok := ctx.Value(callKey{}).(*call)
	if !ok || !exports[info.FullMethodName] {
		return ctx
	}
	turn, ok := c.turns.take(ctx, own.peer, own.cancel)
	own.mu.Lock()
	defer own.mu.Unlock()
	switch {
	case !ok:
		// Also if its sender gave up first: it did so waiting.
		own.unread = noTurn(0)
		own.cancel()
	case ctx.Err() != nil:
		own.turn = turn
		own.read()
	default:
		own.turn = turn
	}
	return ctx
}

// HandleRPC follows a call from its handler's begin to its end.
func (c *calls) HandleRPC(ctx context.Context, event stats.RPCStats) {
	own, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return
	}
	own.mu.Lock()
	defer own.mu.Unlock()
	switch event := event.(type) {
	case *stats.Begin:
		own.begun = true
		// The messages of a stream are the receiver's own affair, and so are its errors.
		own.judged = event.IsClientStream || event.IsServerStream
		if own.judged {
			own.heard.Store(event.BeginTime.UnixNano())
			c.relief.add(own)
		}
	case *stats.InPayload:
		own.payload = event.Payload
		own.heard.Store(event.RecvTime.UnixNano())
	case *stats.End:
		if own.payload != nil {
			c.codec.drop(own.payload)
		}
		own.end()
		own.read()
		own.cancel()
		c.relief.remove(own)
		switch {
		case own.unread != nil && event.Error != nil:
			c.countRefused(overGRPC, own.peer, own.unread)
		case own.judged:
		default:
			c.countUnread(own.peer, event.Error)
		}
	}
}

// countUnread counts a request that gRPC refused by itself: too long, or not what its compression says.
func (c *calls) countUnread(from string, err error) {
	switch s := status.Convert(err); s.Code() {
	case codes.ResourceExhausted:
		c.countRefused(overGRPC, from, &refusal{reason: reasonRequestBytes, message: s.Message()})
	case codes.Internal:
		c.countRefused(overGRPC, from, &refusal{reason: reasonUnreadable, message: s.Message()})
	}
}

// unary counts a request, decodes it if it is within the limits, and holds its memory until its handler has returned.
func (c *calls) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	own, _ := ctx.Value(callKey{}).(*call)
	if !own.complete() {
		return nil, status.FromContextError(context.Canceled).Err()
	}
	if _, ok := req.(ownEncoding); !ok {
		own.counted()
		return next(ctx, req)
	}
	from := peerIn(ctx)
	held := &held{ledger: c.ledger, peer: from, after: c.cfg.RetryAfter}
	defer held.release()
	refused := c.decode(req, held)
	own.counted()
	if refused != nil {
		c.countRefused(overGRPC, from, refused)
		return nil, refused.grpc().Err()
	}
	c.countAdmitted(overGRPC)
	return next(ctx, req)
}

// decode counts the bytes that wait for a message, and decodes them into it.
func (c *calls) decode(req any, held *held) *refusal {
	buf, ok := c.codec.take(req)
	if !ok {
		return malformed("there is no request")
	}
	defer buf.Free()
	size, most := int64(buf.Len()), c.cfg.Request.MaxBytes
	if size > most {
		return tooMuch(reasonRequestBytes, fmt.Sprintf("the request is over 'request::max_bytes' (%d)", most))
	}
	signal := signalOf(req)
	if signal == 0 {
		return &refusal{
			reason: reasonUnknownMessage, code: codes.Unimplemented, message: prefix + "this kind of request is not known here",
		}
	}
	decoded, refused := c.judge(signal, buf.ReadOnlyData(), false)
	if refused != nil {
		return refused
	}
	if refused = held.take(size + decoded); refused != nil {
		return refused
	}
	if err := c.codec.next.Unmarshal(mem.BufferSlice{buf}, req); err != nil {
		return malformed(err.Error())
	}
	return nil
}

func peerIn(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return peerOf(p.Addr.String())
	}
	return "unknown"
}
