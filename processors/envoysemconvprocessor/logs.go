// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"context"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-mesh/otelcol-mesh/internal/accesslog"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/rules"
)

// The names of the events, as the envoy receiver gives them.
const (
	eventHTTP    = "envoy.access"
	eventTCP     = "envoy.access.tcp"
	eventZtunnel = "ztunnel.access"
)

// recorder translates log records. One serves one batch.
type recorder struct {
	normalizer
	parseBodies bool
	entry       accesslog.Entry
	// ztunnelKey is the method of that name, bound once: binding it for each record would allocate.
	ztunnelKey func(name string, v pcommon.Value) bool
}

func (p *envoySemconv) processLogs(ctx context.Context, ld plog.Logs) (plog.Logs, error) {
	r := recorder{normalizer: *newNormalizer(rules.LogKey, p.cfg.kept()), parseBodies: p.cfg.ParseAccessLogBodies}
	r.obsolete, r.ztunnelKey = r.isObsolete, r.isZtunnelKey
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				r.record(record)
			}
		}
	}
	p.counter.addLogRecords(ctx, &r.tally)
	return ld, nil
}

// record translates one record, whichever way it came. One that is no access log stays as it is.
func (r *recorder) record(record plog.LogRecord) {
	attrs := record.Attributes()
	r.call.Reset(rules.KindOther, true)
	others := r.read(attrs)
	done := isAccessLogEvent(record.EventName())
	if done && !r.call.IsFromEnvoy() {
		// It came over the access log service, or was here before: only what no sender tells may be missing.
		r.nameError(record.EventName(), attrs)
		return
	}
	parsed := false
	if r.parseBodies && !done {
		if parsed = r.body(record.Body()); parsed && r.entry.Ztunnel.IsAccessLog() {
			r.ztunnel(record)
			return
		}
	}
	if !parsed && !r.call.IsFromEnvoy() {
		if !done && r.ztunnelAttributes(attrs) {
			attrs.RemoveIf(r.ztunnelKey)
			r.ztunnel(record)
		}
		return
	}
	if others {
		r.readOthers(attrs)
	}
	if parsed {
		r.tally.conflicts += r.call.Add(&r.entry.Envoy)
	}
	isAccessLog := r.call.IsAccessLog()
	if isAccessLog {
		r.startTime(record)
	}
	r.translate(attrs)
	if isAccessLog {
		r.describe(record)
	}
}

func isAccessLogEvent(name string) bool {
	return name == eventHTTP || name == eventTCP || name == eventZtunnel
}

// body reads the body into the entry. It reports whether it is an access log.
func (r *recorder) body(body pcommon.Value) bool {
	switch body.Type() {
	case pcommon.ValueTypeStr:
		return r.text(body.Str())
	case pcommon.ValueTypeMap:
		return r.fields(body.Map())
	default:
		return false
	}
}

func (r *recorder) text(body string) bool {
	if body == "" {
		return false
	}
	r.entry.Reset()
	format, err := accesslog.Parse(body, &r.entry)
	if err != nil {
		r.tally.badBodies[badBodyOf(err)]++
		return false
	}
	if format == accesslog.NotAccessLog {
		return false
	}
	if r.entry.Ambiguous {
		r.tally.badBodies[ambiguousBody]++
	}
	r.tally.bodies[bodyOf[format]]++
	return true
}

// fields reads a body that is a map, as what reads JSON logs makes it.
func (r *recorder) fields(body pcommon.Map) bool {
	bad := r.take(body)
	switch {
	case r.entry.Ztunnel.IsAccessLog():
		r.tally.bodies[ztunnelMap]++
	case r.entry.Envoy.IsAccessLog():
		r.tally.bodies[istioMap]++
	default:
		return false
	}
	r.tally.unparsed[rules.BadType] += bad
	return true
}

// take notes the fields of a map under the names of either format. It returns how many of them are of a type that no
// access log has, such as a list.
func (r *recorder) take(fields pcommon.Map) (bad int64) {
	r.entry.Reset()
	for name, v := range fields.All() {
		envoyField, ztunnelField := accesslog.FieldOf(name), accesslog.ZtunnelFieldOf(name)
		if envoyField == accesslog.FieldNone && ztunnelField == accesslog.ZtunnelNone {
			continue
		}
		text, ok := scalar(v)
		if !ok {
			bad++
			continue
		}
		if envoyField != accesslog.FieldNone {
			r.entry.Envoy.Set(envoyField, text)
		}
		if ztunnelField != accesslog.ZtunnelNone {
			r.entry.Ztunnel.Set(ztunnelField, text)
		}
	}
	return bad
}

