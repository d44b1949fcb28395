// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/attrs"
	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/callattr"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/pairing"
)

// spanPairing is the processor. What needs not wait is handed on within ConsumeTraces, so that errors of the next
// component reach the sender; what waited is handed on by a goroutine.
type spanPairing struct {
	config    *Config
	id        component.ID
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	next      consumer.Traces
	store     *pairing.Store
	outgoing  outgoing
	// journal is nil if what waits is kept in memory only.
	journal *journal
	// running is canceled when what is on its way at shutdown has had its time.
	running context.Context
	cancel  context.CancelFunc
	stop    chan struct{}
	stopped chan struct{}
}

func newSpanPairing(set processor.Settings, config *Config, next consumer.Traces) (*spanPairing, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("creating the processor's metrics: %w", err)
	}
	p := &spanPairing{
		config: config, id: set.ID, logger: set.Logger, telemetry: telemetry, next: next,
		store: pairing.NewStore(pairing.Settings{
			Wait: config.Wait, MaxAge: config.MaxAge, MaxEntries: int64(config.MaxEntries),
			MaxHeld: int64(config.MaxHeldSpans), MaxBytes: int64(config.MaxHeldMiB) << 20,
		}),
	}
	p.outgoing.kick = make(chan struct{}, 1)
	return p, p.observe()
}

// observe registers what is read when the metrics are collected.
func (p *spanPairing) observe() error {
	for _, gauge := range []struct {
		register func(metric.Int64Callback) error
		value    func() int64
	}{
		{p.telemetry.RegisterProcessorMeshSpanPairingEntriesCallback, p.store.Entries},
		{p.telemetry.RegisterProcessorMeshSpanPairingHeldSpansCallback, p.store.HeldSpans},
		{p.telemetry.RegisterProcessorMeshSpanPairingHeldBytesCallback, p.store.HeldBytes},
		{p.telemetry.RegisterProcessorMeshSpanPairingOutgoingSpansCallback, p.outgoing.len},
	} {
		if err := gauge.register(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(gauge.value())
			return nil
		}); err != nil {
			return fmt.Errorf("registering the processor's metrics: %w", err)
		}
	}
	return nil
}

// Capabilities says that spans are changed and moved.
func (*spanPairing) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start restores what waited when an earlier collector ended, and begins to let go what waited long enough.
func (p *spanPairing) Start(ctx context.Context, host component.Host) error {
	if p.config.Storage != nil {
		var err error
		if p.journal, err = openJournal(ctx, host, *p.config.Storage, p.id); err != nil {
			return fmt.Errorf("'storage': %w", err)
		}
		if err = p.restore(ctx); err != nil {
			return errors.Join(fmt.Errorf("'storage': reading what waited from %q: %w", p.config.Storage, err), p.journal.close(ctx))
		}
	}
	p.running, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.stop, p.stopped = make(chan struct{}), make(chan struct{})
	go p.run()
	return nil
}

// ConsumeTraces remembers the spans, keeps those that wait for a partner, and hands the others on. After an error
// nothing of the batch is kept: the sender still has it.
func (p *spanPairing) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	now := time.Now()
	var b pairing.Batch
	var t tally
	defer func() {
		p.outgoing.add(b.Released)
		count(ctx, p.telemetry, &b, &t)
	}()
	entries := entryPool.Get().(*[]*pairing.Entry)
	defer putEntries(entries)
	p.remember(td, now, entries, &b)
	w := waiting{traces: ptrace.NewTraces()}
	total := len(*entries)
	p.divide(td, *entries, &w, &b, &t)

	var stored *record
	if p.journal != nil && len(w.spans) > 0 {
		var err error
		if stored, err = p.journal.write(ctx, w.traces, len(w.spans)); err != nil {
			p.storageFailed(ctx, "Spans do not wait for their partner: they could not be stored", writeOption, err)
			p.giveBack(td, &w, &t)
		}
	}
	if td.ResourceSpans().Len() > 0 || total == 0 {
		if err := p.next.ConsumeTraces(ctx, td); err != nil {
			for _, s := range w.spans {
				p.store.Unreserve(s.held.Bytes)
			}
			p.forget(ctx, stored.all())
			return err
		}
	}
	for _, s := range w.spans {
		s.payload.record = stored
		p.store.Hold(s.entry, s.held, now, &b)
	}
	return nil
}

// remember adds every span to the store before any is judged: partners often come in one batch. entries gets one element
// for each span, nil for those that take no part.
func (p *spanPairing) remember(td ptrace.Traces, now time.Time, entries *[]*pairing.Entry, b *pairing.Batch) {
	var facts pairing.Facts
	for _, rs := range td.ResourceSpans().All() {
		proxy := readResource(p.store, rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				readSpan(p.store, proxy, span, &facts)
				*entries = append(*entries, p.store.Add(&facts, now, b))
			}
		}
	}
}

