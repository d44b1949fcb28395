// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/events"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// sharing finds the graph of a component id. The collector makes one connector for each pair of signals.
type sharing struct {
	mu     sync.Mutex
	graphs map[component.ID]*meshGraph
}

// meshGraph is what the pairs of a component id share: started with the first, ended with the last.
type meshGraph struct {
	sharing   *sharing
	set       connector.Settings
	config    *Config
	log       *zap.Logger
	telemetry *metadata.TelemetryBuilder
	engine    *engine
	sender    *sender

	mu      sync.Mutex
	pairs   []*pair
	started bool
	failed  error
	stop    chan struct{}
	done    chan struct{}
	servers []*http.Server
	// addresses are where the servers listen.
	addresses []net.Addr
	serving   sync.WaitGroup
}

// pair is a connector from one signal to another. Of those that take the same signal, which all get the same data, the
// first one takes it.
type pair struct {
	graph    *meshGraph
	from, to string
	takes    bool
	gone     bool
}

func (s *sharing) pair(set connector.Settings, config *Config, from, to string, connect func(*sender)) (*pair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.graphs[set.ID]
	if g == nil {
		var err error
		if g, err = newMeshGraph(s, set, config); err != nil {
			return nil, err
		}
		s.graphs[set.ID] = g
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	p := &pair{graph: g, from: from, to: to, takes: true}
	for _, other := range g.pairs {
		p.takes = p.takes && other.from != from
	}
	g.pairs = append(g.pairs, p)
	connect(g.sender)
	return p, nil
}

func newMeshGraph(s *sharing, set connector.Settings, config *Config) (*meshGraph, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	g := &meshGraph{
		sharing: s, set: set, config: config, log: set.Logger, telemetry: telemetry,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	if g.engine, err = newEngine(config, g.log, newCounter(telemetry, g.log), time.Now()); err != nil {
		telemetry.Shutdown()
		return nil, err
	}
	g.sender = &sender{
		engine: g.engine, edgesInPart: maxEdgesInPart, parts: make(chan part),
		writer: events.New(set.Resource, set.BuildInfo.Version), resource: set.Resource, version: set.BuildInfo.Version,
	}
	return g, nil
}

// Capabilities implements the consumers' interfaces.
func (*pair) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// ConsumeMetrics counts what the metrics tell of edges. It refuses nothing: an error would make the sender send again to
// the exporters beside, too.
func (p *pair) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	if p.takes {
		p.graph.engine.takeMetrics(md, time.Now())
	}
	return nil
}

// ConsumeTraces takes examples of calls.
func (p *pair) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	if p.takes {
		p.graph.engine.takeTraces(td)
	}
	return nil
}

// Start starts what the pairs share, once.
func (p *pair) Start(ctx context.Context, host component.Host) error {
	g := p.graph
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.started {
		g.started = true
		g.failed = g.start(ctx, host)
	}
	return g.failed
}

func (g *meshGraph) start(ctx context.Context, host component.Host) error {
	if err := g.findTopology(host); err != nil {
		close(g.done)
		return err
	}
	g.engine.wantsMetrics, g.engine.wantsEvents = g.sender.metrics != nil, g.sender.logs != nil
	if err := g.engine.open(time.Now()); err != nil {
		close(g.done)
		return err
	}
	g.engine.planes.Begin(time.Now())
	err := g.observe()
	if err == nil {
		err = g.serve(ctx, host)
	}
	if err != nil {
		close(g.done)
		g.engine.shut(time.Now())
		return err
	}
	if g.config.Directory == "" {
		g.log.Info("The graph begins anew with each start, as it has no 'directory'.")
	}
	go g.loop()
	return nil
}

func (g *meshGraph) findTopology(host component.Host) error {
	id := g.config.Topology
	if id == (component.ID{}) {
		return nil
	}
	found, there := host.GetExtensions()[id]
	if !there {
		return fmt.Errorf("'topology' names %q, which is no extension of this collector: "+
			"write the id of a mesh_topology extension that 'service::extensions' has", id)
	}
	known, ok := found.(meshtopologyextension.Topology)
	if !ok {
		return fmt.Errorf("'topology' names %q, which is no mesh_topology extension: write the id of one", id)
	}
	g.engine.findings, _ = found.(meshtopologyextension.FindingSink)
	g.engine.topology = func() *topology.Snapshot { return known.Snapshot() }
	return nil
}

// loop closes intervals until it is stopped.
func (g *meshGraph) loop() {
	defer close(g.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ticker := time.NewTicker(g.config.Interval)
	defer ticker.Stop()
	next := time.Now().Add(g.config.MetricsInterval)
	flushDue := false
	for {
		select {
		case <-g.stop:
			g.sender.wait()
			return
		case p := <-g.sender.parts:
			g.sender.take(p)
		case <-ticker.C:
			now := time.Now()
			due := !now.Before(next)
			for ; !now.Before(next); next = next.Add(g.config.MetricsInterval) {
				flushDue = true
			}
			flush := flushDue && !g.sender.busyMetrics
			if flush {
				flushDue, g.sender.gaugesDue = false, true
			}
			g.engine.tick(now, flush, due)
			g.engine.sync()
			g.telemetry.ConnectorMeshGraphIntervalDuration.Record(ctx, time.Since(now).Seconds())
			g.sender.start(ctx, now)
		}
	}
}

// Shutdown ends what the pairs share with the last of them. Before that, the last pair to a signal hands on all that is
// there for it: what comes after may be gone a moment later. What comes in is over then, as each of the pairs that take a
// signal is behind the same pipelines.
func (p *pair) Shutdown(ctx context.Context) error {
	g := p.graph
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.gone {
		return nil
	}
	p.gone = true
	lastTo, last := true, true
	for _, other := range g.pairs {
		last = last && other.gone
		lastTo = lastTo && (other.gone || other.to != p.to)
	}
	running := g.started && g.failed == nil
	if running && lastTo {
		g.finish(ctx, p.to)
	}
	if !last {
		return nil
	}
	g.sharing.mu.Lock()
	if g.sharing.graphs[g.set.ID] == g {
		delete(g.sharing.graphs, g.set.ID)
	}
	g.sharing.mu.Unlock()
	err := g.unserve(ctx)
	if running {
		g.engine.shut(time.Now())
	}
	g.telemetry.Shutdown()
	return err
}

// finish stops the loop and hands on what is there.
func (g *meshGraph) finish(ctx context.Context, signal string) {
	select {
	case <-g.stop:
	default:
		close(g.stop)
	}
	<-g.done
	now := time.Now()
	g.engine.tick(now, true, false)
	g.sender.start(ctx, now)
	g.sender.wait()
	if signal == signalMetrics {
		g.sender.metrics = nil
	} else {
		g.sender.logs = nil
	}
}
