// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/findings"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// patience is how long a test waits for what happens in other goroutines.
const patience = 20 * time.Second

// begin is when tests begin by their own clock.
var begin = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// fixture is a running extension whose clock the test moves.
type fixture struct {
	*meshTopology
	t         *testing.T
	telemetry *componenttest.Telemetry
	host      *statusHost
	clock     atomic.Int64
}

func build(t *testing.T, cfg *Config) *fixture {
	t.Helper()
	f := &fixture{t: t, telemetry: componenttest.NewTelemetry(), host: &statusHost{Host: componenttest.NewNopHost()}}
	f.clock.Store(begin.UnixNano())
	m, err := newMeshTopology(metadatatest.NewSettings(f.telemetry), cfg)
	require.NoError(t, err)
	m.now = f.at
	f.meshTopology = m
	t.Cleanup(func() {
		require.NoError(t, m.Shutdown(context.Background()))
		require.NoError(t, f.telemetry.Shutdown(context.Background()))
	})
	return f
}

// started is a fixture that runs.
func started(t *testing.T, cfg *Config) *fixture {
	t.Helper()
	f := build(t, cfg)
	require.NoError(t, f.Start(context.Background(), f.host))
	return f
}

func (f *fixture) at() time.Time { return time.Unix(0, f.clock.Load()).UTC() }

// forward moves the clock and lets the engine look at it.
func (f *fixture) forward(d time.Duration) {
	f.t.Helper()
	f.clock.Add(int64(d))
	f.tick()
}

// tick lets the engine look at the clock, and makes visible what it did.
func (f *fixture) tick() {
	f.t.Helper()
	require.NoError(f.t, f.engine.do(context.Background(), func() error {
		f.engine.tick()
		f.engine.publish()
		return nil
	}))
}

func (f *fixture) accept(messages ...inventory.Message) {
	f.t.Helper()
	for i := range messages {
		require.NoError(f.t, f.AcceptInventory(context.Background(), &messages[i]))
	}
}

// ongoing returns the subjects of the findings of a kind that go on.
func (f *fixture) ongoing(kind string) (subjects []string) {
	for _, e := range f.findings.List() {
		if e.Kind == kind && e.Resolved.IsZero() {
			subjects = append(subjects, e.Cluster+": "+e.Subject)
		}
	}
	slices.Sort(subjects)
	return subjects
}

func (f *fixture) finding(kind string) (found findings.Entry) {
	for _, e := range f.findings.List() {
		if e.Kind == kind {
			return e
		}
	}
	f.t.Helper()
	f.t.Fatalf("no finding %s", kind)
	return found
}

func (f *fixture) eventually(condition func() bool, message string) {
	f.t.Helper()
	require.Eventually(f.t, condition, patience, 2*time.Millisecond, message)
}

func (f *fixture) holder(network, address string) string {
	p, how := f.Snapshot().At(time.Time{}).ByAddress(network, netip.MustParseAddr(address))
	if how != topology.Found {
		return how.String()
	}
	return p.Workload.Cluster.Name + "/" + p.Name
}

func (f *fixture) stale(cluster string) bool {
	c, ok := f.Snapshot().Cluster(cluster)
	require.True(f.t, ok, cluster)
	_, stale := c.StaleSince()
	return stale
}

// statusHost takes the status that the extension reports while it runs.
type statusHost struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (h *statusHost) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
}

func (h *statusHost) last() componentstatus.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == 0 {
		return componentstatus.StatusNone
	}
	return h.events[len(h.events)-1].Status()
}

// spoke is a cluster that sends its inventory.
type spoke struct {
	name    string
	writer  *topology.Writer
	encoder *inventory.Encoder
	pods    []topology.PodState
}

// newSpoke returns a cluster with pods that have the addresses 10.0.0.1 and up, in the network vnet-<name>.
func newSpoke(name, uid string, epoch int64, pods int) *spoke {
	s := &spoke{name: name, encoder: inventory.NewEncoder(name, uid, epoch), writer: topology.NewWriter(topology.WriterSettings{
		History: time.Hour, Now: func() time.Time { return begin },
	})}
	for i := range pods {
		s.pods = append(s.pods, podOf(i))
	}
	s.writer.Apply(&topology.Delta{
		Cluster: name, At: begin, Full: true, Pods: s.pods,
		Facts: &topology.ClusterFacts{UID: uid, Network: "vnet-" + name, Region: "westeurope", TrustDomain: name},
	})
	return s
}

func podOf(i int) topology.PodState {
	return topology.PodState{
		PodSpec:   topology.PodSpec{Name: fmt.Sprintf("p%d", i), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i + 1)})}},
		UID:       topology.UID{byte(i), byte(i >> 8), 1},
		Namespace: "ns", Workload: "w", Kind: "deployment", Since: begin.Add(-time.Minute), Seen: begin.Add(-time.Minute),
	}
}

func (s *spoke) snapshot(at time.Time) []inventory.Message {
	return slices.Collect(s.encoder.Snapshot(s.writer.Publish(), at))
}

func (s *spoke) delta(d *topology.Delta) []inventory.Message {
	d.Cluster = s.name
	s.writer.Apply(d)
	return slices.Collect(s.encoder.Delta(d))
}

func hub(t *testing.T) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.PublishInterval = 10 * time.Millisecond
	cfg.Inventory = configoptional.Some(InventoryConfig{
		Directory: filepath.Join(t.TempDir(), "topology"), SaveInterval: time.Minute, MaxJournalMiB: 64, StaleAfter: 90 * time.Second, ExpireAfter: 24 * time.Hour,
	})
	return cfg
}

func withStatic(cfg *Config, file string) *Config {
	cfg.PublishInterval = 10 * time.Millisecond
	cfg.Static = configoptional.Some(StaticConfig{File: file, ReloadInterval: time.Millisecond})
	return cfg
}

// replace puts the content in place at once, as a reader of half a file would see a third content.
func replace(t *testing.T, file, content string) {
	t.Helper()
	next := file + ".next"
	require.NoError(t, os.WriteFile(next, []byte(content), 0o600))
	require.NoError(t, os.Rename(next, file))
}

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// benchmarked is a hub that runs by the true clock, with a journal of this size.
func benchmarked(b *testing.B, journalMiB int) *meshTopology {
	b.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.Inventory = configoptional.Some(InventoryConfig{
		Directory: b.TempDir(), SaveInterval: time.Minute, MaxJournalMiB: journalMiB, StaleAfter: 90 * time.Second, ExpireAfter: 24 * time.Hour,
	})
	telemetry := componenttest.NewTelemetry()
	m, err := newMeshTopology(metadatatest.NewSettings(telemetry), cfg)
	require.NoError(b, err)
	require.NoError(b, m.Start(context.Background(), componenttest.NewNopHost()))
	b.Cleanup(func() {
		require.NoError(b, m.Shutdown(context.Background()))
		require.NoError(b, telemetry.Shutdown(context.Background()))
	})
	return m
}
