// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// turnsOf are turns of a whole and of each peer.
func turnsOf(all, each int) *turns {
	cfg := createDefaultConfig().(*Config)
	cfg.MaxReading, cfg.MaxReadingPerPeer = all, each
	return newTurns(cfg)
}

// endless takes a turn that is kept until its sender is made to stop.
func endless(t *testing.T, turns *turns, peer string, ended *atomic.Int64) {
	t.Helper()
	stop := make(chan struct{})
	go func() {
		own, ok := turns.take(context.Background(), peer, func() { close(stop) })
		if !ok {
			return
		}
		<-stop
		if turns.done(own) {
			ended.Add(1)
		}
	}()
	synctest.Wait()
}

func TestTurnsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turnsOf(3, 2)
		begin := time.Now()
		var ended atomic.Int64
		endless(t, turns, "slow", &ended)
		endless(t, turns, "slow", &ended)
		require.EqualValues(t, 2, turns.reading())

		// Another peer has a place at once.
		own, ok := turns.take(t.Context(), "quick", func() {})
		require.True(t, ok)
		require.Zero(t, time.Since(begin))
		require.EqualValues(t, 3, turns.reading())
		require.False(t, turns.done(own))

		// The same one waits until the first has had its time, and no other is made to stop for it.
		own, ok = turns.take(t.Context(), "slow", func() {})
		require.True(t, ok)
		require.Equal(t, turns.cfg.MinReadTime, time.Since(begin).Round(100*time.Millisecond))
		require.False(t, turns.done(own))
		synctest.Wait()
		require.EqualValues(t, 1, ended.Load())

		// And the last ends by itself.
		time.Sleep(turns.cfg.MaxReadTime)
		synctest.Wait()
		require.EqualValues(t, 2, ended.Load())
		require.Zero(t, turns.reading())
		require.Empty(t, turns.peers)
	})
}

// TestAPeerIsServedBesideManyThatWait has a peer come last to a crowd that keeps all turns and awaits many more.
func TestAPeerIsServedBesideManyThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turnsOf(4, 2)
		var ended atomic.Int64
		for range 20 {
			for _, peer := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
				endless(t, turns, peer, &ended)
			}
		}
		for range 5 {
			begin := time.Now()
			own, ok := turns.take(t.Context(), "quick", func() {})
			require.True(t, ok)
			// At worst each other peer has one turn first, in fours.
			require.LessOrEqual(t, time.Since(begin), 3*turns.cfg.MinReadTime)
			require.False(t, turns.done(own))
		}
		time.Sleep(4 * turns.cfg.MaxReadTime)
		synctest.Wait()
		require.Zero(t, turns.reading())
		require.Empty(t, turns.peers)
		require.Empty(t, turns.waiting)
	})
}

func TestWaitingForATurnEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turnsOf(1, 1)
		turns.cfg.MinReadTime = turns.cfg.MaxReadTime * 2 // nobody has to stop
		own, ok := turns.take(t.Context(), "a", func() {})
		require.True(t, ok)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, ok = turns.take(ctx, "b", func() {})
		require.False(t, ok)
		require.Equal(t, time.Second, time.Since(begin))
		_, ok = turns.take(t.Context(), "b", func() {})
		require.False(t, ok)
		require.Equal(t, turns.cfg.MaxReadTime+time.Second, time.Since(begin))
		require.True(t, turns.done(own), "it had all its time")
		require.Empty(t, turns.peers)
	})
}

// slowly changes the limits so that one request is read at a time, and not for long.
func slowly(c *Config) {
	c.MaxReading, c.MaxReadingPerPeer = 1, 1
	c.MinReadTime, c.MaxReadTime = 100*time.Millisecond, 20*time.Second
}

func TestSlowCallsMakeRoom(t *testing.T) {
	f := newFixture(t, slowly, nil, nil)
	slow := f.dial(t, "127.0.0.8")
	stream, err := slow.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, tracesMethod, grpc.ForceCodecV2(rawCodec{}))
	require.NoError(t, err)
	// The message does not come. That its turn has come is seen by the gauge.
	require.Eventually(t, func() bool { return f.turns.reading() == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, send(t.Context(), f.dial(t, "127.0.0.7"), tracesMethod, honest(t, 3)))
	require.Equal(t, 3, wait(t, f.spans))
	var answer []byte
	err = stream.RecvMsg(&answer)
	require.Equal(t, codes.Canceled, status.Code(err), "%v", err)
	f.idle(t)
	require.Zero(t, f.turns.reading())
	require.Eventually(t, func() bool {
		byReason, byPeer := f.refused(t)
		return len(byReason) == 1 && byReason["slow"] == 1 && byPeer["127.0.0.8"] == 1
	}, 10*time.Second, 10*time.Millisecond)
}

func TestCallsWithoutATurnAreRefused(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		slowly(c)
		c.MinReadTime, c.MaxReadTime = 200*time.Millisecond, 200*time.Millisecond
	}, nil, nil)
	// Somebody who does not give the turn back.
	own, ok := f.turns.take(t.Context(), "127.0.0.8", func() {})
	require.True(t, ok)
	err := send(t.Context(), f.dial(t, "127.0.0.7"), tracesMethod, honest(t, 3))
	require.Equal(t, codes.Canceled, status.Code(err), "%v", err)
	code, body := f.post(t, "/v1/traces", typeProto, honest(t, 3))
	require.Equal(t, http.StatusServiceUnavailable, code.StatusCode, "%s", body)
	require.Equal(t, "1", code.Header.Get("Retry-After"))
	require.Contains(t, string(body), "max_reading")
	require.True(t, f.turns.done(own))
	require.NoError(t, send(t.Context(), f.dial(t, "127.0.0.7"), tracesMethod, honest(t, 3)))
	f.idle(t)
	require.Eventually(t, func() bool {
		byReason, _ := f.refused(t)
		return len(byReason) == 1 && byReason["reading"] == 2
	}, 10*time.Second, 10*time.Millisecond)
}

func TestSlowBodiesMakeRoom(t *testing.T) {
	f := newFixture(t, slowly, nil, nil)
	conn, err := net.Dial("tcp", f.http)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = conn.Write([]byte("POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: 4000000\r\n\r\n" +
		strings.Repeat("\x00", 1000)))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return f.turns.reading() == 1 }, 10*time.Second, time.Millisecond)
	held, _, _ := f.ledger.held()
	require.LessOrEqual(t, held, int64(2*firstRead), "what is announced is not yet sent")
	answer, _ := f.post(t, "/v1/traces", typeProto, honest(t, 3))
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	buf := make([]byte, 1000)
	n, err := conn.Read(buf)
	require.NoError(t, err)
	require.Contains(t, string(buf[:n]), "HTTP/1.1 503")
	f.idle(t)
	require.Zero(t, f.turns.reading())
	byReason, _ := f.refused(t)
	require.Equal(t, map[string]int64{"slow": 1}, byReason)
}
