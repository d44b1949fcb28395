// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// arrival is what the endpoint saw of one item.
type arrival struct {
	// times is how often it came, replicas a bit for each replica of the hub that sent it.
	times    uint8
	replicas uint8
	first    time.Time
	// resolved says that both ends of the call are named, with workload and cluster.
	resolved bool
}

// ledger is the endpoint, and what it saw. A replica tells itself by its instrumentation key.
type ledger struct {
	t      *testing.T
	server *ingestiontest.Server
	stop   context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	last     uint64
	gaps     int
	arrivals map[string]map[int]*arrival // by signal and number
}

// maxReplicas is how many replicas of the hub have keys.
const maxReplicas = 4

func keyOf(replica int) string { return fmt.Sprintf("00000000-0000-0000-0000-00000000000%d", replica) }

// newLedger listens at an address. Numbers are all that a light one keeps; it costs a tenth.
func newLedger(t *testing.T, address string, light bool) *ledger {
	t.Helper()
	cfg := ingestiontest.Config{Ledger: markers, Light: light, MaxItems: 40000, MaxRequests: 1 << 20}
	for i := range maxReplicas {
		cfg.InstrumentationKeys = append(cfg.InstrumentationKeys, keyOf(i))
	}
	server, err := ingestiontest.Listen(address, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	l := &ledger{t: t, server: server, stop: cancel, done: make(chan struct{}), arrivals: map[string]map[int]*arrival{traces: {}, logs: {}, metrics: {}}}
	go l.read(ctx)
	t.Cleanup(func() {
		cancel()
		<-l.done
		server.DropConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		assert.NoError(t, server.Shutdown(ctx))
	})
	return l
}

func (l *ledger) connection(replica int) string {
	return "InstrumentationKey=" + keyOf(replica) + ";IngestionEndpoint=" + l.server.URL()
}

// read notes what arrives until ctx ends: the endpoint keeps the last items alone.
func (l *ledger) read(ctx context.Context) {
	defer close(l.done)
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		l.take()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// take notes what has arrived since it was last called.
func (l *ledger) take() {
	l.mu.Lock()
	defer l.mu.Unlock()
	items := l.newest()
	for i := range items {
		item := &items[i]
		if item.Sequence <= l.last {
			continue
		}
		if item.Sequence != l.last+1 {
			l.gaps++
		}
		l.last = item.Sequence
		l.note(item)
	}
}

// newest returns what has arrived since last, and some before. It asks for no more than that, as the endpoint serves nobody
// while it answers.
func (l *ledger) newest() []ingestiontest.Item {
	for more := 1; ; more *= 2 {
		head := l.server.Items(ingestiontest.Filter{Limit: 1})
		if len(head) == 0 {
			return nil
		}
		limit := int(head[0].Sequence-l.last) + 512*more
		items := l.server.Items(ingestiontest.Filter{Limit: limit})
		if items[0].Sequence <= l.last+1 || len(items) < limit {
			return items
		}
	}
}

func (l *ledger) note(item *ingestiontest.Item) {
	signal, number, ok := numberOf(item)
	if !ok {
		return
	}
	a := l.arrivals[signal][number]
	if a == nil {
		a = &arrival{first: item.Received}
		l.arrivals[signal][number] = a
	}
	a.times++
	for i := range maxReplicas {
		if item.Envelope.InstrumentationKey == keyOf(i) {
			a.replicas |= 1 << i
		}
	}
	a.resolved = a.resolved || resolved(item.Properties())
}

func numberOf(item *ingestiontest.Item) (signal string, number int, ok bool) {
	for _, f := range []struct{ signal, text, format string }{
		{traces, item.ID, "5eed%x"}, {logs, item.Name, "ledger-log-%d"}, {metrics, item.Name, "ledger-metric-%d"},
	} {
		if n, err := fmt.Sscanf(f.text, f.format, &number); n == 1 && err == nil {
			return f.signal, number, true
		}
	}
	return "", 0, false
}

func resolved(properties map[string]string) bool {
	return properties["mesh.source.workload"] != "" && properties["mesh.source.cluster"] == west &&
		properties["mesh.destination.workload"] != "" && properties["mesh.destination.cluster"] == north
}

// of returns what is known of an item.
func (l *ledger) of(signal string, number int) (arrival, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.arrivals[signal][number]
	if a == nil {
		return arrival{}, false
	}
	return *a, true
}

// duplicates counts what came again, by signal.
func (l *ledger) duplicates() map[string]uint64 {
	counts := map[string]uint64{}
	for _, signal := range []string{traces, logs, metrics} {
		if n := l.server.Ledger(signal).Duplicates; n > 0 {
			counts[signal] = n
		}
	}
	return counts
}
