// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	envoyMethod = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
	// patience is how long an attacker waits for the server to allow more, where it does not.
	patience = 2 * time.Second
)

// unfinished sends requests of a size over gRPC that are never whole, up to a length and in frames of a size. It gives up a
// request for which the server has allowed nothing more for as long as it has patience.
func unfinished(t *testing.T, target, method string, peers, streams, frame, size, length int, patience time.Duration) (sent int64) {
	body := message(size, make([]byte, length))
	var all sync.WaitGroup
	var mu sync.Mutex
	for p := range peers {
		w := dialWire(t, fmt.Sprintf("127.14.3.%d", p+1), target)
		for range streams {
			all.Go(func() {
				id, err := w.open(method)
				if err != nil {
					return // the server has closed the connection
				}
				n := w.data(id, body, frame, patience)
				mu.Lock()
				defer mu.Unlock()
				sent += int64(n)
			})
		}
	}
	all.Wait()
	return sent
}

// unfinishedBodies does the same over HTTP.
func unfinishedBodies(t *testing.T, target string, peers, connections int) (sent int64) {
	body := make([]byte, 4*mib-1)
	head := fmt.Sprintf("POST /v1/traces HTTP/1.1\r\nHost: agent\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n", 4*mib)
	var all sync.WaitGroup
	var mu sync.Mutex
	for p := range peers {
		for range connections {
			all.Go(func() {
				conn, err := dialer(fmt.Sprintf("127.14.4.%d", p+1)).Dial("tcp", target)
				if err != nil {
					return
				}
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(patience))
				_, err = conn.Write([]byte(head))
				if err != nil {
					return
				}
				n, _ := conn.Write(body)
				mu.Lock()
				sent += int64(n)
				mu.Unlock()
				_, _ = conn.Read(make([]byte, 1)) // until the server answers, or for as long as it waits
			})
		}
	}
	all.Wait()
	return sent
}

// idleConnections opens connections that never begin, and as many that begin and then do nothing.
func idleConnections(t *testing.T, target string, peers, connections int) (sent int64) {
	for p := range peers {
		for range connections {
			conn, err := dialer(fmt.Sprintf("127.14.5.%d", p+1)).Dial("tcp", target)
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.Close() })
			dialWire(t, fmt.Sprintf("127.14.5.%d", p+1), target)
		}
	}
	return 0
}

// longHeaders begins requests whose headers do not end.
func longHeaders(t *testing.T, target string, connections int) (sent int64) {
	line := "X-Long: " + strings.Repeat("x", 60_000) + "\r\n"
	var open []net.Conn
	for range connections {
		conn, err := dialer("127.14.6.1").Dial("tcp", target)
		require.NoError(t, err)
		open = append(open, conn)
		_ = conn.SetDeadline(time.Now().Add(patience))
		n, _ := conn.Write([]byte("POST /v1/traces HTTP/1.1\r\nHost: agent\r\n" + strings.Repeat(line, 15)))
		sent += int64(n)
	}
	for _, conn := range open {
		_ = conn.Close()
	}
	return sent
}

// TestSlowSenders has senders begin requests that they do not end, in every way, while honest senders go on: what is not
// whole must not take an agent's memory, nor keep others out.
func TestSlowSenders(t *testing.T) {
	s := startSink(t, "127.14.0.23:14317", false)
	r := startAgent(t, "127.14.0.22", s.endpoint)
	for _, c := range []struct {
		name   string
		attack func() int64
		reason string
	}{
		{"OTLP over gRPC, 8 peers with 32 streams each", func() int64 {
			return unfinished(t, r.host+":4317", tracesMethod, 8, 32, 16<<10, 4*mib, 4*mib-1, patience)
		}, "slow"},
		{"OTLP over gRPC, 8 peers with 2 streams each, a byte in each frame", func() int64 {
			return unfinished(t, r.host+":4317", tracesMethod, 8, 2, 1, 4*mib, mib/4, patience)
		}, ""},
		{"OTLP over HTTP, 8 peers with 32 connections each", func() int64 {
			return unfinishedBodies(t, r.host+":4318", 8, 32)
		}, "slow"},
		{"Envoy's streams, 8 peers with 32 each", func() int64 {
			// Each of these streams is read, so one that stands still stands behind the others: all go on until they are ended.
			return unfinished(t, r.host+":18090", envoyMethod, 8, 32, 16<<10, 4*mib, 4*mib-1, within)
		}, "memory"},
		{"2000 connections that do nothing", func() int64 { return idleConnections(t, r.host+":4317", 8, 125) }, ""},
		{"200 requests within their headers", func() int64 { return longHeaders(t, r.host+":4318", 200) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, refused := r.memory("VmRSS"), r.metric(refusedMetric, "reason")
			var peak, sent int64
			began := time.Now()
			beside(t, s, []*honest{overGRPC(t, "127.14.0.24", r.host+":4317"), overHTTP(t, "127.14.0.25", r.host+":4318")}, func() {
				peak = r.peak(func() { sent = c.attack() })
			})
			after := r.metric(refusedMetric, "reason")
			for reason, n := range after {
				after[reason] = n - refused[reason]
			}
			t.Logf("%d MiB sent in %v; memory %d MiB before, %d MiB at the peak; refused %v", sent/mib,
				time.Since(began).Round(time.Millisecond), before/mib, peak/mib, after)
			require.Less(t, peak, int64(agentContainer*mib))
			if c.reason != "" {
				require.Positive(t, after[c.reason])
			}
			require.Zero(t, r.process.Restarts())
		})
	}
}
