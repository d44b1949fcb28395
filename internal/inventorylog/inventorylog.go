// SPDX-License-Identifier: Apache-2.0

// Package inventorylog is the form in which messages of the inventory stream travel through collectors: one OTLP log
// record each. The receiver writes it, the mesh_topology processor reads it; docs/inventory.md describes it for others.
//
//   - [ToResource] and [ToLogRecord] write a message, [FromLogRecord] reads it back.
//   - [Sink] is who takes the messages in the end: the mesh_topology extension.
//
// What the header may say and what the body means is the business of internal/source/inventory. This package only
// checks that each thing is there and has its type.
package inventorylog

import (
	"math"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

// The resource attributes of inventory log records. The region is for people and for routing: the message has its own.
const (
	clusterKey    = string(semconv.K8SClusterNameKey)
	clusterUIDKey = string(semconv.K8SClusterUIDKey)
	regionKey     = string(semconv.CloudRegionKey)
)

// ToResource writes what is true of every message of the header's cluster. Empty values are left out. region is the
// cloud region of the cluster, empty if it is not known or if there are several.
func ToResource(h *inventory.Header, region string, resource pcommon.Map) {
	resource.EnsureCapacity(resource.Len() + 3)
	putNonEmpty(resource, clusterKey, h.Cluster)
	putNonEmpty(resource, clusterUIDKey, h.ClusterUID)
	putNonEmpty(resource, regionKey, region)
}

// ToLogRecord writes the message into an empty record. It belongs under a resource that [ToResource] filled and under a
// scope of the name [inventory.ScopeName]. The record holds a copy of the body. The observed timestamp is left to the
// caller.
func ToLogRecord(m *inventory.Message, record plog.LogRecord) {
	record.SetEventName(m.Kind.EventName())
	if !m.At.IsZero() {
		record.SetTimestamp(pcommon.NewTimestampFromTime(m.At))
	}
	attrs := record.Attributes()
	attrs.EnsureCapacity(5)
	attrs.PutInt(inventory.AttributeSchemaVersion, int64(m.Schema))
	attrs.PutInt(inventory.AttributeEpoch, m.Epoch)
	attrs.PutInt(inventory.AttributeSequence, int64(m.Sequence))
	if m.Kind == inventory.KindSnapshot {
		attrs.PutInt(inventory.AttributePart, int64(m.Part))
		attrs.PutInt(inventory.AttributeParts, int64(m.Parts))
	}
	record.Body().SetEmptyBytes().FromRaw(m.Body)
}

// FromLogRecord reads the message that [ToLogRecord] wrote. resource holds the attributes of the record's resource.
// The message shares nothing with either. Attributes that are not part of the form are ignored.
//
// The error is a [*FormatError]. It is permanent: the same record will never be a message.
func FromLogRecord(record plog.LogRecord, resource pcommon.Map) (*inventory.Message, error) {
	r := reader{attrs: record.Attributes(), resource: resource}
	kind, ok := inventory.KindOf(record.EventName())
	if !ok {
		return nil, &FormatError{Reason: ReasonEvent, detail: "event name " + quote(record.EventName()) + " is none of the inventory's"}
	}
	m := &inventory.Message{Header: inventory.Header{
		Kind:       kind,
		Cluster:    r.text(clusterKey, true),
		ClusterUID: r.text(clusterUIDKey, false),
		Schema:     int(r.number(inventory.AttributeSchemaVersion, math.MaxInt32)),
		Epoch:      r.number(inventory.AttributeEpoch, math.MaxInt64),
		Sequence:   uint64(r.number(inventory.AttributeSequence, math.MaxInt64)),
	}}
	if kind == inventory.KindSnapshot {
		m.Part = int(r.number(inventory.AttributePart, math.MaxInt32))
		m.Parts = int(r.number(inventory.AttributeParts, math.MaxInt32))
	}
	r.time(m, record.Timestamp())
	r.body(m, record.Body())
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

// reader reads parts of a message and keeps the first error.
type reader struct {
	attrs, resource pcommon.Map
	err             *FormatError
}

func (r *reader) fail(reason Reason, detail string) {
	if r.err == nil {
		r.err = &FormatError{Reason: reason, detail: detail}
	}
}

// text reads an attribute of the resource.
func (r *reader) text(key string, required bool) string {
	value, ok := r.resource.Get(key)
	switch {
	case ok && value.Type() != pcommon.ValueTypeStr:
		r.fail(ReasonCluster, "resource attribute "+key+" is no string")
	case required && (!ok || value.Str() == ""):
		r.fail(ReasonCluster, "resource attribute "+key+" is missing or empty")
	case ok:
		// A copy, as the header outlives the batch whose memory the attribute is in.
		return strings.Clone(value.Str())
	}
	return ""
}

// number reads an attribute of the record that counts from 1.
func (r *reader) number(key string, most int64) int64 {
	value, ok := r.attrs.Get(key)
	switch {
	case !ok:
		r.fail(ReasonAttribute, "attribute "+key+" is missing")
	case value.Type() != pcommon.ValueTypeInt:
		r.fail(ReasonAttribute, "attribute "+key+" is no integer")
	case value.Int() < 1 || value.Int() > most:
		r.fail(ReasonAttribute, "attribute "+key+" is out of range")
	default:
		return value.Int()
	}
	return 0
}

// time takes the record's timestamp; a record without one confirms nothing.
func (r *reader) time(m *inventory.Message, at pcommon.Timestamp) {
	switch {
	case at > math.MaxInt64:
		r.fail(ReasonTimestamp, "timestamp is out of range")
	case at != 0:
		m.At = at.AsTime()
	}
}

// body takes the record's body. Only a heartbeat may have none.
func (r *reader) body(m *inventory.Message, body pcommon.Value) {
	if r.err != nil {
		// Not worth a copy.
		return
	}
	switch {
	case body.Type() == pcommon.ValueTypeEmpty && m.Kind == inventory.KindHeartbeat:
	case body.Type() != pcommon.ValueTypeBytes:
		r.fail(ReasonBody, "the body is "+body.Type().String()+", not Bytes")
	case body.Bytes().Len() > inventory.MaxBodyBytes:
		r.fail(ReasonBody, "the body is too large")
	case body.Bytes().Len() > 0:
		m.Body = body.Bytes().AsRaw()
	}
}

func putNonEmpty(attrs pcommon.Map, key, value string) {
	if value != "" {
		attrs.PutStr(key, value)
	}
}
