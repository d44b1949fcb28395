// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/admin"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/findings"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/loopback"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

var (
	_ Topology            = (*meshTopology)(nil)
	_ InventorySink       = (*meshTopology)(nil)
	_ FindingSink         = (*meshTopology)(nil)
	_ extension.Extension = (*meshTopology)(nil)
)

// errInventoryOff is returned for messages that nobody wants.
var errInventoryOff = fmt.Errorf("%w: the source 'inventory' of the mesh_topology extension is off; write 'inventory: {directory: …}' there, "+
	"or do not send inventories to this collector", inventorylog.ErrNotTaken)

// meshTopology runs the sources and the writer, and hands snapshots out.
type meshTopology struct {
	config    *Config
	id        component.ID
	version   string
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	host      component.Host
	now       func() time.Time
	openKube  func(kube.Settings) (kubeSource, error)

	store    topology.Store
	findings *findings.Table
	engine   *engine
	feeds    []feed
	server   *http.Server
	listener net.Listener
	// troubles is the status that was reported last; only the engine's goroutine uses it.
	troubles string

	cancelFeeds, cancelEngine context.CancelFunc
	// running are the feeds and the server, writing is the engine.
	running, writing sync.WaitGroup
	stop             sync.Once
}

func newMeshTopology(set extension.Settings, config *Config) (*meshTopology, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("creating the extension's metrics: %w", err)
	}
	m := &meshTopology{
		config: config, id: set.ID, version: set.BuildInfo.Version, logger: set.Logger, telemetry: telemetry, now: time.Now,
		openKube: func(s kube.Settings) (kubeSource, error) { return kube.New(s) },
	}
	m.findings = findings.New(func() time.Time { return m.now() })
	m.engine = newEngine(config, set.Logger, telemetry, &m.store, m.findings, func() time.Time { return m.now() })
	return m, nil
}

// Snapshot implements [Topology].
func (m *meshTopology) Snapshot() *topology.Snapshot { return m.store.Snapshot() }

// AcceptInventory implements [InventorySink].
func (m *meshTopology) AcceptInventory(ctx context.Context, message *inventory.Message) error {
	if m.engine.assembler == nil {
		// Not a permanent error: the record is a log record here.
		return errInventoryOff
	}
	return m.engine.do(ctx, func() error { return m.engine.accept(message) })
}

// ReportFinding implements [FindingSink].
func (m *meshTopology) ReportFinding(f topology.Finding) { m.engine.report(f) }

// Start reads what is there at once, the disk copy and the file, so that nothing is stamped without it and a bad file
// stops the collector. The API servers and the inventories follow when they come.
func (m *meshTopology) Start(_ context.Context, host component.Host) error {
	m.host = host
	if err := m.start(); err != nil {
		return errors.Join(err, m.Shutdown(context.Background()))
	}
	return nil
}

func (m *meshTopology) start() error {
	e := m.engine
	if c := m.config.Inventory.Get(); c != nil {
		e.copy = newDiskCopy(e, c, m.id)
		if err := e.copy.load(); err != nil {
			return err
		}
		m.feeds = append(m.feeds, &inventoryFeed{e})
	}
	if c := m.config.RemoteSecrets.Get(); c != nil {
		m.feeds = append(m.feeds, newRemoteFeed(e, c, m.version))
	}
	if c := m.config.Kubernetes.Get(); c != nil {
		m.feeds = append(m.feeds, newKubernetesFeed(e, c, m.version, m.openKube))
	}
	if c := m.config.Static.Get(); c != nil {
		m.feeds = append(m.feeds, newStaticFeed(e, c))
	}
	for _, f := range m.feeds {
		if err := f.start(); err != nil {
			return err
		}
	}
	e.publish()
	if err := m.listen(); err != nil {
		return err
	}
	if err := m.observe(); err != nil {
		return fmt.Errorf("registering the extension's gauges: %w", err)
	}
	stats := m.Snapshot().Stats()
	m.logger.Info("topology loaded", zap.Int("clusters", stats.Clusters), zap.Int("workloads", stats.Workloads),
		zap.Int("pods", stats.Pods), zap.Int("gateways", stats.Gateways))
	m.run()
	return nil
}

