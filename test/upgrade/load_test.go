// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

const (
	// perRequest is how many items a sender puts into one request, one of each call for spans.
	perRequest = 20
	// atOnce bounds the requests under way and those that wait to be sent again.
	atOnce = 512
	// attemptLimit is how long a sender waits for an answer.
	attemptLimit = 10 * time.Second
	// turns is after how many calls the pauses between the two spans of a call repeat.
	turns = 4
	// apart is the step of these pauses.
	apart = 700 * time.Millisecond
)

// load sends numbered items of all signals, and sends again as OTLP clients do: what was answered with a status that the
// protocol calls retryable, with growing pauses, until it is acknowledged. Number 2n+1 is the client's span of call n, which
// the agent in the west gets; number 2n the server's, which the agent in the north gets up to some seconds later.
type load struct {
	agents  map[string]*grpc.ClientConn // by cluster
	slots   chan struct{}
	running sync.WaitGroup

	mu sync.Mutex
	// acked are the numbers that an agent took over, unsure those of which an attempt had no answer: they may come twice.
	acked, unsure map[string]*ingestiontest.Numbers
	// began is when the first span of a call was sent, by the number of its request.
	began []time.Time
	// refused counts answers by their status; final those that the protocol forbids to send again, lost to their sender.
	refused map[codes.Code]int
	final   []string
	// abandoned counts requests that were never acknowledged, because the load was told to give up.
	abandoned int
	slowest   time.Duration
}

// startLoad sends perSecond items a second in all until ctx ends; what is under way then is sent until giveUp ends.
// addresses are those of the agents, by cluster.
func startLoad(ctx, giveUp context.Context, t *testing.T, addresses map[string]string, perSecond int) *load {
	t.Helper()
	l := &load{
		agents: map[string]*grpc.ClientConn{}, slots: make(chan struct{}, atOnce),
		acked: map[string]*ingestiontest.Numbers{}, unsure: map[string]*ingestiontest.Numbers{}, refused: map[codes.Code]int{},
	}
	for _, signal := range []string{traces, logs, metrics} {
		l.acked[signal], l.unsure[signal] = &ingestiontest.Numbers{}, &ingestiontest.Numbers{}
	}
	for cluster, address := range addresses {
		conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.5, MaxDelay: time.Second}, MinConnectTimeout: time.Second}))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		l.agents[cluster] = conn
	}
	// A step is four requests: the two spans of some calls, records, points.
	every := time.Duration(float64(time.Second) * 4 * perRequest / float64(perSecond))
	l.running.Go(func() { l.tick(ctx, giveUp, every) })
	return l
}

// tick begins a step whenever one is due, and makes up for those that it could not begin.
func (l *load) tick(ctx, giveUp context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	start := time.Now()
	for step := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for ; step < int(time.Since(start)/every); step++ {
			first := step * perRequest
			side := []string{west, north}[step%2]
			l.begin()
			l.send(giveUp, 0, west, traces, numbers(first, 2, 1))
			l.send(giveUp, time.Duration(step%turns)*apart, north, traces, numbers(first, 2, 0))
			l.send(giveUp, 0, side, logs, numbers(first, 1, 0))
			l.send(giveUp, 0, side, metrics, numbers(first, 1, 0))
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// numbers are those of one request: (first+i)*factor + offset.
func numbers(first, factor, offset int) []int {
	list := make([]int, perRequest)
	for i := range list {
		list[i] = (first+i)*factor + offset
	}
	return list
}

func (l *load) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began = append(l.began, time.Now())
}

// since is when the first span of a call was sent.
func (l *load) since(call int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.began[call/perRequest]
}

// calls is how many calls were begun.
func (l *load) calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.began) * perRequest
}

// send sends one request after a pause until it is acknowledged or refused for good, beside the others.
func (l *load) send(ctx context.Context, after time.Duration, cluster, signal string, items []int) {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		l.mu.Lock()
		l.abandoned++
		l.mu.Unlock()
		return
	}
	l.running.Go(func() {
		defer func() { <-l.slots }()
		if wait(ctx, after) && l.insist(ctx, cluster, signal, items) {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.abandoned++
	})
}

