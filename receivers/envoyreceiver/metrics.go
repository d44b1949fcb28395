// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"context"
	"errors"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	metricsvc "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"go.opentelemetry.io/collector/pdata/pmetric"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/metricservice"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/wire"
)

// formatMetrics names the format in the collector's own spans.
const formatMetrics = "envoy_metrics"

var (
	metricsService = service{
		signal:   signalMetrics,
		name:     "envoy.service.metrics.v3.MetricsService",
		method:   "StreamMetrics",
		response: &metricsvc.StreamMetricsResponse{},
	}
	metricsScale = wire.NewScale((&metricsvc.StreamMetricsMessage{}).ProtoReflect().Descriptor())
)

// metricsHandler takes a stream of metrics.
type metricsHandler struct {
	receiver *envoyReceiver
	delivery *delivery
	identity identity
	settings metricservice.Settings
	tracker  *metricservice.Tracker
	node     *metricservice.Node
	// zone is the node's, as it spells it.
	zone string
}

// newMetricsHandlers returns the maker of handlers that share one memory of nodes.
func newMetricsHandlers(r *envoyReceiver) (newHandler, error) {
	counters, counterErr := r.cfg.Metrics.CounterTemporality.pdata("counter_temporality")
	histograms, histogramErr := r.cfg.Metrics.HistogramTemporality.pdata("histogram_temporality")
	if err := errors.Join(counterErr, histogramErr); err != nil {
		return nil, err
	}
	settings := metricservice.Settings{
		Limits: r.limits(), CounterTemporality: counters, HistogramTemporality: histograms,
	}
	tracker := metricservice.NewTracker(metricservice.TrackerSettings{
		MaxNodes:  r.cfg.Metrics.MaxNodes,
		MaxSeries: r.cfg.Metrics.MaxSeries,
		Expiry:    r.cfg.Metrics.Expiry,
		Changed:   r.telemetry.seriesTracked,
	})
	return func(r *envoyReceiver, d *delivery) handler {
		return &metricsHandler{
			receiver: r,
			delivery: d,
			identity: identity{receiver: r, signal: signalMetrics},
			settings: settings,
			tracker:  tracker,
		}
	}, nil
}

func (h *metricsHandler) identified() bool { return h.identity.current != nil }

func (h *metricsHandler) close() {
	if h.node != nil {
		h.tracker.Release(h.node, h.receiver.now())
	}
}

func (h *metricsHandler) handle(data []byte) error {
	if err := h.receiver.weigh(signalMetrics, metricsScale, data); err != nil {
		return err
	}
	var message metricsvc.StreamMetricsMessage
	if err := proto.Unmarshal(data, &message); err != nil {
		return h.receiver.malformed(signalMetrics, err)
	}
	identifier := message.GetIdentifier()
	isNew, err := h.identity.accept(identifier, identifier != nil, identifier.GetNode())
	if err != nil {
		return err
	}
	if isNew {
		if err := h.remember(identifier.GetNode()); err != nil {
			return err
		}
	}
	families := len(message.GetEnvoyMetrics())
	switch {
	case families == 0:
		return nil
	case families > h.receiver.cfg.MaxEntriesPerMessage:
		return h.receiver.tooManyEntries(signalMetrics, families)
	}
	return h.deliver(&message)
}

// remember finds what earlier streams of the node left.
func (h *metricsHandler) remember(n *corev3.Node) error {
	if h.node != nil {
		h.tracker.Release(h.node, h.receiver.now())
		h.node = nil
	}
	node, err := h.tracker.Acquire(n.GetCluster()+"\x00"+n.GetId(), h.receiver.now())
	if err != nil {
		return h.receiver.reject(signalMetrics, reasonNodes, status.Errorf(codes.ResourceExhausted,
			"%v; 'metrics::max_nodes' of the collector's envoy receiver is %d", err, h.receiver.cfg.Metrics.MaxNodes))
	}
	h.node, h.zone = node, n.GetLocality().GetZone()
	return nil
}

// deliver converts anew for each attempt: a pipeline that refused the points may have changed them. To convert the same
// message again gives the same points.
func (h *metricsHandler) deliver(message *metricsvc.StreamMetricsMessage) error {
	arrived := h.receiver.now()
	first, points := h.convert(message, arrived, true)
	if points == 0 {
		return nil
	}
	ctx := h.receiver.obsreport.StartMetricsOp(h.delivery.consume)
	attempt := 0
	failed, end := h.delivery.deliver(points, func(context.Context) error {
		metrics := first
		if attempt++; attempt > 1 {
			metrics, _ = h.convert(message, arrived, false)
		}
		return h.receiver.nextMetrics.ConsumeMetrics(ctx, metrics)
	})
	h.receiver.obsreport.EndMetricsOp(ctx, formatMetrics, points, failed)
	return end
}

func (h *metricsHandler) convert(
	message *metricsvc.StreamMetricsMessage, arrived time.Time, count bool,
) (pmetric.Metrics, int) {
	metrics := pmetric.NewMetrics()
	resource := metrics.ResourceMetrics().AppendEmpty()
	resource.SetSchemaUrl(semconv.SchemaURL)
	h.identity.resource.CopyTo(resource.Resource().Attributes())
	scope := resource.ScopeMetrics().AppendEmpty()
	scope.Scope().SetName(metadata.ScopeName)
	scope.Scope().SetVersion(h.receiver.set.BuildInfo.Version)

	converter := metricservice.Converter{Settings: h.settings, Node: h.node, Zone: h.zone, Received: arrived}
	points := converter.Convert(message.GetEnvoyMetrics(), scope.Metrics())
	if count {
		h.receiver.telemetry.tally(signalMetrics, converter.Tally)
	}
	return metrics, points
}
