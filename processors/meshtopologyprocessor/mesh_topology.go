// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// snapshots is what the processor asks of the mesh_topology extension.
type snapshots interface {
	Snapshot() *topology.Snapshot
}

// findings is what the processor tells the mesh_topology extension.
type findings interface {
	ReportFinding(topology.Finding)
}

// meshTopology stamps one signal.
type meshTopology struct {
	config *Config
	// attributes are those of a verdict that are written.
	attributes attributeSet
	id         component.ID
	logger     *zap.Logger
	telemetry  *metadata.TelemetryBuilder
	topology   snapshots
	// inventories and findings are nil where the extension takes none.
	inventories inventorylog.Sink
	findings    findings
	// localities and rejections hold back what would be told over and over.
	localities *throttle[podID]
	rejections *throttle[string]
	now        func() time.Time
	stop       sync.Once
	// explains records how items are judged; nil except in an [Explainer].
	explains *recorder
	// lastMemo is the memo of the last batch, unless one uses it, and memos are the others that no batch uses. A pool
	// alone would lose it with every other garbage collection.
	lastMemo atomic.Pointer[memo]
	memos    sync.Pool
	// idle drops lastMemo: it holds a snapshot, which may not be the newest.
	idle *time.Timer
	// zones are those of the newest snapshot in which somebody looked for one.
	zones atomic.Pointer[zoneIndex]
}

func newMeshTopology(set processor.Settings, config *Config) (*meshTopology, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("creating the processor's metrics: %w", err)
	}
	attributes, err := attributesOf(config.Attributes)
	if err != nil {
		return nil, err
	}
	// Until start finds the extension, an empty topology answers.
	m := &meshTopology{
		config: config, attributes: attributes, id: set.ID, logger: set.Logger, telemetry: telemetry, topology: &topology.Store{},
		localities: newThrottle[podID](localityPeriod, maxLocalities),
		rejections: newThrottle[string](rejectionPeriod, maxRejections),
		now:        time.Now,
	}
	m.idle = time.AfterFunc(idleAfter, func() { m.lastMemo.Store(nil) })
	return m, nil
}

func (m *meshTopology) start(_ context.Context, host component.Host) error {
	found, ok := host.GetExtensions()[m.config.Topology]
	if !ok {
		return fmt.Errorf("'topology': no extension %q; define it under extensions and list it under service::extensions",
			m.config.Topology)
	}
	if m.topology, ok = found.(snapshots); !ok {
		return fmt.Errorf("'topology': extension %q is no mesh_topology extension", m.config.Topology)
	}
	m.inventories, _ = found.(inventorylog.Sink)
	m.findings, _ = found.(findings)
	// Not an error: the topology may come to know the cluster later. Until then a mistyped name would show only as many
	// unknown ends.
	if _, known := m.topology.Snapshot().Cluster(m.config.Cluster); m.config.Cluster != "" && !known {
		m.logger.Warn("'cluster' is not in the topology: no pod of it can be named; check the name, or add the cluster",
			zap.String("cluster", m.config.Cluster))
	}
	return nil
}

func (m *meshTopology) shutdown(context.Context) error {
	m.stop.Do(func() {
		m.idle.Stop()
		m.telemetry.Shutdown()
	})
	return nil
}

// batch is what the items of one call of the processor share.
type batch struct {
	m        *meshTopology
	snapshot *topology.Snapshot
	// now is when the batch came. Later than latest is no item's time.
	now    time.Time
	latest pcommon.Timestamp
	// connection is where the batch came from, if that is a pod's address.
	connection netip.Addr
	// local says that all of the telemetry comes from the cluster that the collector was told.
	local bool
	// podOnResource says that the resource of the log records at hand names the pod, so that records need not.
	podOnResource bool
	tally         tally
	read          reading
	// reported is who reported the items of the resource at hand.
	reported reported
	memo     *memo
	// call, labels and verdict are those of an item that the memo is not asked about.
	call    rules.Call
	labels  rules.Labels
	verdict rules.Verdict
	// direction is which way the bytes went that the metric at hand counts; empty if it counts something else.
	direction string
	// zone is what the name of the metric at hand tells of zones.
	zone envoy.ZoneStat
}

func (m *meshTopology) newBatch(ctx context.Context) *batch {
	now, snapshot := m.now(), m.topology.Snapshot()
	return &batch{
		m: m, snapshot: snapshot, connection: m.connection(ctx), local: m.config.Cluster != "",
		now: now, latest: pcommon.NewTimestampFromTime(now.Add(maxAhead)),
		memo: m.remembering(snapshot, now),
	}
}

// connection returns the address the batch came from. It tells a pod only at a collector that was told its cluster:
// elsewhere another collector forwarded the batch, and the address is in a network that nothing tells.
func (m *meshTopology) connection(ctx context.Context) netip.Addr {
	if m.config.Cluster == "" {
		return netip.Addr{}
	}
	var ip netip.Addr
	switch a := client.FromContext(ctx).Addr.(type) {
	case *net.TCPAddr:
		ip = a.AddrPort().Addr()
	case *net.IPAddr:
		ip, _ = netip.AddrFromSlice(a.IP)
	default:
		return netip.Addr{}
	}
	if ip = ip.Unmap(); rules.IsProxyLoopback(ip) {
		return netip.Addr{}
	}
	return ip
}

// reporter returns what the resource and the connection tell of who reported its items.
func (b *batch) reporter(res *resourceReading) rules.Reporter {
	r := res.reporter
	r.LocalCluster = b.m.config.Cluster
	switch {
	case res.shared:
		// Whose address the resource has told is the one that forwarded.
		r.Address = netip.Addr{}
	case !r.Address.IsValid():
		r.Address = b.connection
	}
	return r
}

func (b *batch) finish(ctx context.Context) {
	b.tally.add(ctx, b.m.telemetry)
	b.m.giveBack(b.memo)
}
