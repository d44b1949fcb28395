// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/static"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/world"
)

// topologyExtension is a collector's mesh_topology extension that holds a snapshot.
type topologyExtension struct {
	component.StartFunc
	component.ShutdownFunc
	topology.Store
}

type host struct {
	component.Host
	extension component.Component
}

func (h host) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("mesh_topology"): h.extension}
}

func topologyFile(name string) string { return filepath.Join("topologies", name+".yaml") }

// hostWith returns a collector whose topology is the first file and, where there is a second, that one since then.
func hostWith(t *testing.T, first, second []byte, turn *then) component.Host {
	t.Helper()
	held := &topologyExtension{}
	if turn == nil {
		snapshot, err := static.Parse(first, topology.Limits{}, time.Unix(0, 0))
		require.NoError(t, err)
		held.Set(snapshot)
		return host{componenttest.NewNopHost(), held}
	}
	now := turn.From
	clock := func() time.Time { return now }
	writer := topology.NewWriter(topology.WriterSettings{History: 24 * time.Hour, Now: clock})
	file := filepath.Join(t.TempDir(), "topology.yaml")
	source := static.New(static.Settings{
		File: file, Interval: time.Hour, Now: clock, Report: func(err error) { require.NoError(t, err) },
		Emit: func(deltas []*topology.Delta, _ []string) {
			for _, d := range deltas {
				writer.Apply(d)
			}
		},
	})
	require.NoError(t, os.WriteFile(file, first, 0o600))
	require.NoError(t, source.Load())
	now = turn.To
	require.NoError(t, os.WriteFile(file, second, 0o600))
	require.NoError(t, source.Load())
	held.Set(writer.Publish())
	return host{componenttest.NewNopHost(), held}
}

// hub returns the hub of a case, which knows the whole topology.
func (c *testCase) hub(t *testing.T) component.Host {
	t.Helper()
	first, err := os.ReadFile(topologyFile(c.Topology))
	require.NoError(t, err)
	if c.forget != nil {
		first, err = world.Without(topologyFile(c.Topology), c.forget)
		require.NoError(t, err)
	}
	if c.Then == nil {
		return hostWith(t, first, nil, nil)
	}
	second, err := os.ReadFile(topologyFile(c.Then.Topology))
	require.NoError(t, err)
	return hostWith(t, first, second, c.Then)
}

// agentOf returns an agent of a case, which knows its node.
func (c *testCase) agentOf(t *testing.T, a *agent) component.Host {
	t.Helper()
	first, err := world.AgentView(topologyFile(c.Topology), a.Cluster, a.Node)
	require.NoError(t, err)
	if c.Then == nil {
		return hostWith(t, first, nil, nil)
	}
	second, err := world.AgentView(topologyFile(c.Then.Topology), a.Cluster, a.Node)
	require.NoError(t, err)
	return hostWith(t, first, second, c.Then)
}

// way is how the items of a case get to the end.
type way struct {
	// noAgents leaves the agents out: everything comes to the hub at once.
	noAgents bool
	// whole lets agents know everything, as where one process is agent and hub by one topology file.
	whole bool
	// semconvFirst puts envoy_semconv in front of mesh_topology, which reads its names too.
	semconvFirst bool
	// twice puts a second hub behind the first.
	twice bool
	// noPairing leaves mesh_span_pairing out.
	noPairing bool
}

// through sends the inputs of a case through its collectors, in order, as the shipped configurations do: agents with
// mesh_topology and envoy_semconv, the wire, the hub with mesh_topology, and for spans the pairing.
func (c *testCase) through(t *testing.T, inputs []data) []data { return c.throughBy(t, inputs, way{}) }

func (c *testCase) throughBy(t *testing.T, inputs []data, by way) []data {
	t.Helper()
	hub := c.hub(t)
	var out []data
	for i, d := range inputs {
		if a := c.Inputs[i].Agent; a != nil && !by.noAgents {
			d = wire(t, c.throughAgent(t, hub, d, &c.Inputs[i], by))
		}
		d = through(t, context.Background(), hub, meshTopology(""), d)
		if by.twice {
			d = through(t, context.Background(), hub, meshTopology(""), wire(t, d))
		}
		out = append(out, d)
	}
	if by.noPairing {
		return out
	}
	return paired(t, hub, out)
}

func (c *testCase) throughAgent(t *testing.T, hub component.Host, d data, in *input, by way) data {
	t.Helper()
	ctx := context.Background()
	if ip := net.ParseIP(in.Connection); ip != nil {
		ctx = client.NewContext(ctx, client.Info{Addr: &net.TCPAddr{IP: ip, Port: 40000}})
	}
	at := hub
	if !by.whole {
		at = c.agentOf(t, in.Agent)
	}
	stages := []stage{meshTopology(in.Agent.Cluster), envoySemconv()}
	if by.semconvFirst {
		slices.Reverse(stages)
	}
	for _, s := range stages {
		d = through(t, ctx, at, s, d)
	}
	return d
}

// stage is a processor with its configuration.
type stage struct {
	factory processor.Factory
	config  component.Config
}

func meshTopology(cluster string) stage {
	factory := meshtopologyprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig().(*meshtopologyprocessor.Config)
	cfg.Cluster = cluster
	return stage{factory, cfg}
}

func envoySemconv() stage {
	factory := envoysemconvprocessor.NewFactory()
	return stage{factory, factory.CreateDefaultConfig()}
}

// through sends data through one processor. Signals that it does not take go past it.
func through(t *testing.T, ctx context.Context, at component.Host, s stage, d data) data {
	t.Helper()
	set := processortest.NewNopSettings(s.factory.Type())
	switch {
	case d.traces != nil:
		sink := new(consumertest.TracesSink)
		p, err := s.factory.CreateTraces(ctx, set, s.config, sink)
		require.NoError(t, err)
		require.NoError(t, p.Start(ctx, at))
		require.NoError(t, p.ConsumeTraces(ctx, *d.traces))
		require.NoError(t, p.Shutdown(ctx))
		return data{traces: &sink.AllTraces()[0]}
	case d.logs != nil:
		sink := new(consumertest.LogsSink)
		p, err := s.factory.CreateLogs(ctx, set, s.config, sink)
		require.NoError(t, err)
		require.NoError(t, p.Start(ctx, at))
		require.NoError(t, p.ConsumeLogs(ctx, *d.logs))
		require.NoError(t, p.Shutdown(ctx))
		return data{logs: &sink.AllLogs()[0]}
	}
	sink := new(consumertest.MetricsSink)
	p, err := s.factory.CreateMetrics(ctx, set, s.config, sink)
	if err != nil {
		return d
	}
	require.NoError(t, p.Start(ctx, at))
	require.NoError(t, p.ConsumeMetrics(ctx, *d.metrics))
	require.NoError(t, p.Shutdown(ctx))
	return data{metrics: &sink.AllMetrics()[0]}
}

// wire sends data as OTLP does: nothing but the bytes arrives.
func wire(t *testing.T, d data) data {
	t.Helper()
	switch {
	case d.traces != nil:
		raw, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(*d.traces)
		require.NoError(t, err)
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(raw)
		require.NoError(t, err)
		return data{traces: &td}
	case d.logs != nil:
		raw, err := (&plog.ProtoMarshaler{}).MarshalLogs(*d.logs)
		require.NoError(t, err)
		ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(raw)
		require.NoError(t, err)
		return data{logs: &ld}
	}
	raw, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(*d.metrics)
	require.NoError(t, err)
	md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(raw)
	require.NoError(t, err)
	return data{metrics: &md}
}
