// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/api"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/controlplane"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/ledger"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/window"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
	"github.com/otelcol-mesh/otelcol-mesh/internal/loopback"
)

// Config is the configuration of the mesh_graph connector.
type Config struct {
	// Interval is how often the graph is closed, published and judged; from 1s to 4s, the longest step in which a failover
	// is found in time. Default 4s.
	Interval time.Duration `mapstructure:"interval"`
	// MetricsInterval is how often metrics go on and the state is written; a multiple of Interval is best. From 4s to 1h.
	// Default 1m.
	MetricsInterval time.Duration `mapstructure:"metrics_interval"`
	// Settle is how long a report waits for its counterpart of another proxy, where one may come: the agents' interval, the
	// scrape interval and the way. From 1s to 1h. Default 2m.
	Settle time.Duration `mapstructure:"settle"`
	// MaxEdges is the most edges; from 1 to 1000000. What is more goes to edges of clusters and regions. Default 50000.
	MaxEdges int `mapstructure:"max_edges"`
	// Expire is how long an edge stays after its last report; at least 1m. Default 1h.
	Expire time.Duration `mapstructure:"expire"`
	// MaxExemplars is the most traces that an edge names for an interval; from 0 to 16. Default 4.
	MaxExemplars int `mapstructure:"max_exemplars"`
	// Topology is the mesh_topology extension that knows the services' endpoints. Default none: failovers are judged by
	// response flags and errors alone.
	Topology component.ID `mapstructure:"topology"`
	// Directory is where state and journal are kept. Default none: the graph begins anew with each start.
	Directory string `mapstructure:"directory"`
	// MaxJournalMiB is how large the journal may get before the state is written early; from 1 to 65536. Default 256.
	MaxJournalMiB int `mapstructure:"max_journal_mib"`
	// Duplicates says how points that are sent twice are known.
	Duplicates DuplicatesConfig `mapstructure:"duplicates"`
	// Failover says what counts as a shift.
	Failover FailoverConfig `mapstructure:"failover"`
	// Cost says what bytes cost.
	Cost CostConfig `mapstructure:"cost"`
	// MaxSeries is the most different callees and callers of an hour that Analysis can be asked about; from 1 to 200000.
	// Default 10000.
	MaxSeries int `mapstructure:"max_series"`
	// Admin serves the graph as JSON on the loopback interface.
	Admin AdminConfig `mapstructure:"admin"`
	// Analysis answers Argo Rollouts' questions about success rates and latencies. Default none: off.
	Analysis configoptional.Optional[confighttp.ServerConfig] `mapstructure:"analysis"`
	// AnalysisPeers reaches the other replicas of the hub, which Analysis asks about services that this one does not have.
	// Default none.
	AnalysisPeers configoptional.Optional[confighttp.ClientConfig] `mapstructure:"analysis_peers"`
	// Replica says whether this hub is one of several behind routers.
	Replica ReplicaConfig `mapstructure:"replica"`
	// ControlPlanes says how istiod's metrics are read.
	ControlPlanes controlplane.Config `mapstructure:"control_planes"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// DuplicatesConfig is the memory of points that were taken.
type DuplicatesConfig struct {
	// Window is how long a point is remembered, time in which the hub does not run left out; from 1m to 24h. Default 10m.
	Window time.Duration `mapstructure:"window"`
	// MaxPoints is the most points that are remembered; from 1000 to 100000000, about 30 bytes each. Default 1000000.
	MaxPoints int `mapstructure:"max_points"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// FailoverConfig says what counts as a shift; the defaults are those that docs/graph.md was measured with.
type FailoverConfig struct {
	// MinMoved is the fewest moved requests of a failover.
	MinMoved uint64 `mapstructure:"min_moved"`
	// MinRequests is the fewest requests by which a shift without evidence is judged.
	MinRequests uint64 `mapstructure:"min_requests"`
	// MinShare is the smallest moved part of a failover, EarlyShare that of one from a place that had all calls.
	MinShare   float64 `mapstructure:"min_share"`
	EarlyShare float64 `mapstructure:"early_share"`
	// UnexpectedShare is the smallest moved part of a shift without evidence, and Confirm how long it has to last.
	UnexpectedShare float64       `mapstructure:"unexpected_share"`
	Confirm         time.Duration `mapstructure:"confirm"`
	// Learn is how long a service is watched before it is judged.
	Learn time.Duration `mapstructure:"learn"`
	// HalfLife is how long it takes until half of what is usual is newer.
	HalfLife time.Duration `mapstructure:"half_life"`
	// EvidenceFor is how long evidence stays.
	EvidenceFor time.Duration `mapstructure:"evidence_for"`
	// EndAfter is how long the calls have to be back.
	EndAfter time.Duration `mapstructure:"end_after"`
	// NewFor is how long a version, or a cluster, is new.
	NewFor time.Duration `mapstructure:"new_for"`
	// Silence is how long a shift without any calls lasts; Accept after which time a shift is what is usual.
	Silence time.Duration `mapstructure:"silence"`
	Accept  time.Duration `mapstructure:"accept"`
	// MaxPairs is the most pairs of calling region and service.
	MaxPairs int `mapstructure:"max_pairs"`
	// Deploy is how long a deployment explains that no endpoint of a place is ready.
	Deploy time.Duration `mapstructure:"deploy"`
	// Expire is how long a pair without calls is remembered.
	Expire time.Duration `mapstructure:"expire"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// CostConfig says what bytes cost, and whose they are.
type CostConfig struct {
	// PricesFile is a table of prices as docs/graph.md describes it, read again when it changes. Default none: the embedded
	// one.
	PricesFile string `mapstructure:"prices_file"`
	// Teams own namespaces. Default none.
	Teams []ledger.Team `mapstructure:"teams"`
	// InternetHosts are called services that are on the internet: hosts, or "*." and a domain. Default none.
	InternetHosts []string `mapstructure:"internet_hosts"`
	// MaxFlows is the most different flows of an hour; from 1 to 200000. What is more is priced by its regions. Default
	// 10000.
	MaxFlows int `mapstructure:"max_flows"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ReplicaConfig says which part of the mesh a hub has.
type ReplicaConfig struct {
	// Routed says that routers give this hub some of the called services, and the control planes of all clusters or none; other
	// replicas have the rest. Default false: there is one, which has everything.
	Routed bool `mapstructure:"routed"`
	// Name is what the answers call this one of several, at most 253 bytes. Default the host's name, which in Kubernetes is the pod's.
	Name string `mapstructure:"name"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// AdminConfig is the port for the hub's page and for people.
type AdminConfig struct {
	// Endpoint is a host and port of the loopback interface; empty for none. Default 127.0.0.1:13135.
	Endpoint string `mapstructure:"endpoint"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

const (
	defaultAdmin = "127.0.0.1:13135"
	mib          = 1 << 20
)

func createDefaultConfig() component.Config {
	g, f := graph.DefaultConfig(), failover.DefaultConfig()
	return &Config{
		Interval: 4 * time.Second, MetricsInterval: time.Minute,
		Settle: g.Settle, MaxEdges: g.MaxEdges, Expire: g.Expire, MaxExemplars: g.MaxExemplars,
		MaxJournalMiB: 256,
		Duplicates:    DuplicatesConfig{Window: 10 * time.Minute, MaxPoints: 1_000_000},
		Failover: FailoverConfig{
			MinMoved: f.MinMoved, MinRequests: f.MinRequests, MinShare: f.MinShare, EarlyShare: f.EarlyShare,
			UnexpectedShare: f.UnexpectedShare, Confirm: f.Confirm, Learn: f.Learn, HalfLife: f.HalfLife,
			EvidenceFor: f.EvidenceFor, EndAfter: f.EndAfter, NewFor: f.NewFor, Silence: f.Silence, Accept: f.Accept,
			MaxPairs: f.MaxPairs, Deploy: f.Deploy, Expire: f.Expire,
		},
		Admin:         AdminConfig{Endpoint: defaultAdmin},
		Analysis:      configoptional.Default(confighttp.NewDefaultServerConfig()),
		AnalysisPeers: configoptional.Default(confighttp.NewDefaultClientConfig()),
		MaxSeries:     window.DefaultMaxSeries,
		Cost:          CostConfig{MaxFlows: ledger.DefaultMaxFlows},
		ControlPlanes: controlplane.DefaultConfig(),
	}
}

func (c *FailoverConfig) detector() failover.Config {
	return failover.Config{
		MinMoved: c.MinMoved, MinRequests: c.MinRequests, MinShare: c.MinShare, EarlyShare: c.EarlyShare,
		UnexpectedShare: c.UnexpectedShare, Confirm: c.Confirm, Learn: c.Learn, HalfLife: c.HalfLife,
		EvidenceFor: c.EvidenceFor, EndAfter: c.EndAfter, NewFor: c.NewFor, Silence: c.Silence, Accept: c.Accept,
		MaxPairs: c.MaxPairs, Deploy: c.Deploy, Expire: c.Expire,
	}
}

func (c *Config) graph() graph.Config {
	return graph.Config{MaxEdges: c.MaxEdges, Expire: c.Expire, Settle: c.Settle, MaxExemplars: c.MaxExemplars}
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	between := func(key string, value, least, most time.Duration, example string) {
		if value < least || value > most {
			errs = append(errs, fmt.Errorf("'%s' is %s: write a time from %s to %s, such as %s", key, value, least, most, example))
		}
	}
	number := func(key string, value, least, most int) {
		if value < least || value > most {
			errs = append(errs, fmt.Errorf("'%s' is %d: write a number from %d to %d", key, value, least, most))
		}
	}
	between("interval", c.Interval, time.Second, 4*time.Second, "4s")
	between("metrics_interval", c.MetricsInterval, 4*time.Second, time.Hour, "1m")
	if c.MetricsInterval < c.Interval {
		errs = append(errs, fmt.Errorf("'metrics_interval' is %s, shorter than 'interval' (%s): write at least that, such as 1m",
			c.MetricsInterval, c.Interval))
	}
	number("max_journal_mib", c.MaxJournalMiB, 1, 1<<16)
	between("duplicates::window", c.Duplicates.Window, time.Minute, 24*time.Hour, "10m")
	number("duplicates::max_points", c.Duplicates.MaxPoints, 1000, 100_000_000)
	g, f, w := c.graph(), c.Failover.detector(), window.Config{MaxSeries: c.MaxSeries}
	errs = append(errs, g.Validate(), w.Validate(), c.ControlPlanes.Check(), c.Admin.validate(), c.Replica.validate())
	if server := c.Analysis.Get(); server != nil && server.NetAddr.Endpoint == "" {
		// Else it would listen on any port of all addresses.
		errs = append(errs, errors.New("'analysis::endpoint' is missing: write a host and a port, such as 0.0.0.0:8443"))
	}
	if peers := c.AnalysisPeers.Get(); peers != nil && peers.Endpoint == "" {
		errs = append(errs, errors.New("'analysis_peers::endpoint' is missing: write the address of all replicas, such as "+
			"https://otelcol-mesh-hub-headless.otelcol-mesh.svc:8443"))
	}
	if c.AnalysisPeers.HasValue() && !c.Analysis.HasValue() {
		errs = append(errs, errors.New("'analysis_peers' without 'analysis': write both, as who asks others has to answer too"))
	}
	_, _, err := ledger.Open(c.Cost.PricesFile)
	l := c.Cost.ledger()
	errs = append(errs, under("failover", f.Validate()), under("cost", l.Validate()), err)
	return errors.Join(errs...)
}

// under names the section of an error.
func under(section string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("'%s': %w", section, err)
}

func (c *CostConfig) ledger() ledger.Config {
	return ledger.Config{Teams: c.Teams, InternetHosts: c.InternetHosts, MaxFlows: c.MaxFlows}
}

func (c *ReplicaConfig) validate() error {
	switch {
	case len(c.Name) > 253:
		return fmt.Errorf("'replica::name' has %d bytes: write at most 253, such as the pod's name", len(c.Name))
	case c.Name != "" && !c.Routed:
		return fmt.Errorf("'replica::name' is %q, and 'replica::routed' is false: write true if routers stand before several hubs, "+
			"or take the name away", c.Name)
	}
	return nil
}

// served is what answers say of the replica: nothing for the only one.
func (c *ReplicaConfig) served() *api.Replica {
	if !c.Routed {
		return nil
	}
	name := c.Name
	if name == "" {
		// Without a name of the host it has none, and is still one of several.
		name, _ = os.Hostname()
	}
	return &api.Replica{Name: name}
}

func (c *AdminConfig) validate() error {
	if c.Endpoint == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Endpoint)
	if err != nil {
		return fmt.Errorf("'admin::endpoint' %q is no host and port: write one such as %s, or \"\" for none", c.Endpoint, defaultAdmin)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("'admin::endpoint' %q has no port number: write one such as %s", c.Endpoint, defaultAdmin)
	}
	if !loopback.IsHost(host) {
		return fmt.Errorf("'admin::endpoint' %q is reachable from other machines: the port asks nobody who they are and tells who calls whom, "+
			"so write 127.0.0.1, [::1] or localhost, and reach it with 'kubectl port-forward'", c.Endpoint)
	}
	return nil
}
