// SPDX-License-Identifier: Apache-2.0

package meshnoiseprocessor

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor/internal/rules"
)

// noiseKey is the attribute that says what kind of noise a marked item is.
const noiseKey = "mesh.noise"

// snapshots is what the processor asks of the mesh_topology extension.
type snapshots interface {
	Snapshot() *topology.Snapshot
}

// meshNoise handles one signal.
type meshNoise struct {
	config   *Config
	rules    *rules.Rules
	counter  *counter
	topology snapshots
	// actions are what becomes of an item, by its reason.
	actions [rules.ReasonCount]action
	stop    sync.Once
}

func newMeshNoise(set processor.Settings, config *Config, s signal) (*meshNoise, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("creating the processor's metrics: %w", err)
	}
	addresses, err := prefixes(config.ProberAddresses)
	if err != nil {
		return nil, err
	}
	p := &meshNoise{config: config, counter: newCounter(telemetry, s), topology: &topology.Store{}}
	settings := rules.Settings{
		ProbePaths: config.ProbePaths, ScrapePaths: config.ScrapePaths,
		ProbeUserAgents: config.ProbeUserAgents, ScrapeUserAgents: config.ScrapeUserAgents,
		ProberAddresses: addresses, FrontDoorIDs: config.FrontDoorIDs,
		Workloads: config.Workloads, ScrapeWorkloads: config.ScrapeWorkloads, IngestionHosts: config.IngestionHosts,
	}
	if config.Topology != (component.ID{}) {
		settings.IsNode = p.isNode
	}
	p.rules = rules.New(settings)
	for reason, configured := range map[rules.Reason]Action{
		rules.HealthProbe: config.HealthProbes, rules.FailedHealthProbe: config.FailedHealthProbes,
		rules.Scrape: config.Scrapes, rules.Telemetry: config.Telemetry,
	} {
		if s == metrics && configured != Keep {
			configured = config.MetricPoints
		}
		p.actions[reason] = actionOf(configured)
	}
	return p, nil
}

func (p *meshNoise) start(_ context.Context, host component.Host) error {
	if p.config.Topology == (component.ID{}) {
		return nil
	}
	found, ok := host.GetExtensions()[p.config.Topology]
	if !ok {
		return fmt.Errorf("'topology': no extension %q; define it under extensions and list it under service::extensions, or remove the key",
			p.config.Topology)
	}
	if p.topology, ok = found.(snapshots); !ok {
		return fmt.Errorf("'topology': extension %q is no mesh_topology extension", p.config.Topology)
	}
	return nil
}

func (p *meshNoise) shutdown(context.Context) error {
	p.stop.Do(p.counter.telemetry.Shutdown)
	return nil
}

// isNode says whether the address is a node's in the network of the configured cluster.
func (p *meshNoise) isNode(ip netip.Addr) bool {
	s := p.topology.Snapshot()
	network, known := s.SoleNetwork()
	if c, ok := s.Cluster(p.config.Cluster); ok {
		network, known = c.Network, true
	}
	if !known {
		return false
	}
	_, ok := s.NodeAt(network, ip)
	return ok
}

// act counts the item, marks it if it is to be marked, and says whether it is to be dropped.
func (p *meshNoise) act(reason rules.Reason, attrs pcommon.Map, t *tally) (drop bool) {
	if reason == rules.None {
		return false
	}
	a := p.actions[reason]
	t[reason][a]++
	if a == marked {
		attrs.PutStr(noiseKey, reason.String())
	}
	return a == dropped
}
