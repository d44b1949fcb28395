// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestWhatIsCompleteIsNotMadeToStop holds that a request whose last byte has come is not stopped for what the process itself
// takes: on a busy node each would be, and come again.
func TestWhatIsCompleteIsNotMadeToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turnsOf(1, 1)
		own, ok := turns.take(t.Context(), "a", func() { t.Error("it is made to stop") })
		require.True(t, ok)
		require.True(t, turns.complete(own))
		_, ok = turns.take(t.Context(), "b", func() {})
		require.False(t, ok, "the turn is still in use")
		time.Sleep(2 * turns.cfg.MaxReadTime)
		synctest.Wait()
		require.False(t, turns.done(own))
		require.Empty(t, turns.peers)
	})
}

// TestSlowOnesStopBesideCompleteOnes has somebody wait while one turn is in use and another held by a slow sender.
func TestSlowOnesStopBesideCompleteOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turnsOf(2, 1)
		busy, ok := turns.take(t.Context(), "busy", func() {})
		require.True(t, ok)
		require.True(t, turns.complete(busy))
		var slow *turn
		slow, ok = turns.take(t.Context(), "slow", func() { go turns.done(slow) })
		require.True(t, ok)
		time.Sleep(turns.cfg.MinReadTime)
		begin := time.Now()
		own, ok := turns.take(t.Context(), "quick", func() {})
		require.True(t, ok)
		require.Less(t, time.Since(begin), turns.cfg.MinReadTime)
		require.False(t, turns.complete(slow), "it was made to stop before")
		turns.done(own)
		turns.done(busy)
	})
}

// TestStoppedCallsAreNotDecoded ends the turn of a call at the moment at which its message is whole: its context has ended, so
// that the pipeline might take it and its sender would send it again.
func TestStoppedCallsAreNotDecoded(t *testing.T) {
	f := newFixture(t, slowly, nil, nil)
	c := &calls{requestLimits: f.requestLimits, codec: &codec{}}
	own := &call{ledger: f.ledger, turns: f.turns, peer: "127.0.0.8"}
	stopped, stop := context.WithCancel(t.Context())
	turn, ok := f.turns.take(t.Context(), own.peer, stop)
	require.True(t, ok)
	own.turn = turn
	_, ok = f.turns.take(stopped, own.peer, func() {})
	require.False(t, ok)
	for reason, own := range map[reason]*call{reasonSlow: own, reasonReading: {unread: noTurn(0)}} {
		_, err := c.unary(context.WithValue(t.Context(), callKey{}, own), nil, nil, func(context.Context, any) (any, error) {
			require.Fail(t, "it is handed on")
			return nil, nil
		})
		require.Equal(t, codes.Canceled, status.Code(err), "%v", err)
		require.Equal(t, reason, own.unread.reason)
	}
	require.Zero(t, f.turns.reading())
}

// TestCallsThatGiveUpWaitingAreCounted has a sender that gives up, as all do at their deadline, before its turn comes.
func TestCallsThatGiveUpWaitingAreCounted(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		slowly(c)
		c.MinReadTime = c.MaxReadTime
	}, nil, nil)
	own, ok := f.turns.take(t.Context(), "127.0.0.8", func() {})
	require.True(t, ok)
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	conn, body, ended := f.dial(t, "127.0.0.7"), honest(t, 3), make(chan error, 1)
	go func() { ended <- send(ctx, conn, tracesMethod, body) }()
	require.Eventually(t, func() bool {
		f.turns.mu.Lock()
		defer f.turns.mu.Unlock()
		return len(f.turns.waiting) == 1
	}, 10*time.Second, time.Millisecond)
	giveUp()
	err := <-ended
	require.Equal(t, codes.Canceled, status.Code(err), "%v", err)
	f.refusedSoon(t, map[string]int64{"reading": 1})
	require.False(t, f.turns.done(own))
}

// TestProfilesTakeTheirTurn holds that what is refused once it is whole is no way to send more at once.
func TestProfilesTakeTheirTurn(t *testing.T) {
	const method = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
	f := newFixture(t, func(c *Config) {
		slowly(c)
		c.MaxReadTime = time.Hour // nobody has to stop but for another
	}, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	own, ok := f.turns.take(t.Context(), "127.0.0.8", cancel)
	require.True(t, ok)
	stream, err := f.dial(t, "127.0.0.7").NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, method)
	require.NoError(t, err)
	wait(t, ctx.Done()) // it waits for a turn, so that the one who has it is made to stop
	require.True(t, f.turns.done(own))
	require.Error(t, stream.RecvMsg(&[]byte{}))
	f.idle(t)
}

// breaks is a body whose decompression fails in the worst way.
type breaks struct{}

func (breaks) Read([]byte) (int, error) { panic("broken") }
func (breaks) Close() error             { return nil }

// TestPanicsLeaveNoTurnBehind holds that what net/http recovers from takes no turn away for good.
func TestPanicsLeaveNoTurnBehind(t *testing.T) {
	f := newFixture(t, nil, nil, nil)
	wrap, err := f.GetHTTPHandler(t.Context())
	require.NoError(t, err)
	handler, err := wrap(t.Context(), http.NotFoundHandler())
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, "/v1/traces", breaks{})
	r.Header.Set("Content-Type", typeProto)
	require.Panics(t, func() { handler.ServeHTTP(httptest.NewRecorder(), r) })
	require.Zero(t, f.turns.reading())
	f.idle(t)
}

// TestReadTimeoutsAreRetried has the receiver's own 'read_timeout' end a request: a busy receiver and a slow line are no fault
// in what is sent, so it may come again.
func TestReadTimeoutsAreRetried(t *testing.T) {
	f := newFixture(t, nil, map[string]any{"protocols": map[string]any{"http": map[string]any{"read_timeout": "200ms"}}}, nil)
	conn, err := net.Dial("tcp", f.http)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = conn.Write([]byte("POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: 4000\r\n\r\n" +
		strings.Repeat("\x00", 1000)))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	buf := make([]byte, 1000)
	n, err := conn.Read(buf)
	require.NoError(t, err)
	require.Contains(t, string(buf[:n]), "HTTP/1.1 503")
	require.Contains(t, string(buf[:n]), "Retry-After: 1")
	f.idle(t)
	byReason, _ := f.refused(t)
	require.Equal(t, map[string]int64{"slow": 1}, byReason)
}

// TestRefusedBodiesAreNotReadForLong has a sender that is told to come later and goes on slowly with what it sends.
func TestRefusedBodiesAreNotReadForLong(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MinReadTime = 100 * time.Millisecond }, nil, nil)
	require.True(t, f.ledger.hold("127.0.0.1", f.cfg.MaxConcurrentBytesPerPeer))
	conn, err := net.Dial("tcp", f.http)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = conn.Write([]byte("POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: 4000\r\n\r\n"))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	buf := make([]byte, 1000)
	n, err := conn.Read(buf)
	require.NoError(t, err)
	require.Contains(t, string(buf[:n]), "HTTP/1.1 503")
	f.ledger.release("127.0.0.1", f.cfg.MaxConcurrentBytesPerPeer)
	f.idle(t)
}
