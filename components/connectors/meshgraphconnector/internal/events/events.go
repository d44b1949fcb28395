// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

// ScopeName names the instrumentation scope of records and metrics.
const ScopeName = "github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector"

// The attributes of an event, beside mesh.source.region, mesh.destination.service and mesh.destination.namespace.
// docs/attributes.md has them all.
const (
	attributeID          = "mesh.failover.id"
	attributeKind        = "mesh.failover.kind"
	attributeFromRegion  = "mesh.failover.from.region"
	attributeFromCluster = "mesh.failover.from.cluster"
	attributeToRegion    = "mesh.failover.to.region"
	attributeToCluster   = "mesh.failover.to.cluster"
	attributeScope       = "mesh.failover.scope"
	attributeShare       = "mesh.failover.share"
	attributeMoved       = "mesh.failover.requests_moved"
	attributeCallers     = "mesh.failover.affected_callers"
	attributeEvidence    = "mesh.failover.evidence"
	attributeKinds       = "mesh.failover.evidence.kinds"
	attributeStart       = "mesh.failover.start"
	attributeDuration    = "mesh.failover.duration"
	attributeReason      = "mesh.failover.end.reason"

	attributeSourceRegion         = "mesh.source.region"
	attributeDestinationService   = "mesh.destination.service"
	attributeDestinationNamespace = "mesh.destination.namespace"
	// attributeCustomEvent makes the record a custom event wherever Azure Monitor reads it: by this distribution's exporter, by
	// the upstream one, and by native OTLP ingestion.
	attributeCustomEvent = "microsoft.custom_event.name"
)

// Writer makes records and metrics of a collector. It is for use by several goroutines.
type Writer struct {
	resource pcommon.Resource
	version  string
}

// New returns a writer for the resource of the collector, which it copies, and the version of the distribution.
func New(resource pcommon.Resource, version string) *Writer {
	own := pcommon.NewResource()
	resource.CopyTo(own)
	return &Writer{resource: own, version: version}
}

// Logs returns a record for each event: the name in EventName, a sentence in the body, WARN for what began or changed and
// INFO for what is over and for deployments. The time of a record is that of what it tells, observed is when the graph showed it.
func (w *Writer) Logs(list []failover.Event, observed time.Time) plog.Logs {
	logs := plog.NewLogs()
	if len(list) == 0 {
		return logs
	}
	resource := logs.ResourceLogs().AppendEmpty()
	w.resource.CopyTo(resource.Resource())
	scope := resource.ScopeLogs().AppendEmpty()
	w.scope(scope.Scope())
	for i := range list {
		record(&list[i], observed, scope.LogRecords().AppendEmpty())
	}
	return logs
}

func (w *Writer) scope(scope pcommon.InstrumentationScope) {
	scope.SetName(ScopeName)
	scope.SetVersion(w.version)
}

func record(e *failover.Event, observed time.Time, r plog.LogRecord) {
	at := observed
	switch e.Phase {
	case failover.Started:
		at = e.Start
	case failover.Ended:
		at = e.End
	}
	r.SetTimestamp(pcommon.NewTimestampFromTime(at))
	r.SetObservedTimestamp(pcommon.NewTimestampFromTime(observed))
	r.SetEventName(e.Name())
	r.SetSeverityNumber(plog.SeverityNumberWarn)
	if quiet(e) {
		r.SetSeverityNumber(plog.SeverityNumberInfo)
	}
	r.SetSeverityText(r.SeverityNumber().String())
	r.Body().SetStr(Sentence(e))
	attributes := r.Attributes()
	attributes.EnsureCapacity(20)
	attributes.PutStr(attributeCustomEvent, e.Name())
	place(attributes, e)
	attributes.PutStr(attributeScope, string(e.Scope))
	attributes.PutDouble(attributeShare, e.Share)
	attributes.PutInt(attributeMoved, int64(min(e.Moved, 1<<63-1)))
	attributes.PutStr(attributeStart, e.Start.UTC().Format(time.RFC3339))
	texts(attributes, attributeCallers, e.Callers)
	var sentences, kinds []string
	for i := range e.Evidence {
		sentences = append(sentences, e.Evidence[i].Detail)
		kinds = append(kinds, e.Evidence[i].Kind)
	}
	texts(attributes, attributeEvidence, sentences)
	texts(attributes, attributeKinds, kinds)
	if e.Phase == failover.Ended {
		attributes.PutDouble(attributeDuration, e.End.Sub(e.Start).Seconds())
		attributes.PutStr(attributeReason, e.Reason)
	}
}

// quiet says that nobody has to look: it is over, or somebody meant it.
func quiet(e *failover.Event) bool { return e.Phase == failover.Ended || e.Kind == failover.Deployment }

// place puts what names a shift, on records and points alike. What nothing told is left out.
func place(attributes pcommon.Map, e *failover.Event) {
	for _, a := range [...]struct{ key, value string }{
		{attributeID, ID(e)},
		{attributeKind, string(e.Kind)},
		{attributeSourceRegion, e.Caller},
		{attributeDestinationService, e.Service.Name},
		{attributeDestinationNamespace, e.Service.Namespace},
		{attributeFromRegion, e.From.Region},
		{attributeFromCluster, e.From.Cluster},
		{attributeToRegion, e.To.Region},
		{attributeToCluster, e.To.Cluster},
	} {
		if a.value != "" {
			attributes.PutStr(a.key, a.value)
		}
	}
}

func texts(attributes pcommon.Map, key string, list []string) {
	if len(list) == 0 {
		return
	}
	values := attributes.PutEmptySlice(key)
	values.EnsureCapacity(len(list))
	for _, s := range list {
		values.AppendEmpty().SetStr(s)
	}
}

// ID is the same in all events of one shift, also over a restart: 16 hexadecimal digits of its start, kind, calling region and
// service.
func ID(e *failover.Event) string {
	h := fnv.New64a()
	for _, part := range [...]string{
		string(e.Kind), e.Caller, e.Service.Namespace, e.Service.Name, strconv.FormatInt(e.Start.UnixNano(), 10),
	} {
		_, _ = h.Write([]byte(part))
		_, _ = h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Report writes the one line about an event that the collector's own log gets: WARN for what began or changed, INFO for what
// is over and for deployments. Its fields are the attributes of the record.
func Report(logger *zap.Logger, e *failover.Event) {
	level := zapcore.WarnLevel
	if quiet(e) {
		level = zapcore.InfoLevel
	}
	line := logger.Check(level, Sentence(e))
	if line == nil {
		return
	}
	r := plog.NewLogRecord()
	record(e, e.Start, r)
	r.Attributes().Remove(attributeCustomEvent)
	raw := r.Attributes().AsRaw()
	keys := make([]string, 0, len(raw))
	for key := range raw {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	fields := make([]zap.Field, 0, len(keys)+1)
	fields = append(fields, zap.String("event", e.Name()))
	for _, key := range keys {
		fields = append(fields, zap.Any(key, raw[key]))
	}
	line.Write(fields...)
}
