// SPDX-License-Identifier: Apache-2.0

// Package claimtest has every way to claim another cluster that the tests of the cluster_identity processor and of the
// built hub know.
package claimtest

import (
	"encoding/binary"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// The signals.
const (
	Traces  = "traces"
	Logs    = "logs"
	Metrics = "metrics"
)

// The cluster that the senders may speak for, and one that they may not.
const (
	West  = "aks-west"
	North = "aks-north"
)

// The keys that name a reporter's cluster.
const (
	ClusterKey = "k8s.cluster.name"
	UIDKey     = "k8s.cluster.uid"
	IstioKey   = "istio.cluster_id"
)

// The reasons, as the processor counts them.
const (
	ForeignCluster   = "foreign_cluster"
	ForeignSide      = "foreign_side"
	ForeignInventory = "foreign_inventory"
	ForeignUID       = "foreign_uid"
	Malformed        = "malformed"
)

// spanIDs tells spans apart.
var spanIDs atomic.Uint64

// MarkerKey says of a resource whose it is: "hostile" resources must not arrive.
const MarkerKey = "test.marker"

// Parcel is one resource of any signal with one item, for tricks to change.
type Parcel struct {
	Resource, Scope, Item pcommon.Map
	ScopeName             func(string)
	// Body, Event and Kind are set for the signals that have them.
	Body  pcommon.Value
	Event func(string)
	Kind  func(ptrace.SpanKind)
}

// Envelope is a request of one signal.
type Envelope struct {
	Signal  string
	Traces  ptrace.Traces
	Logs    plog.Logs
	Metrics pmetric.Metrics
}

// New makes an empty request of a signal: traces, logs or metrics.
func New(s string) *Envelope {
	return &Envelope{Signal: s, Traces: ptrace.NewTraces(), Logs: plog.NewLogs(), Metrics: pmetric.NewMetrics()}
}

// Add adds a resource with one item.
func (e *Envelope) Add(marker string) Parcel {
	var p Parcel
	now := pcommon.NewTimestampFromTime(time.Now())
	switch e.Signal {
	case Traces:
		rs := e.Traces.ResourceSpans().AppendEmpty()
		ss := rs.ScopeSpans().AppendEmpty()
		span := ss.Spans().AppendEmpty()
		id := binary.BigEndian.AppendUint64(nil, spanIDs.Add(1))
		span.SetTraceID(pcommon.TraceID(append([]byte("test-id-"), id...)))
		span.SetSpanID(pcommon.SpanID(id))
		span.SetName("call")
		span.SetStartTimestamp(now)
		span.SetEndTimestamp(now)
		p = Parcel{Resource: rs.Resource().Attributes(), Scope: ss.Scope().Attributes(), Item: span.Attributes(), Kind: span.SetKind, ScopeName: ss.Scope().SetName}
	case Logs:
		rl := e.Logs.ResourceLogs().AppendEmpty()
		sl := rl.ScopeLogs().AppendEmpty()
		record := sl.LogRecords().AppendEmpty()
		record.SetTimestamp(now)
		p = Parcel{Resource: rl.Resource().Attributes(), Scope: sl.Scope().Attributes(), Item: record.Attributes(), Body: record.Body(), Event: record.SetEventName, ScopeName: sl.Scope().SetName}
	default:
		rm := e.Metrics.ResourceMetrics().AppendEmpty()
		sm := rm.ScopeMetrics().AppendEmpty()
		metric := sm.Metrics().AppendEmpty()
		metric.SetName("istio_requests_total")
		sum := metric.SetEmptySum()
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		point := sum.DataPoints().AppendEmpty()
		point.SetTimestamp(now)
		point.SetIntValue(1)
		p = Parcel{Resource: rm.Resource().Attributes(), Scope: sm.Scope().Attributes(), Item: point.Attributes(), ScopeName: sm.Scope().SetName}
	}
	p.Resource.PutStr(MarkerKey, marker)
	owner, _, _ := strings.Cut(marker, " ")
	p.Resource.PutStr("service.name", owner)
	return p
}

// Request returns the OTLP request, for plogotlp and its like.
func (e *Envelope) Request() any {
	switch e.Signal {
	case Traces:
		return ptraceotlp.NewExportRequestFromTraces(e.Traces)
	case Logs:
		return plogotlp.NewExportRequestFromLogs(e.Logs)
	}
	return pmetricotlp.NewExportRequestFromMetrics(e.Metrics)
}
