// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/queuestorageextension/internal/metadata"
)

// The words of the attribute reason.
const (
	reasonDiskFull    = "disk_full"    // refused: the disk has less than min_free_mib left, or no space at all
	reasonMaxSize     = "max_size"     // refused: max_mib of values wait
	reasonWriteFailed = "write_failed" // refused: the disk reported another error

	reasonChecksum   = "checksum"   // damaged: the content does not fit its checksum, or the envelope is gone
	reasonMissing    = "missing"    // damaged: the bookkeeping of a damaged file names it, and it is not in the file
	reasonUnreadable = "unreadable" // damaged: whole, but the component cannot decode it

	reasonSalvaged = "salvaged" // recovered: from a damaged file
	reasonOrphaned = "orphaned" // recovered: in the file, but not in the queue's bookkeeping, or without any
)

// counters count for one queue.
type counters struct {
	t      *metadata.TelemetryBuilder
	labels []attribute.KeyValue
}

func newCounters(t *metadata.TelemetryBuilder, component, signal string) *counters {
	return &counters{t: t, labels: []attribute.KeyValue{attribute.String("component", component), attribute.String("signal", signal)}}
}

func (c *counters) with(extra ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(extra, c.labels...)...))
}

func (c *counters) refused(reason string) {
	c.t.ExtensionQueueStorageRefusedWrites.Add(context.Background(), 1, c.with(attribute.String("reason", reason)))
}

func (c *counters) damaged(reason string, n int) {
	if n > 0 {
		c.t.ExtensionQueueStorageDamagedValues.Add(context.Background(), int64(n), c.with(attribute.String("reason", reason)))
	}
}

func (c *counters) recovered(reason string, n int) {
	if n > 0 {
		c.t.ExtensionQueueStorageRecoveredItems.Add(context.Background(), int64(n), c.with(attribute.String("reason", reason)))
	}
}

func (c *counters) damagedFile() {
	c.t.ExtensionQueueStorageDamagedFiles.Add(context.Background(), 1, c.with())
}

func (c *counters) retry() {
	c.t.ExtensionQueueStorageBookkeepingRetries.Add(context.Background(), 1, c.with())
}

func (c *counters) compaction(err error) {
	outcome := "success"
	if err != nil {
		outcome = "failure"
	}
	c.t.ExtensionQueueStorageCompactions.Add(context.Background(), 1, c.with(attribute.String("outcome", outcome)))
}

// observe registers what is read when metrics are collected.
func (s *queueStorage) observe() error {
	each := func(value func(*client) int64, of func(*client) bool) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			for _, c := range s.open() {
				if of(c) {
					o.Observe(value(c), c.count.with())
				}
			}
			return nil
		}
	}
	// Of what other components store, only they know how much of it waits.
	queues := func(c *client) bool { return c.queue }
	all := func(*client) bool { return true }
	return errors.Join(
		s.telemetry.RegisterExtensionQueueStorageItemsCallback(each(func(c *client) int64 { return int64(c.state().items) }, queues)),
		s.telemetry.RegisterExtensionQueueStorageBytesCallback(each(func(c *client) int64 { return c.state().bytes }, all)),
		s.telemetry.RegisterExtensionQueueStorageFileSizeCallback(each(func(c *client) int64 { return c.state().file }, all)),
		s.telemetry.RegisterExtensionQueueStorageOldestItemAgeCallback(func(_ context.Context, o metric.Float64Observer) error {
			for _, c := range s.open() {
				if c.queue {
					o.Observe(c.state().age.Seconds(), c.count.with())
				}
			}
			return nil
		}),
		s.telemetry.RegisterExtensionQueueStorageFreeSpaceCallback(func(_ context.Context, o metric.Int64Observer) error {
			free, err := s.space.available()
			if err == nil {
				o.Observe(free)
			}
			return err
		}),
	)
}
