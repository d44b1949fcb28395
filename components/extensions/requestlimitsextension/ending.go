// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"
)

// endGrace is how long a receiver that ends may wait for its peers. It is longer than those take who send, and shorter than the 30
// seconds after which a kubelet kills: who is killed loses what it holds in memory.
const endGrace = 15 * time.Second

var _ extensioncapabilities.PipelineWatcher = (*requestLimits)(nil)

// ending ends what keeps receivers from ending. They wait for each call to be over, and the collector gives them no limit: a peer that
// never finishes its request, or does not read the answer, holds up all of the collector. Safe for concurrent use.
type ending struct {
	grace time.Duration

	mu sync.Mutex
	// conns are those of gRPC that are watched, servers those of HTTP that had a request.
	conns   map[*guardedConn]struct{}
	servers map[*http.Server]struct{}
	timer   *time.Timer
}

func newEnding() *ending {
	return &ending{grace: endGrace, conns: make(map[*guardedConn]struct{}), servers: make(map[*http.Server]struct{})}
}

func (e *ending) add(g *guardedConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conns[g] = struct{}{}
}

func (e *ending) remove(g *guardedConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, g)
}

// serves notes the server of a request.
func (e *ending) serves(r *http.Request) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.servers[server] = struct{}{}
}

// begin has everything end after the grace that is left by then; done says that there is no need to.
func (e *ending) begin(end func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer == nil {
		e.timer = time.AfterFunc(e.grace, end)
	}
}

func (e *ending) done() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer != nil {
		e.timer.Stop()
	}
}

// left takes out what is left.
func (e *ending) left() (conns []*guardedConn, servers []*http.Server) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for g := range e.conns {
		conns = append(conns, g)
	}
	for server := range e.servers {
		servers = append(servers, server)
	}
	return conns, servers
}

// Ready implements [extensioncapabilities.PipelineWatcher].
func (*requestLimits) Ready() error { return nil }

// NotReady implements [extensioncapabilities.PipelineWatcher]: the receivers are about to end.
func (l *requestLimits) NotReady() error {
	l.ending.begin(l.endAll)
	return nil
}

// endAll ends the connections that are left. Whoever is behind them gets no answer, and sends again what it did send.
func (l *requestLimits) endAll() {
	conns, servers := l.ending.left()
	for _, g := range conns {
		peer := "unknown"
		if from := g.RemoteAddr(); from != nil {
			peer = peerOf(from.String())
		}
		l.countRefused(overGRPC, peer, &refusal{
			reason: reasonEnding, message: prefix + "ended a connection: its calls were not over when the receiver had waited " + l.ending.grace.String(),
		})
		// With TLS this may wait for the peer.
		go func() { _ = g.Close() }()
	}
	for _, server := range servers {
		// What is left of requests counts as unreadable.
		if err := server.Close(); err != nil {
			l.logger.Debug("Closing the receiver's HTTP server", zap.Error(err))
		}
	}
}
