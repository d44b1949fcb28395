// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"errors"
	"net"
	"time"

	"golang.org/x/net/http2"
)

const (
	// smallFrame is the payload, in bytes, below which a DATA frame that does not end its stream is a small one. gRPC keeps an
	// object of some 80 bytes for each frame of a message until the message is whole.
	smallFrame = 64
	// fullFrame is how many bytes of payload make up for one frame that brings nothing: what windows of flow control cut off
	// before and after it. Senders of large messages have a rest now and then.
	fullFrame = 4096
	// perCall is how many frames that bring nothing a call may have: what clients send beside their answers, such as a larger
	// window and the ping with which gRPC measures the line.
	perCall = 4
	// frameHead is the length of a frame's head: RFC 9113, 4.1.
	frameHead = 9
)

var errFrames = errors.New(prefix + "the connection was ended: it has too many frames that bring nothing")

// GuardConn watches what a client sends over an HTTP/2 connection, and ends the connection if that is frames that bring nothing:
// conn is what the server reads from, behind TLS. Whoever sets the TLS of a gRPC server calls it, as nobody else is shown the
// connection: see cluster_identity.
func (l *requestLimits) GuardConn(conn net.Conn) net.Conn {
	now := l.now()
	most := int64(l.cfg.MaxSmallFrames)
	g := &guardedConn{
		Conn: conn, l: l, passed: len(http2.ClientPreface),
		small: allowance{left: most, since: now}, control: allowance{left: most, since: now},
	}
	return g.whenReady()
}

// guardedConn follows the frames that are read. It is read by one goroutine.
type guardedConn struct {
	net.Conn
	l *requestLimits
	// passed is how much of the frame's payload is still to come, head its head as far as it has come: the first length bytes.
	passed int
	head   [frameHead]byte
	length int
	// bytes are those of payloads that did not make up for a frame yet.
	bytes int64
	// small bounds DATA frames of a few bytes, of which a message can be made that takes many times its size; control all other
	// frames that cost the server work and bring it nothing.
	small, control allowance
	ended          bool
	// known says that the extension will end it, should it be left when the receiver ends.
	known bool
}

// Read implements [net.Conn].
func (g *guardedConn) Read(into []byte) (int, error) {
	if g.ended {
		return 0, errFrames
	}
	if !g.known {
		// Not before: gRPC closes only what it has begun to read from.
		g.known = true
		g.l.ending.add(g)
	}
	n, err := g.Conn.Read(into)
	if g.ends(into[:n]) {
		return 0, errFrames
	}
	return n, err
}

// Close implements [net.Conn].
func (g *guardedConn) Close() error {
	g.l.ending.remove(g)
	return g.Conn.Close()
}

// ends follows what was read, and says whether the connection ends with it.
func (g *guardedConn) ends(b []byte) bool {
	why := g.follow(b)
	if why == "" {
		return false
	}
	g.ended = true
	g.l.tooManyFrames(g.RemoteAddr(), why)
	return true
}

// follow reads the heads of frames, and returns of which there are too many.
func (g *guardedConn) follow(b []byte) reason {
	for {
		n := min(g.passed, len(b))
		g.passed -= n
		b = b[n:]
		if len(b) == 0 {
			return ""
		}
		n = copy(g.head[g.length:], b)
		g.length += n
		b = b[n:]
		if g.length < frameHead {
			return ""
		}
		g.length = 0
		g.passed = int(g.head[0])<<16 | int(g.head[1])<<8 | int(g.head[2])
		if why := g.frame(http2.FrameType(g.head[3]), http2.Flags(g.head[4]), g.passed); why != "" {
			return why
		}
	}
}

// frame takes one frame from what the connection may still have.
func (g *guardedConn) frame(kind http2.FrameType, flags http2.Flags, length int) reason {
	spend, why := &g.control, reasonControlFrames
	switch {
	case kind == http2.FrameHeaders:
		g.control.earn(perCall)
		return ""
	case kind != http2.FrameData:
	case flags.Has(http2.FlagDataPadded):
		// How much of it is padding stands behind the head. Nobody pads telemetry.
		spend, why = &g.small, reasonSmallFrames
	case length >= smallFrame:
		if g.bytes += int64(length); g.bytes >= fullFrame {
			g.small.earn(g.bytes / fullFrame)
			g.control.earn(g.bytes / fullFrame)
			g.bytes %= fullFrame
		}
		return ""
	case !flags.Has(http2.FlagDataEndStream):
		spend, why = &g.small, reasonSmallFrames
	}
	if !spend.take(g.l) {
		return why
	}
	return ""
}

// allowance is how many frames of a kind a connection may still have. Only when none is left the clock is looked at.
type allowance struct {
	left, earned int64
	since        time.Time
}

func (a *allowance) earn(n int64) { a.earned += n }

// take takes one and says whether there was one.
func (a *allowance) take(l *requestLimits) bool {
	if a.left == 0 {
		now := l.now()
		passed := min(max(now.Sub(a.since).Seconds(), 0), float64(l.cfg.MaxSmallFrames))
		a.left = min(a.earned+int64(passed*float64(l.cfg.MaxSmallFramesPerSecond)), int64(l.cfg.MaxSmallFrames))
		a.earned, a.since = 0, now
	}
	if a.left == 0 {
		return false
	}
	a.left--
	return true
}

// tooManyFrames counts a connection that was ended.
func (l *requestLimits) tooManyFrames(from net.Addr, why reason) {
	peer := "unknown"
	if from != nil {
		peer = peerOf(from.String())
	}
	l.countRefused(overGRPC, peer, &refusal{
		reason:  why,
		message: prefix + "ended a connection with too many frames that bring nothing ('max_small_frames', 'max_small_frames_per_second')",
	})
}
