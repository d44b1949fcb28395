// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/meshinventoryreceiver/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/meshinventoryreceiver/internal/metadatatest"
)

// fakeSource emits what a test tells it to, on its own goroutine.
type fakeSource struct {
	deltas chan *topology.Delta
	mu     sync.Mutex
	state  kube.State
	counts kube.Counters
}

func (f *fakeSource) Run(ctx context.Context, emit func(*topology.Delta)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d := <-f.deltas:
			emit(d)
		}
	}
}

func (f *fakeSource) State() kube.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

func (f *fakeSource) Counters() kube.Counters {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}

func (f *fakeSource) set(change func(*fakeSource)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// fakeElector leads when a test says so.
type fakeElector struct {
	terms chan leadership
	lose  chan struct{}
}

func (f *fakeElector) Run(ctx context.Context, lead func(context.Context, leadership)) {
	for {
		select {
		case <-ctx.Done():
			return
		case term := <-f.terms:
			leading, cancel := context.WithCancel(ctx)
			done := make(chan struct{})
			go func() {
				defer close(done)
				lead(leading, term)
			}()
			select {
			case <-f.lose:
			case <-ctx.Done():
			}
			cancel()
			<-done
		}
	}
}

// pipeline keeps what it took, and refuses what answer says.
type pipeline struct {
	mu     sync.Mutex
	taken  []plog.Logs
	answer func(context.Context, plog.Logs) error
	offers int
}

func (*pipeline) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (p *pipeline) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	p.mu.Lock()
	answer := p.answer
	p.offers++
	p.mu.Unlock()
	if answer != nil {
		if err := answer(ctx, logs); err != nil {
			// As a pipeline may that has changed what it then refused.
			logs.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { return true })
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = append(p.taken, logs)
	return nil
}

func (p *pipeline) setAnswer(answer func(context.Context, plog.Logs) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *pipeline) take() []plog.Logs {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.taken
	p.taken = nil
	return taken
}

// host keeps the component's status.
type host struct {
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (*host) GetExtensions() map[component.ID]component.Component { return nil }

func (h *host) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
}

func (h *host) statuses() []componentstatus.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]componentstatus.Status, 0, len(h.events))
	for _, e := range h.events {
		list = append(list, e.Status())
	}
	return list
}

// world is a started receiver whose surroundings the test holds.
type world struct {
	t        *testing.T
	cfg      *Config
	receiver *inventoryReceiver
	elector  *fakeElector
	source   *fakeSource
	pipeline *pipeline
	host     *host
	tt       *componenttest.Telemetry
	began    time.Time
}

// in runs a test in a bubble of its own time.
func in(t *testing.T, mutate func(*Config), test func(*testing.T, *world)) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		cfg.Cluster = "east"
		if mutate != nil {
			mutate(cfg)
		}
		require.NoError(t, cfg.Validate())
		w := &world{
			t: t, cfg: cfg, pipeline: &pipeline{}, host: &host{}, tt: componenttest.NewTelemetry(), began: time.Now(),
			elector: &fakeElector{terms: make(chan leadership), lose: make(chan struct{})},
			source:  &fakeSource{deltas: make(chan *topology.Delta)},
		}
		set := metadatatest.NewSettings(w.tt)
		set.Logger = zap.NewNop()
		r, err := newReceiver(cfg, set, w.pipeline)
		require.NoError(t, err)
		r.env = environment{elector: w.elector, newSource: func(func(topology.Finding)) (source, error) { return w.source, nil }}
		w.receiver = r
		t.Cleanup(func() {
			require.NoError(t, r.Shutdown(context.Background()))
			require.NoError(t, w.tt.Shutdown(context.Background()))
		})
		require.NoError(t, r.Start(t.Context(), w.host))
		test(t, w)
	})
}

func always() bool { return true }

func (w *world) lead(epoch int64) { w.elector.terms <- leadership{epoch: epoch, held: always} }

// emit hands a delta to the receiver and returns once it was taken.
func (w *world) emit(d topology.Delta) {
	d.Cluster = w.cfg.Cluster
	w.source.deltas <- &d
	synctest.Wait()
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d) // of the bubble: it takes no time
	synctest.Wait()
}

// messages returns what the pipeline took since the last time, as messages.
func (w *world) messages() []*inventory.Message {
	var list []*inventory.Message
	for _, logs := range w.pipeline.take() {
		list = append(list, read(w.t, logs)...)
	}
	return list
}