// insist sends a request until it is acknowledged or refused for good; false says that ctx ended first.
func (l *load) insist(ctx context.Context, cluster, signal string, items []int) bool {
	began, pause := time.Now(), time.Duration(0)
	for !l.attempt(ctx, cluster, signal, items) {
		pause = nextPause(pause)
		if !wait(ctx, pause) {
			return false
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, time.Since(began))
	return true
}

// nextPause is how long an OTLP client waits after a refusal, at random and ever longer.
func nextPause(last time.Duration) time.Duration {
	next := min(max(150*time.Millisecond, last*3/2), 3*time.Second)
	return next/2 + rand.N(next/2)
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt says whether the request is done with, acknowledged or not.
func (l *load) attempt(ctx context.Context, cluster, signal string, items []int) bool {
	limited, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	err := l.export(limited, cluster, signal, items)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		for _, number := range items {
			l.acked[signal].Add(uint64(number))
		}
		return true
	}
	code := status.Code(err)
	l.refused[code]++
	if ctx.Err() == nil && !retryable(err) {
		l.final = append(l.final, fmt.Sprintf("%s to %s: %v", signal, cluster, err))
		return true
	}
	// The words tell refusals by the server from connections that ended: nobody knows what became of the request then.
	if code == codes.DeadlineExceeded || strings.Contains(err.Error(), "error reading from server") || strings.Contains(err.Error(), "transport is closing") {
		for _, number := range items {
			l.unsure[signal].Add(uint64(number))
		}
	}
	return false
}

// retryable is OTLP's rule (opentelemetry-proto, docs/specification.md, Failures).
func retryable(err error) bool {
	s, _ := status.FromError(err)
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		return true
	case codes.ResourceExhausted:
		return len(s.Details()) > 0
	default:
		return false
	}
}

var errPartial = errors.New("partly refused")

func (l *load) export(ctx context.Context, cluster, signal string, items []int) error {
	conn, rejected := l.agents[cluster], int64(0)
	var err error
	switch signal {
	case traces:
		var answer ptraceotlp.ExportResponse
		answer, err = ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(spansOf(cluster, items...)))
		if err == nil {
			rejected = answer.PartialSuccess().RejectedSpans()
		}
	case logs:
		var answer plogotlp.ExportResponse
		answer, err = plogotlp.NewGRPCClient(conn).Export(ctx, plogotlp.NewExportRequestFromLogs(recordsOf(cluster, items...)))
		if err == nil {
			rejected = answer.PartialSuccess().RejectedLogRecords()
		}
	default:
		var answer pmetricotlp.ExportResponse
		answer, err = pmetricotlp.NewGRPCClient(conn).Export(ctx, pmetricotlp.NewExportRequestFromMetrics(pointsOf(cluster, items...)))
		if err == nil {
			rejected = answer.PartialSuccess().RejectedDataPoints()
		}
	}
	if err == nil && rejected > 0 {
		err = errPartial
	}
	return err
}

// wait returns when every sender has ended.
func (l *load) wait() { l.running.Wait() }

// count returns how many items were acknowledged.
func (l *load) count() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum uint64
	for _, acked := range l.acked {
		sum += acked.Len()
	}
	return sum
}

// missing tells how many acknowledged items the endpoint does not have, and the first of them.
func (l *load) missing(server *ingestiontest.Server) (uint64, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum uint64
	var words []string
	for _, signal := range []string{traces, logs, metrics} {
		n, first := server.Missing(signal, l.acked[signal], 5)
		sum += n
		if n > 0 {
			words = append(words, fmt.Sprintf("%d %s of %d, such as %d", n, signal, l.acked[signal].Len(), first))
		}
	}
	return sum, strings.Join(words, "; ")
}
