// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
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
	// perRequest is how many items a sender puts into one request.
	perRequest = 100
	// sendersPerStream is how many requests of one signal to one agent are under way at most.
	sendersPerStream = 4
)

// load sends numbered items of all signals to the agents, at a rate that it makes up for after a pause. A request that was
// refused, or got no answer, is sent again until it is acknowledged: only that counts.
type load struct {
	mu sync.Mutex
	// acked are the numbers that an agent took over, by signal.
	acked map[string]*ingestiontest.Numbers
	// next is the first number that was not used yet, by signal.
	next map[string]*atomic.Int64
	// refused counts attempts that were answered with a refusal, unanswered those without an answer: what they brought
	// may have been taken over, and comes a second time.
	refused, unanswered atomic.Int64
	running             sync.WaitGroup
}

// startLoad sends perSecond items a second in all until ctx ends; what is under way then is sent until giveUp ends.
func startLoad(ctx, giveUp context.Context, t *testing.T, agents []*role, perSecond int) *load {
	t.Helper()
	l := &load{acked: map[string]*ingestiontest.Numbers{}, next: map[string]*atomic.Int64{}}
	signals := []string{traces, logs, metrics}
	streams := len(agents) * len(signals)
	every := time.Duration(float64(time.Second) * perRequest * float64(streams) / float64(perSecond))
	for _, signal := range signals {
		l.acked[signal], l.next[signal] = &ingestiontest.Numbers{}, &atomic.Int64{}
	}
	for _, agent := range agents {
		conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(agent.host, "4317"),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			// A restarted agent is found again at once.
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.2, MaxDelay: 500 * time.Millisecond}, MinConnectTimeout: time.Second}))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		for _, signal := range signals {
			// The n-th request of a stream is due at a time of its own; senders that were held up make up for it.
			due := make(chan struct{}, 1<<16)
			l.running.Go(func() { tick(ctx, every, due) })
			for range sendersPerStream {
				l.running.Go(func() {
					for range due {
						l.deliver(giveUp, conn, signal)
					}
				})
			}
		}
	}
	return l
}

// tick says when requests are due, and closes due when ctx ends.
func tick(ctx context.Context, every time.Duration, due chan<- struct{}) {
	defer close(due)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	start, told := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for ; told < int(time.Since(start)/every); told++ {
			select {
			case due <- struct{}{}:
			default: // so far behind that it will not be made up for
			}
		}
	}
}

// deliver sends new items until they are acknowledged.
func (l *load) deliver(ctx context.Context, conn *grpc.ClientConn, signal string) {
	if ctx.Err() != nil {
		return // what was due and never begun
	}
	to := int(l.next[signal].Add(perRequest))
	from := to - perRequest
	err := eventually(ctx, func() error {
		attempt, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		err := export(attempt, conn, signal, from, to)
		switch {
		case err == nil:
		case strings.Contains(err.Error(), "error reading from server") || status.Code(err) == codes.DeadlineExceeded:
			l.unanswered.Add(1)
		default:
			l.refused.Add(1)
		}
		return err
	})
	if err != nil {
		return // never acknowledged, so nobody promised anything
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for number := from; number < to; number++ {
		l.acked[signal].Add(uint64(number))
	}
}

var errPartial = errors.New("partly refused")

func export(ctx context.Context, conn *grpc.ClientConn, signal string, from, to int) error {
	rejected := int64(0)
	var err error
	switch signal {
	case traces:
		var answer ptraceotlp.ExportResponse
		answer, err = ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(spans(from, to, asEnvoy)))
		if err == nil {
			rejected = answer.PartialSuccess().RejectedSpans()
		}
	case logs:
		var answer plogotlp.ExportResponse
		answer, err = plogotlp.NewGRPCClient(conn).Export(ctx, plogotlp.NewExportRequestFromLogs(records(from, to, "")))
		if err == nil {
			rejected = answer.PartialSuccess().RejectedLogRecords()
		}
	default:
		var answer pmetricotlp.ExportResponse
		answer, err = pmetricotlp.NewGRPCClient(conn).Export(ctx, pmetricotlp.NewExportRequestFromMetrics(points(from, to, "")))
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

// missing tells how many acknowledged items the endpoint does not have, by signal, and the first of them.
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
