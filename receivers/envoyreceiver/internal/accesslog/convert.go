// SPDX-License-Identifier: Apache-2.0

// Package accesslog turns entries of Envoy's access log service v3 into log records.
//
//   - [Converter.HTTP] and [Converter.TCP] write one record each
//   - common.go, http.go, tls.go and so on map one message of the protocol each
//   - severity.go and body.go hold the judgement
//
// Fields with a semantic convention carry that name, all others one under "envoy.". A field that Envoy left at its
// zero value has no attribute, as the protocol cannot tell zero from absent; bodies and connections are the exception,
// whose bytes Envoy always counts.
package accesslog

import (
	"time"

	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// Names of the events.
const (
	EventHTTP = "envoy.access"
	EventTCP  = "envoy.access.tcp"
)

// usualAttributes is how many attributes an Istio entry has; enough room for them saves growing the map.
const usualAttributes = 48

// Settings say what to take over.
type Settings struct {
	Limits attr.Limits
	// MetadataNamespaces are the namespaces of dynamic metadata that become attributes; none by default, as filters
	// may keep anything there.
	MetadataNamespaces map[string]struct{}
}

// Converter writes the entries of one message. It is not safe for concurrent use.
type Converter struct {
	Settings Settings
	// LogName is the name of the access log, from the stream's identifier.
	LogName string
	// Observed is when the message arrived.
	Observed time.Time
	// Tally counts what was cut and skipped.
	Tally attr.Tally
}

// HTTP writes a record for an HTTP entry.
func (c *Converter) HTTP(entry *alsdata.HTTPAccessLogEntry, record plog.LogRecord) {
	w := c.begin(record, EventHTTP)
	common := entry.GetCommonProperties()
	c.common(common, record, w)
	putProtocol(entry.GetProtocolVersion(), w)
	putRequest(entry.GetRequest(), w)
	putResponse(entry.GetResponse(), w)
	putGRPC(entry, w)
	putTraceContext(entry.GetRequest().GetRequestHeaders(), record)

	flags := Flags(common.GetResponseFlags())
	setSeverity(record, httpSeverity(entry.GetResponse().GetResponseCode().GetValue(), flags))
	record.Body().SetStr(w.Cut(httpBody(entry, flags)))
}

// TCP writes a record for a TCP entry.
func (c *Converter) TCP(entry *alsdata.TCPAccessLogEntry, record plog.LogRecord) {
	w := c.begin(record, EventTCP)
	common := entry.GetCommonProperties()
	c.common(common, record, w)
	if bytes := entry.GetConnectionProperties(); bytes != nil {
		w.Map.PutInt(keyBytesReceived, toInt(bytes.GetReceivedBytes()))
		w.Map.PutInt(keyBytesSent, toInt(bytes.GetSentBytes()))
	}

	flags := Flags(common.GetResponseFlags())
	setSeverity(record, tcpSeverity(flags))
	record.Body().SetStr(w.Cut(tcpBody(entry, flags)))
}

func (c *Converter) begin(record plog.LogRecord, event string) attr.Writer {
	record.SetEventName(event)
	record.SetObservedTimestamp(pcommon.NewTimestampFromTime(c.Observed))
	record.Attributes().EnsureCapacity(usualAttributes)
	w := attr.Writer{Map: record.Attributes(), Limits: c.Settings.Limits, Tally: &c.Tally}
	w.Str(keyLogName, c.LogName)
	return w
}

// toInt turns a count into the integer type of attributes; Envoy does not reach the border, a hostile sender may.
func toInt(n uint64) int64 {
	const largest = 1<<63 - 1
	return int64(min(n, largest))
}