// ztunnelAttributes reads the attributes of a record if they are those of ztunnel.
func (r *recorder) ztunnelAttributes(attrs pcommon.Map) bool {
	if _, ok := attrs.Get(accesslog.SourceAddress.String()); !ok {
		return false
	}
	// Nothing is taken away that could not be read.
	return r.take(attrs) == 0 && r.entry.Ztunnel.IsAccessLog()
}

// isZtunnelKey says whether an attribute was one of ztunnel's, and is told by another one now.
func (r *recorder) isZtunnelKey(name string, v pcommon.Value) bool {
	if r.kept.has(name) {
		return false
	}
	switch f := accesslog.ZtunnelFieldOf(name); f {
	case accesslog.ZtunnelNone:
		return name == "scope" && v.Str() == "access"
	case accesslog.ZtunnelDuration:
		_, ok := r.entry.Ztunnel.Milliseconds()
		return ok
	case accesslog.ZtunnelTime:
		_, ok := r.entry.Ztunnel.Start()
		return ok
	case accesslog.ZtunnelBytesSent, accesslog.ZtunnelBytesReceived:
		// As the rules read it: what they cannot read stays.
		text := r.entry.Ztunnel.Get(f)
		_, err := strconv.ParseUint(text, 10, 63)
		return text == "" || err == nil
	}
	return true
}

// ztunnel writes what a ztunnel's entry says.
func (r *recorder) ztunnel(record plog.LogRecord) {
	z := &r.entry.Ztunnel
	rules.NormalizeZtunnel(z, &r.out)
	r.add(record.Attributes())
	for reason, count := range r.out.Unparsed {
		r.tally.unparsed[reason] += count
	}
	r.tally.items[rules.EncodingLegacy]++
	if record.EventName() == "" {
		record.SetEventName(eventZtunnel)
	}
	if start, ok := z.Start(); ok && record.Timestamp() == 0 {
		record.SetTimestamp(pcommon.NewTimestampFromTime(start))
	}
	setSeverity(record, z.Severity())
}

// describe sets what a record says beside its attributes, where nobody did.
func (r *recorder) describe(record plog.LogRecord) {
	if record.EventName() == "" {
		record.SetEventName(eventTCP)
		if r.call.IsHTTPLog() {
			record.SetEventName(eventHTTP)
		}
	}
	if flags, known := r.call.ResponseFlags(); known {
		setSeverity(record, accesslog.SeverityOf(r.out.Status(), flags))
	}
}

// startTime makes the start of the call the time of a record that has none. Where the record has another time, such as
// that at which the line was written, the attribute stays.
func (r *recorder) startTime(record plog.LogRecord) {
	start, ok := accesslog.ParseTime(r.call.StartTime())
	if !ok {
		return
	}
	at := pcommon.NewTimestampFromTime(start)
	if record.Timestamp() == 0 {
		record.SetTimestamp(at)
	}
	difference := record.Timestamp().AsTime().Sub(start)
	r.call.StartTold = difference.Abs() < time.Millisecond
}

func setSeverity(record plog.LogRecord, severity accesslog.Severity) {
	if record.SeverityNumber() != plog.SeverityNumberUnspecified || record.SeverityText() != "" {
		return
	}
	record.SetSeverityText(severity.String())
	switch severity {
	case accesslog.Error:
		record.SetSeverityNumber(plog.SeverityNumberError)
	case accesslog.Warn:
		record.SetSeverityNumber(plog.SeverityNumberWarn)
	default:
		record.SetSeverityNumber(plog.SeverityNumberInfo)
	}
}

// nameError adds error.type to a record that has semantic conventions already.
func (r *recorder) nameError(event string, attrs pcommon.Map) {
	if event == eventZtunnel {
		return
	}
	var status, code int64 = 0, -1
	var flags string
	for name, v := range attrs.All() {
		switch name {
		case "error.type":
			return
		case "http.response.status_code":
			status = v.Int()
		case "rpc.grpc.status_code":
			code = v.Int()
		case "envoy.response.flags":
			flags = v.Str()
		}
	}
	if kind := rules.RecordErrorType(status, flags, code); kind != "" {
		attrs.PutStr("error.type", kind)
	}
}
