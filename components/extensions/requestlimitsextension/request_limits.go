// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/requestlimitsextension/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/requestlimitsextension/internal/otlpwalk"
)

// requestLimits is one extension; all receivers that name it share its limits.
type requestLimits struct {
	id        string
	cfg       *Config
	ledger    *ledger
	turns     *turns
	relief    *relief
	ending    *ending
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	limiter   attribute.KeyValue
	admitted  map[transport]metric.MeasurementOption
	walkers   sync.Pool
	// now tells the time; tests set it.
	now func() time.Time
	// plaintext says that the receivers have no TLS, so that their connections can be watched.
	plaintext atomic.Bool

	mu       sync.Mutex
	reported map[string]struct{}
	// lastLog and unlogged keep the log readable while somebody floods the receiver.
	lastLog  time.Time
	unlogged int64
}

var (
	_ extension.Extension            = (*requestLimits)(nil)
	_ extensionmiddleware.GRPCServer = (*requestLimits)(nil)
	_ extensionmiddleware.HTTPServer = (*requestLimits)(nil)
)

// logInterval is how often a refused request is logged; the counter has them all.
const logInterval = 10 * time.Second

func newRequestLimits(set extension.Settings, cfg *Config) (*requestLimits, error) {
	own, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	l := &requestLimits{
		id: set.ID.String(), cfg: cfg, ledger: newLedger(cfg), turns: newTurns(cfg), relief: newRelief(cfg), ending: newEnding(), logger: set.Logger, telemetry: own, now: time.Now,
		limiter:  attribute.String("limiter", set.ID.String()),
		reported: make(map[string]struct{}),
		walkers:  sync.Pool{New: func() any { return &otlpwalk.Walker{} }},
		admitted: make(map[transport]metric.MeasurementOption),
	}
	for _, t := range []transport{overGRPC, overHTTP} {
		l.admitted[t] = metric.WithAttributeSet(attribute.NewSet(l.limiter, attribute.String("transport", string(t))))
	}
	return l, l.observe()
}

// observe reports what is held now.
func (l *requestLimits) observe() error {
	id := metric.WithAttributeSet(attribute.NewSet(l.limiter))
	report := func(pick func(bytes, streams, connections int64) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(pick(l.ledger.held()), id)
			return nil
		}
	}
	if err := l.telemetry.RegisterExtensionRequestLimitsHeldBytesCallback(
		report(func(bytes, _, _ int64) int64 { return bytes })); err != nil {
		return err
	}
	if err := l.telemetry.RegisterExtensionRequestLimitsStreamsCallback(
		report(func(_, streams, _ int64) int64 { return streams })); err != nil {
		return err
	}
	if err := l.telemetry.RegisterExtensionRequestLimitsReadingRequestsCallback(
		report(func(_, _, _ int64) int64 { return l.turns.reading() })); err != nil {
		return err
	}
	return l.telemetry.RegisterExtensionRequestLimitsConnectionsCallback(
		report(func(_, _, connections int64) int64 { return connections }))
}

// Start watches the memory of the process; the other limits are in place once a receiver has asked for them.
func (l *requestLimits) Start(context.Context, component.Host) error {
	l.relief.start()
	return nil
}

// Shutdown ends the watch and the reports.
func (l *requestLimits) Shutdown(context.Context) error {
	l.ending.done()
	l.relief.shutdown()
	l.telemetry.Shutdown()
	return nil
}

// judge walks a request and returns what it will decode to, or why it is refused.
func (l *requestLimits) judge(signal otlpwalk.Signal, request []byte, json bool) (decoded int64, r *refusal) {
	size := int64(len(request))
	limits, expansion := l.cfg.Request.counts(size)
	w := l.walkers.Get().(*otlpwalk.Walker)
	defer l.walkers.Put(w)
	var counts otlpwalk.Counts
	var v *otlpwalk.Violation
	if json {
		counts, v = w.JSON(signal, request, &limits)
	} else {
		counts, v = w.Proto(signal, request, &limits)
	}
	if v != nil {
		return 0, violated(v, size, expansion, &l.cfg.Request)
	}
	return counts.DecodedBytes, nil
}

func (l *requestLimits) countAdmitted(via transport) {
	l.telemetry.ExtensionRequestLimitsAdmittedRequests.Add(context.Background(), 1, l.admitted[via])
}

// countRefused counts a refused request by its reason and its sender, and logs one now and then.
func (l *requestLimits) countRefused(via transport, peer string, r *refusal) {
	name, log, skipped := l.report(peer)
	l.telemetry.ExtensionRequestLimitsRefusedRequests.Add(context.Background(), 1, metric.WithAttributeSet(attribute.NewSet(
		l.limiter, attribute.String("transport", string(via)), attribute.String("reason", string(r.reason)),
		attribute.String("peer", name))))
	if log {
		l.logger.Warn("Refused a request", zap.String("transport", string(via)), zap.String("peer", peer),
			zap.String("reason", string(r.reason)), zap.String("error", r.message), zap.Int64("others_since", skipped))
	}
}

// report says under which name a peer is counted, and whether this refusal is logged.
func (l *requestLimits) report(peer string) (name string, log bool, skipped int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name = peer
	if _, known := l.reported[peer]; !known {
		if len(l.reported) < l.cfg.MaxReportedPeers {
			l.reported[peer] = struct{}{}
		} else {
			name = "other"
		}
	}
	now := l.now()
	if !l.lastLog.IsZero() && now.Sub(l.lastLog) < logInterval {
		l.unlogged++
		return name, false, 0
	}
	skipped, l.unlogged, l.lastLog = l.unlogged, 0, now
	return name, true, skipped
}

// peerOf names the sender by its address without the port.
func peerOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
		return host
	}
	return "unknown"
}
