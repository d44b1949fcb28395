// SPDX-License-Identifier: Apache-2.0

package inventorybroadcastexporter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/internal/replicas"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/inventorybroadcastexporter/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

const (
	reasonMalformed = "malformed"
	reasonCeiling   = "max_held_mib"
	reasonRefused   = "refused"
)

// errNobody is not permanent: the sender keeps what it has.
var errNobody = errors.New("no replica of the hub answers that an inventory could be given to")

// broadcaster gives each inventory to all replicas. The sender is answered when all have it that are ready.
type broadcaster struct {
	config     *Config
	set        exporter.Settings
	logger     *zap.Logger
	count      *metadata.TelemetryBuilder
	attributes metric.MeasurementOption
	resolver   replicas.Source
	book       *book

	host   component.Host
	ctx    context.Context
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu       sync.Mutex
	replicas map[string]*replica
	// moved is closed when a replica has more, or the replicas are others.
	moved chan struct{}
}

func newBroadcaster(set exporter.Settings, c *Config) (*broadcaster, error) {
	count, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	id := set.ID.String()
	b := &broadcaster{
		config: c, set: set, logger: set.Logger, count: count, replicas: map[string]*replica{}, moved: make(chan struct{}),
		attributes: metric.WithAttributeSet(attribute.NewSet(attribute.String("exporter", id))),
	}
	b.book = newBook(c.MaxHeldMiB<<20, time.Now, func(n int) { b.lost(reasonCeiling, n) })
	b.resolver = c.Resolver.Source()
	for _, reason := range []string{reasonMalformed, reasonCeiling, reasonRefused} {
		b.lost(reason, 0)
	}
	return b, b.observe()
}

// observe registers the gauges.
func (b *broadcaster) observe() error {
	id := attribute.String("exporter", b.set.ID.String())
	return errors.Join(
		b.count.RegisterExporterInventoryBroadcastHeldBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(b.book.held()), b.attributes)
			return nil
		}),
		b.count.RegisterExporterInventoryBroadcastReplicasCallback(func(_ context.Context, o metric.Int64Observer) error {
			counts := map[string]int64{"ready": 0, "starting": 0, "behind": 0}
			for _, s := range b.standings() {
				switch {
				case s.behind:
					counts["behind"]++
				case s.ready:
					counts["ready"]++
				default:
					counts["starting"]++
				}
			}
			for state, n := range counts {
				o.Observe(n, metric.WithAttributes(id, attribute.String("state", state)))
			}
			return nil
		}),
	)
}

func (b *broadcaster) lost(reason string, n int) {
	b.count.ExporterInventoryBroadcastLostMessages.Add(context.Background(), int64(n),
		metric.WithAttributes(attribute.String("exporter", b.set.ID.String()), attribute.String("reason", reason)))
}

func (b *broadcaster) start(_ context.Context, host component.Host) error {
	b.host = host
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b.resolver.Start(b.told)
}

func (b *broadcaster) shutdown(context.Context) error {
	if b.cancel == nil {
		b.count.Shutdown()
		return nil
	}
	b.resolver.Stop()
	b.cancel()
	b.told(nil)
	b.ended.Wait()
	b.count.Shutdown()
	return nil
}

// told makes the replicas those that the resolver found.
func (b *broadcaster) told(found map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for endpoint, r := range b.replicas {
		if _, ok := found[endpoint]; !ok {
			delete(b.replicas, endpoint)
			// It closes its connection when it has ended, which nobody waits for.
			r.cancel()
		}
	}
	for endpoint, ready := range found {
		r := b.replicas[endpoint]
		if r == nil {
			r = b.begin(endpoint)
			b.replicas[endpoint] = r
		}
		r.setReady(ready)
	}
	b.wake()
}

// begin starts to give a replica everything.
func (b *broadcaster) begin(endpoint string) *replica {
	ctx, cancel := context.WithCancel(b.ctx)
	r := &replica{endpoint: endpoint, b: b, cancel: cancel, began: b.book.now(), again: make(chan struct{}, 1)}
	b.ended.Go(func() { r.run(ctx) })
	return r
}

// newExporter starts upstream's exporter to one replica.
func (b *broadcaster) newExporter(ctx context.Context, endpoint string) (exporter.Logs, error) {
	factory, set, config := b.config.Protocol.Settings(b.set, endpoint)
	own, err := factory.CreateLogs(ctx, set, config)
	if err != nil {
		return nil, err
	}
	return replicas.Begin(ctx, own, b.host)
}