// run starts the goroutines: sources, the writer, the disk copy and the admin port.
func (m *meshTopology) run() {
	e := m.engine
	e.every = append(e.every, m.check)
	var feeds, writer context.Context
	feeds, m.cancelFeeds = context.WithCancel(context.Background())
	writer, m.cancelEngine = context.WithCancel(context.Background())
	if c := e.copy; c != nil {
		c.writing.Go(c.run)
		if c.journal != nil {
			c.journal.syncing.Go(c.journal.run)
		}
	}
	m.writing.Go(func() { e.run(writer) })
	for _, f := range m.feeds {
		m.running.Go(func() { f.run(feeds) })
	}
	if m.server != nil {
		m.running.Go(func() {
			if err := m.server.Serve(m.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
				m.logger.Error("the admin port ended", zap.Error(err))
			}
		})
	}
}

// Shutdown ends the sources, takes what waits, and writes the disk copy. It may be called twice and without Start.
func (m *meshTopology) Shutdown(context.Context) error {
	m.stop.Do(func() {
		if m.server != nil {
			_ = m.server.Close()
			_ = m.listener.Close()
		}
		if m.cancelFeeds != nil {
			m.cancelFeeds()
			m.running.Wait()
			m.cancelEngine()
			m.writing.Wait()
			if c := m.engine.copy; c != nil {
				c.finish(m.engine.content())
			}
		}
		m.telemetry.Shutdown()
	})
	return nil
}

// check reports what is wrong with the sources as the component's status, when that changes.
func (m *meshTopology) check(now time.Time) {
	var troubles []error
	for _, f := range m.feeds {
		if err := f.check(now); err != nil {
			troubles = append(troubles, err)
		}
	}
	err := errors.Join(troubles...)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == m.troubles {
		return
	}
	m.troubles = text
	if err != nil {
		componentstatus.ReportStatus(m.host, componentstatus.NewRecoverableErrorEvent(err))
		return
	}
	componentstatus.ReportStatus(m.host, componentstatus.NewEvent(componentstatus.StatusOK))
}

// listen opens the admin port.
func (m *meshTopology) listen() error {
	endpoint := m.config.Admin.Endpoint
	if endpoint == "" {
		return nil
	}
	listener, err := net.Listen("tcp", endpoint)
	if err != nil {
		return fmt.Errorf("cannot listen on 'admin::endpoint': %w", err)
	}
	// The name localhost could be made to lead elsewhere.
	if host, _, err := net.SplitHostPort(listener.Addr().String()); err != nil || !loopback.IsHost(host) {
		return errors.Join(fmt.Errorf("'admin::endpoint' %q leads to %s, which other machines can reach: write 127.0.0.1 or [::1]", endpoint, listener.Addr()),
			listener.Close())
	}
	m.listener = listener
	m.server = admin.Serve(admin.New(admin.Settings{
		Snapshot: m.Snapshot, Findings: m.findings.List, Status: m.status, Now: m.now,
		Source: func(cluster string) string { return (*m.engine.sources.Load())[cluster] },
	}))
	m.server.ErrorLog = zap.NewStdLog(m.logger)
	m.logger.Info("serving the topology as JSON", zap.String("endpoint", listener.Addr().String()))
	return nil
}

// status is what the admin port tells beside the snapshot.
func (m *meshTopology) status() admin.Status {
	e := m.engine
	out := admin.Status{Queue: admin.Queue{Length: len(e.queue), Capacity: cap(e.queue)}, Counters: map[string]uint64{}}
	for _, f := range m.feeds {
		out.Sources = append(out.Sources, f.status()...)
	}
	if e.copy != nil {
		state := e.copy.status()
		out.DiskCopy = &state
	}
	t := e.totals.Load()
	for kind, n := range t.refused() {
		out.Counters["refused_"+kind] = n
	}
	if e.assembler != nil {
		for result, n := range t.messages() {
			out.Counters["inventory_messages_"+result] = n
		}
	}
	requests := m.requests()
	maps.Copy(out.Counters, map[string]uint64{
		"history_evicted": t.writer.HistoryEvicted, "address_conflicts": t.writer.AddressConflicts, "unknown_ends": t.writer.UnknownEnds,
		"overruled": t.overruled, "findings_dropped": uint64(m.findingsDropped()), "kubernetes_requests": requests.Requests,
		"kubernetes_lists": requests.Lists, "kubernetes_watches": requests.Watches, "kubernetes_events": requests.Events,
		"kubernetes_failures": requests.Failures, "kubernetes_bytes_read": requests.BytesRead,
	})
	return out
}
