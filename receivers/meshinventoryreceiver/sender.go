// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

const (
	// maxBatchBytes is how large a batch gets: with what OTLP adds it stays well below the 4 MiB that its receivers take
	// by default.
	maxBatchBytes = 1 << 20
	// format names the messages in the collector's own metrics.
	format = "mesh_inventory"

	firstPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

// errLost says that the pipeline refused a batch for good.
var errLost = errors.New("messages were lost")

// sender offers messages to the pipeline, in order. It goes on with the next batch when the one before was taken.
type sender struct {
	next      consumer.Logs
	obsreport *receiverhelper.ObsReport
	telemetry *telemetry
	logger    *zap.Logger
	version   string
	// held says whether nobody else leads.
	held func() bool
	// region goes onto the resource.
	region string
}

// send sends the messages in batches. The error is errLost, or the context's.
func (s *sender) send(ctx context.Context, messages iter.Seq[inventory.Message]) error {
	var batch []inventory.Message
	size := 0
	for m := range messages {
		if size > 0 && size+len(m.Body) > maxBatchBytes {
			if err := s.deliver(ctx, batch); err != nil {
				return err
			}
			clear(batch)
			batch, size = batch[:0], 0
		}
		batch, size = append(batch, m), size+len(m.Body)
	}
	if len(batch) == 0 {
		return nil
	}
	return s.deliver(ctx, batch)
}

// deliver offers the batch until the pipeline takes it, or refuses it for good, or the context ends. Each attempt has
// records of its own, as a pipeline that refused some may have changed them.
func (s *sender) deliver(ctx context.Context, batch []inventory.Message) error {
	op := s.obsreport.StartLogsOp(ctx)
	var err error
	for attempt := 0; ; attempt++ {
		if s.held() {
			if err = s.next.ConsumeLogs(op, s.logs(batch)); err == nil {
				s.telemetry.sent(batch)
				break
			}
			if consumererror.IsPermanent(err) {
				s.telemetry.sendFailed(reasonPermanent)
				s.telemetry.lost(reasonPermanent, len(batch))
				s.logger.Error("The pipeline refused messages of the inventory for good; a snapshot follows",
					zap.Int("messages", len(batch)), zap.Error(err))
				s.obsreport.EndLogsOp(op, format, len(batch), err)
				return errLost
			}
			s.telemetry.sendFailed(reasonRetryable)
			if attempt == 0 {
				s.logger.Warn("The pipeline cannot take messages of the inventory now; changes are merged until it can", zap.Error(err))
			}
		}
		select {
		case <-ctx.Done():
			s.telemetry.lost(reasonEnded, len(batch))
			s.obsreport.EndLogsOp(op, format, len(batch), ctx.Err())
			return ctx.Err()
		case <-time.After(pause(attempt)):
		}
	}
	s.obsreport.EndLogsOp(op, format, len(batch), nil)
	return nil
}

// pause doubles with each attempt, and varies by a fifth so that clusters do not all try at once.
func pause(attempt int) time.Duration {
	const most = 10 // doublings: by then it is mostPause
	return time.Duration(float64(min(firstPause<<min(attempt, most), mostPause)) * (0.9 + 0.2*rand.Float64()))
}

func (s *sender) logs(batch []inventory.Message) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.SetSchemaUrl(semconv.SchemaURL)
	inventorylog.ToResource(&batch[0].Header, s.region, resource.Resource().Attributes())
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName(inventory.ScopeName)
	scope.Scope().SetVersion(s.version)
	observed := pcommon.NewTimestampFromTime(time.Now())
	scope.LogRecords().EnsureCapacity(len(batch))
	for i := range batch {
		record := scope.LogRecords().AppendEmpty()
		inventorylog.ToLogRecord(&batch[i], record)
		record.SetObservedTimestamp(observed)
	}
	return logs
}