// wake wakes the senders that wait. The lock is held.
func (b *broadcaster) wake() {
	close(b.moved)
	b.moved = make(chan struct{})
}

// advanced is called when a replica has more.
func (b *broadcaster) advanced() {
	b.mu.Lock()
	b.wake()
	b.mu.Unlock()
	if passed, ok := b.passed(); ok {
		b.book.tidy(passed)
	}
}

// standings returns what is known of the replicas.
func (b *broadcaster) standings() []standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.book.now()
	all := make([]standing, 0, len(b.replicas))
	for _, r := range b.replicas {
		all = append(all, r.standing(now))
	}
	return all
}

// passed returns the number up to which all replicas that are waited for have everything. ok says whether there is one.
func (b *broadcaster) passed() (least uint64, ok bool) {
	for _, s := range b.standings() {
		if s.ready && !s.behind && (!ok || s.passed < least) {
			least, ok = s.passed, true
		}
	}
	return least, ok
}

// consume takes the inventories out of logs, which it does not change, and waits until all replicas have them that are
// ready and answer. Other logs are none of its business.
func (b *broadcaster) consume(ctx context.Context, ld plog.Logs) error {
	last := b.enter(ld)
	if last == 0 {
		return nil
	}
	// A replica that does not answer is passed over in time even if no other one moves.
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		b.mu.Lock()
		moved := b.moved
		b.mu.Unlock()
		passed, ok := b.passed()
		if ok && passed >= last {
			return nil
		}
		if !ok {
			return errNobody
		}
		select {
		case <-moved:
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("not all replicas of the hub have taken an inventory, of %s: %w", b.slow(last), context.Cause(ctx))
		}
	}
}

// slow names the replicas that have not got the message of the number.
func (b *broadcaster) slow(number uint64) string {
	var names []string
	for _, s := range b.standings() {
		if s.ready && !s.behind && s.passed < number {
			names = append(names, s.endpoint)
		}
	}
	return "not " + strings.Join(names, ", ")
}

// enter puts the inventories of a batch into the book and returns the number of the last, 0 if there is none.
func (b *broadcaster) enter(ld plog.Logs) (last uint64) {
	for i := range ld.ResourceLogs().Len() {
		rl := ld.ResourceLogs().At(i)
		for j := range rl.ScopeLogs().Len() {
			sl := rl.ScopeLogs().At(j)
			if sl.Scope().Name() != inventory.ScopeName {
				continue
			}
			for k := range sl.LogRecords().Len() {
				last = max(last, b.enterRecord(rl, sl, sl.LogRecords().At(k)))
			}
		}
	}
	return last
}

func (b *broadcaster) enterRecord(rl plog.ResourceLogs, sl plog.ScopeLogs, record plog.LogRecord) uint64 {
	m, err := inventorylog.FromLogRecord(record, rl.Resource().Attributes())
	if err == nil && (len(m.Cluster) > inventory.MaxStringBytes || len(m.ClusterUID) > inventory.MaxStringBytes) {
		err = fmt.Errorf("the cluster's name or uid is longer than %d bytes", inventory.MaxStringBytes)
	}
	if err != nil {
		// Sent again it would be the same. The rest of the batch is worth taking.
		b.lost(reasonMalformed, 1)
		b.logger.Warn("A log record with the scope of inventories is none, and is dropped.", zap.Error(err))
		return 0
	}
	// Only what belongs to the form: a sender does not decide how much is kept of whatever else is in the record.
	var where string
	if region, ok := rl.Resource().Attributes().Get(string(semconv.CloudRegionKey)); ok && region.Type() == pcommon.ValueTypeStr &&
		len(region.Str()) <= inventory.MaxStringBytes {
		where = region.Str()
	}
	own := plog.NewLogs()
	to := own.ResourceLogs().AppendEmpty()
	inventorylog.ToResource(&m.Header, where, to.Resource().Attributes())
	scope := to.ScopeLogs().AppendEmpty()
	scope.Scope().SetName(inventory.ScopeName)
	inventorylog.ToLogRecord(m, scope.LogRecords().AppendEmpty())
	return b.book.add(&m.Header, own, entryOverhead+len(m.Cluster)+len(m.ClusterUID)+len(where)+len(m.Body))
}

// entryOverhead is about what a message takes beside its body, in bytes.
const entryOverhead = 1024