// read reads the messages of a batch, and checks what every batch must be.
func read(t testing.TB, logs plog.Logs) []*inventory.Message {
	require.Equal(t, 1, logs.ResourceLogs().Len())
	resource := logs.ResourceLogs().At(0)
	require.Equal(t, 1, resource.ScopeLogs().Len())
	scope := resource.ScopeLogs().At(0)
	require.Equal(t, inventory.ScopeName, scope.Scope().Name())
	require.Equal(t, metadata.ScopeName, scope.Scope().Name())
	size := 0
	list := make([]*inventory.Message, 0, scope.LogRecords().Len())
	for _, record := range scope.LogRecords().All() {
		require.NotZero(t, record.ObservedTimestamp())
		m, err := inventorylog.FromLogRecord(record, resource.Resource().Attributes())
		require.NoError(t, err)
		size += len(m.Body)
		list = append(list, m)
	}
	require.LessOrEqual(t, size, maxBatchBytes)
	return list
}

// hub is the other end: it assembles messages into a topology.
type hub struct {
	assembler *inventory.Assembler
	writer    *topology.Writer
	findings  []topology.Finding
}

func newHub() *hub {
	return &hub{
		assembler: inventory.NewAssembler(inventory.AssemblerSettings{}),
		writer:    topology.NewWriter(topology.WriterSettings{History: time.Hour}),
	}
}

func (h *hub) accept(t testing.TB, messages []*inventory.Message) *topology.Snapshot {
	for _, m := range messages {
		actions, err := h.assembler.Accept(m, time.Now())
		require.NoError(t, err)
		h.do(actions)
	}
	return h.writer.Publish()
}

// join is accept for a hub that comes to the stream in its middle: it waits for what came before, and then goes on.
func (h *hub) join(t testing.TB, messages []*inventory.Message) *topology.Snapshot {
	h.accept(t, messages)
	h.do(h.assembler.Tick(time.Now().Add(30 * time.Second)))
	return h.writer.Publish()
}

func (h *hub) do(actions []inventory.Action) {
	for i := range actions {
		switch a := &actions[i]; a.Kind {
		case inventory.ActionApply:
			for j := range a.Update.Past {
				p := &a.Update.Past[j]
				h.writer.ApplyPast(a.Cluster, &p.PodState, p.Earliest, p.Latest, p.Gap)
			}
			h.writer.Apply(&a.Update.Delta)
		case inventory.ActionStale:
			h.writer.MarkStale(a.Cluster, a.Since)
		case inventory.ActionRemove:
			h.writer.Remove(a.Cluster)
		case inventory.ActionFinding:
			h.findings = append(h.findings, a.Finding)
		}
	}
}

// pods returns the names of the pods that run and of those that ended.
func pods(s *topology.Snapshot) (running, ended []string) {
	for p := range s.Pods("east") {
		if p.Ended() {
			ended = append(ended, p.Name)
		} else {
			running = append(running, p.Name)
		}
	}
	return running, ended
}

func uid(n int) topology.UID { return topology.UID{1, 2, byte(n >> 16), byte(n >> 8), byte(n)} }

func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// pod is the nth pod, with the nth address.
func pod(n int, since time.Time) topology.PodState {
	return topology.PodState{
		PodSpec: topology.PodSpec{
			Name: fmt.Sprintf("reviews-v1-6f5d8c7b9-%05d", n), Node: fmt.Sprintf("node-%d", n/30), Addresses: []netip.Addr{address(n)},
		},
		UID: uid(n), Namespace: "bookinfo", Workload: "reviews-v1", Kind: "deployment", Service: "reviews", Version: "v1",
		ServiceAccount: "bookinfo-reviews", Since: since, Seen: since.Add(time.Second),
	}
}

func end(n int, earliest, latest time.Time) topology.PodEnd {
	p := pod(n, earliest)
	return topology.PodEnd{Namespace: p.Namespace, Name: p.Name, UID: p.UID, Earliest: earliest, Latest: latest}
}

// full is a whole cluster of n pods.
func full(n int, at time.Time) topology.Delta {
	d := topology.Delta{Cluster: "east", At: at, Full: true, Facts: &topology.ClusterFacts{UID: "uid-1", Region: "westeurope"}}
	for i := range n {
		d.Pods = append(d.Pods, pod(i, at.Add(-time.Minute)))
		if i%30 == 0 {
			d.Nodes = append(d.Nodes, topology.NodeSpec{Name: fmt.Sprintf("node-%d", i/30), Zone: "westeurope-1"})
		}
	}
	d.Services = append(d.Services, topology.ServiceSpec{Name: "reviews", Namespace: "bookinfo"})
	return d
}

func kinds(messages []*inventory.Message) []inventory.Kind {
	list := make([]inventory.Kind, 0, len(messages))
	for _, m := range messages {
		list = append(list, m.Kind)
	}
	return list
}
