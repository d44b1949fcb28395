// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"context"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/meshinventoryreceiver/internal/metadata"
)

// reason is a value of the attribute `reason`. The README lists them.
type reason string

// Reasons for failing to send, and for losing messages.
const (
	reasonRetryable reason = "retryable"
	reasonPermanent reason = "permanent"
	reasonEnded     reason = "term_ended"
)

// Reasons for leaving something out.
const (
	reasonMaxPods   reason = "max_pods"
	reasonNodes     reason = "too_many_nodes"
	reasonServices  reason = "too_many_services"
	reasonInvalid   reason = "invalid"
	reasonHistory   reason = "history"
	reasonAltered   reason = "altered"
	reasonOversized reason = "oversized"
)

// telemetry is the receiver's own metrics.
type telemetry struct {
	builder *metadata.TelemetryBuilder
}

func newTelemetry(set component.TelemetrySettings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	return &telemetry{builder: builder}, nil
}

func (t *telemetry) shutdown() { t.builder.Shutdown() }

func byKind(kind string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("kind", kind)))
}

func byReason(r reason) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", string(r))))
}

func (t *telemetry) sent(batch []inventory.Message) {
	ctx := context.Background()
	for i := range batch {
		kind := byKind(strings.TrimPrefix(batch[i].Kind.EventName(), "mesh.inventory."))
		t.builder.ReceiverMeshInventoryMessagesSent.Add(ctx, 1, kind)
		t.builder.ReceiverMeshInventoryBytesSent.Add(ctx, int64(len(batch[i].Body)), kind)
	}
}

func (t *telemetry) sendFailed(r reason) {
	t.builder.ReceiverMeshInventorySendFailures.Add(context.Background(), 1, byReason(r))
}

func (t *telemetry) lost(r reason, n int) {
	t.builder.ReceiverMeshInventoryMessagesLost.Add(context.Background(), int64(n), byReason(r))
}

func (t *telemetry) snapshot(c cause) {
	t.builder.ReceiverMeshInventorySnapshots.Add(context.Background(), 1, byReason(reason(c)))
}

func (t *telemetry) finding(kind string) {
	t.builder.ReceiverMeshInventoryFindings.Add(context.Background(), 1, byKind(kind))
}

func (t *telemetry) refused(r reason, n uint64) {
	if n > 0 {
		t.builder.ReceiverMeshInventoryObjectsRefused.Add(context.Background(), int64(n), byReason(r))
	}
}

// totals counts what grew since the last time.
func (t *telemetry) totals(now, last *totals) {
	t.refused(reasonMaxPods, now.writer.PodsRefused-last.writer.PodsRefused)
	t.refused(reasonNodes, now.writer.NodesRefused-last.writer.NodesRefused)
	t.refused(reasonServices, now.writer.ServicesRefused-last.writer.ServicesRefused)
	t.refused(reasonInvalid, now.writer.Invalid-last.writer.Invalid+now.source.Invalid-last.source.Invalid)
	t.refused(reasonHistory, now.writer.HistoryEvicted-last.writer.HistoryEvicted)
	ctx := context.Background()
	t.builder.ReceiverMeshInventoryKubernetesLists.Add(ctx, int64(now.source.Lists-last.source.Lists))
	t.builder.ReceiverMeshInventoryKubernetesWatches.Add(ctx, int64(now.source.Watches-last.source.Watches))
	t.builder.ReceiverMeshInventoryKubernetesFailures.Add(ctx, int64(now.source.Failures-last.source.Failures))
}

// totals are the totals of one term, counted elsewhere.
type totals struct {
	writer topology.Counters
	source kube.Counters
}
