// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"context"

	alssvc "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"go.opentelemetry.io/collector/pdata/plog"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"google.golang.org/protobuf/proto"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/accesslog"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/wire"
)

// formatLogs names the format in the collector's own spans.
const formatLogs = "envoy_access_log"

var (
	logsService = service{
		signal:   signalLogs,
		name:     "envoy.service.accesslog.v3.AccessLogService",
		method:   "StreamAccessLogs",
		response: &alssvc.StreamAccessLogsResponse{},
	}
	logsScale = wire.NewScale((&alssvc.StreamAccessLogsMessage{}).ProtoReflect().Descriptor())
)

// logsHandler takes a stream of access logs.
type logsHandler struct {
	receiver *envoyReceiver
	delivery *delivery
	identity identity
	settings accesslog.Settings
	logName  string
}

func newLogsHandler(r *envoyReceiver, d *delivery) handler {
	namespaces := make(map[string]struct{}, len(r.cfg.Logs.MetadataNamespaces))
	for _, namespace := range r.cfg.Logs.MetadataNamespaces {
		namespaces[namespace] = struct{}{}
	}
	return &logsHandler{
		receiver: r,
		delivery: d,
		identity: identity{receiver: r, signal: signalLogs},
		settings: accesslog.Settings{Limits: r.limits(), MetadataNamespaces: namespaces},
	}
}

func (h *logsHandler) identified() bool { return h.identity.current != nil }

func (h *logsHandler) close() {}

func (h *logsHandler) handle(data []byte) error {
	if err := h.receiver.weigh(signalLogs, logsScale, data); err != nil {
		return err
	}
	var message alssvc.StreamAccessLogsMessage
	if err := proto.Unmarshal(data, &message); err != nil {
		return h.receiver.malformed(signalLogs, err)
	}
	identifier := message.GetIdentifier()
	if _, err := h.identity.accept(identifier, identifier != nil, identifier.GetNode()); err != nil {
		return err
	}
	if identifier != nil {
		h.logName = identifier.GetLogName()
	}
	entries := len(message.GetHttpLogs().GetLogEntry()) + len(message.GetTcpLogs().GetLogEntry())
	switch {
	case entries == 0:
		return nil
	case entries > h.receiver.cfg.MaxEntriesPerMessage:
		return h.receiver.tooManyEntries(signalLogs, entries)
	}
	return h.deliver(&message, entries)
}

// deliver converts anew for each attempt: a pipeline that refused the records may have changed them.
func (h *logsHandler) deliver(message *alssvc.StreamAccessLogsMessage, entries int) error {
	arrived, counted := h.receiver.now(), false
	ctx := h.receiver.obsreport.StartLogsOp(h.delivery.consume)
	failed, end := h.delivery.deliver(entries, func(context.Context) error {
		converter := accesslog.Converter{Settings: h.settings, LogName: h.logName, Observed: arrived}
		logs := h.convert(&converter, message)
		if !counted {
			counted = true
			h.receiver.telemetry.tally(signalLogs, converter.Tally)
		}
		return h.receiver.nextLogs.ConsumeLogs(ctx, logs)
	})
	h.receiver.obsreport.EndLogsOp(ctx, formatLogs, entries, failed)
	return end
}

func (h *logsHandler) convert(converter *accesslog.Converter, message *alssvc.StreamAccessLogsMessage) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.SetSchemaUrl(semconv.SchemaURL)
	h.identity.resource.CopyTo(resource.Resource().Attributes())
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName(metadata.ScopeName)
	scope.Scope().SetVersion(h.receiver.set.BuildInfo.Version)

	http, tcp := message.GetHttpLogs().GetLogEntry(), message.GetTcpLogs().GetLogEntry()
	scope.LogRecords().EnsureCapacity(len(http) + len(tcp))
	for _, entry := range http {
		converter.HTTP(entry, scope.LogRecords().AppendEmpty())
	}
	for _, entry := range tcp {
		converter.TCP(entry, scope.LogRecords().AppendEmpty())
	}
	return logs
}