// payload is a span that waits, with what it came in.
type payload struct {
	span  ptrace.Span
	group *group
	// record is where it is stored, nil if it is not.
	record *record
}

// group is the resource and the scope that spans came in.
type group struct {
	resource ptrace.ResourceSpans
	scope    ptrace.ScopeSpans
}

// waitingSpan is a span that is about to be held.
type waitingSpan struct {
	entry   *pairing.Entry
	payload *payload
	held    *pairing.Held
}

// waiting is what one batch leaves behind.
type waiting struct {
	traces ptrace.Traces
	spans  []waitingSpan
}

// divide stamps the spans of a batch that pass, and moves those out that wait.
func (p *spanPairing) divide(td ptrace.Traces, entries []*pairing.Entry, w *waiting, b *pairing.Batch, t *tally) {
	i := -1
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			from := origin{resource: rs, scope: ss}
			ss.Spans().RemoveIf(func(span ptrace.Span) bool {
				i++
				entry := entries[i]
				if entry == nil {
					return false
				}
				own, now, wait := p.store.Judge(entry)
				if wait && p.reserve(entry, span, &from, w, b, t) {
					return true
				}
				stamp(span, &own, &now, t)
				return false
			})
		}
	}
	if len(w.spans) > 0 {
		removeEmpty(td)
	}
}

func removeEmpty(td ptrace.Traces) {
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool { return ss.Spans().Len() == 0 })
		return rs.ScopeSpans().Len() == 0
	})
}

var sizer ptrace.ProtoMarshaler

// spanOverhead is what waiting takes beside the span itself.
const spanOverhead = 256

// origin is the resource and the scope of spans that may have to wait.
type origin struct {
	resource ptrace.ResourceSpans
	scope    ptrace.ScopeSpans
	// group is the copy that those share which wait, nil until one does. size is how much it takes, zero until asked for.
	group *group
	size  int64
}

// smallOrigin is the size of a resource and scope up to which the first span that waits pays for all: most are not alone.
// Beyond it each one pays, as each one keeps it in memory.
const smallOrigin = 4 << 10

// share returns what a span has to pay for its resource and scope.
func (o *origin) share() int64 {
	if o.size == 0 {
		o.size = int64(attrs.Size(o.resource.Resource().Attributes()) + attrs.ScopeSize(o.scope.Scope()) +
			len(o.resource.SchemaUrl()) + len(o.scope.SchemaUrl()) + 1)
	}
	if o.group != nil && o.size <= smallOrigin {
		return 0
	}
	return o.size
}

// reserve makes room for a span and moves it to those that wait. It reports false if there is none.
func (p *spanPairing) reserve(
	entry *pairing.Entry, span ptrace.Span, from *origin, w *waiting, b *pairing.Batch, t *tally,
) bool {
	if p.outgoing.len() >= int64(p.config.MaxHeldSpans) || p.outgoing.bytes.Load() >= int64(p.config.MaxHeldMiB)<<20 {
		// The next component takes nothing. More must not pile up here: its error is the sender's.
		t.backlog++
		return false
	}
	bytes := int64(sizer.SpanSize(span)) + spanOverhead + from.share()
	if !p.store.Reserve(entry, bytes, b) {
		return false
	}
	if from.group == nil {
		from.group = newGroup(w.traces, from.resource, from.scope)
	}
	kept := from.group.scope.Spans().AppendEmpty()
	span.MoveTo(kept)
	pl := &payload{span: kept, group: from.group}
	w.spans = append(w.spans, waitingSpan{entry, pl, &pairing.Held{Payload: pl, Bytes: bytes}})
	return true
}

func newGroup(into ptrace.Traces, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans) *group {
	g := &group{resource: into.ResourceSpans().AppendEmpty()}
	g.scope = g.resource.ScopeSpans().AppendEmpty()
	g.copyFrom(rs, ss)
	return g
}

func (g *group) copyFrom(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans) {
	rs.Resource().CopyTo(g.resource.Resource())
	g.resource.SetSchemaUrl(rs.SchemaUrl())
	ss.Scope().CopyTo(g.scope.Scope())
	g.scope.SetSchemaUrl(ss.SchemaUrl())
}

// giveBack lets spans pass that cannot wait.
func (p *spanPairing) giveBack(td ptrace.Traces, w *waiting, t *tally) {
	for _, s := range w.spans {
		own, now, _ := p.store.Judge(s.entry)
		stamp(s.payload.span, &own, &now, t)
		p.store.Unreserve(s.held.Bytes)
		t.storage++
	}
	w.traces.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	w.spans = nil
}

// stamp writes what other spans told.
func stamp(span ptrace.Span, own, now *pairing.State, t *tally) {
	if *own == *now {
		return
	}
	t.tell(own, now)
	before, call := own.Call(), now.Call()
	call.Write(span.Attributes(), &before)
	if d, ok := now.ViaDuration(); ok {
		span.Attributes().PutDouble(callattr.ViaDuration, d.Seconds())
	}
}
