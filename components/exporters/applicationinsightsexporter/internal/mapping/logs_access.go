// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// Event names of the mesh's access logs: docs/access-logs.md.
const (
	eventAccessHTTP    = "envoy.access"
	eventAccessTCP     = "envoy.access.tcp"
	eventAccessZtunnel = "ztunnel.access"
)

func isAccessLog(eventName string) bool {
	return eventName == eventAccessHTTP || eventName == eventAccessTCP || eventName == eventAccessZtunnel
}

// access is what the line of an access log is made of: the schema of docs/access-logs.md and docs/attributes.md.
type access struct {
	method, host, path, sni string
	port                    int64
	status, grpc            int64
	flags, details, reason  string
	duration                float64
	hasDuration             bool
	received, sent          int64
	hasBytes                bool
	direction, errorType    string
	source, destination     accessEnd
}

// accessEnd is one end of the call; address serves where nobody knows who it is.
type accessEnd struct {
	service, workload, namespace, cluster, address string
}

func readAccess(attrs pcommon.Map) (a access) {
	for key, v := range attrs.All() {
		if end, ok := strings.CutPrefix(key, "mesh."); ok {
			if field, ok := strings.CutPrefix(end, "source."); ok {
				a.source.read(field, v)
			} else if field, ok := strings.CutPrefix(end, "destination."); ok {
				a.destination.read(field, v)
			}
			continue
		}
		if !a.readText(key, v) {
			a.readNumber(key, v)
		}
	}
	return a
}

func (e *accessEnd) read(field string, v pcommon.Value) {
	switch field {
	case "service":
		e.service = v.Str()
	case "workload":
		e.workload = v.Str()
	case "namespace":
		e.namespace = v.Str()
	case "cluster":
		e.cluster = v.Str()
	}
}

func (a *access) readText(key string, v pcommon.Value) bool {
	if v.Type() != pcommon.ValueTypeStr {
		return false
	}
	switch key {
	case "http.request.method":
		a.method = v.Str()
	case "server.address":
		a.host = v.Str()
	case "url.path":
		a.path = v.Str()
	case "envoy.tls.sni":
		a.sni = v.Str()
	case "envoy.response.flags":
		a.flags = strings.TrimLeft(v.Str(), "-")
	case "envoy.response.code_details":
		a.details = v.Str()
	case "envoy.connection.termination_details", "envoy.upstream.transport_failure_reason":
		if a.reason == "" {
			a.reason = v.Str()
		}
	case "ztunnel.direction":
		a.direction = v.Str()
	case "error.type":
		a.errorType = v.Str()
	case "client.address":
		a.source.address = v.Str()
	case "envoy.upstream.address":
		a.destination.address = v.Str()
	default:
		return false
	}
	return true
}

func (a *access) readNumber(key string, v pcommon.Value) {
	switch key {
	case "server.port":
		a.port = wholeNumber(v)
	case "http.response.status_code":
		a.status = wholeNumber(v)
	case "rpc.response.status_code", "rpc.grpc.status_code":
		a.grpc = wholeNumber(v)
	case "envoy.duration_ms":
		switch v.Type() {
		case pcommon.ValueTypeInt:
			a.duration, a.hasDuration = float64(v.Int()), true
		case pcommon.ValueTypeDouble:
			a.duration, a.hasDuration = v.Double(), finite(v.Double())
		}
	case "envoy.bytes.received", "http.request.body.size":
		a.received, a.hasBytes = wholeNumber(v), true
	case "envoy.bytes.sent", "http.response.body.size":
		a.sent, a.hasBytes = wholeNumber(v), true
	}
}

// wholeNumber reads an integer, also from a text; zero if it is none.
func wholeNumber(v pcommon.Value) int64 {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return v.Int()
	case pcommon.ValueTypeDouble:
		return int64(v.Double())
	case pcommon.ValueTypeStr:
		n, err := strconv.ParseInt(v.Str(), 10, 64)
		if err != nil {
			return 0
		}
		return n
	default:
		return 0
	}
}

// severity is the level of an access log that carries none, by the rule by which envoy_semconv sets it: Error from status
// 500, or for a connection that failed; Warning from 400; else Information.
func (a *access) severity() ai.SeverityLevel {
	switch {
	case a.status >= 500, a.status == 0 && a.errorType != "":
		return ai.Error
	case a.status >= 400:
		return ai.Warning
	default:
		return ai.Information
	}
}

// appendLine writes what happened in one line for people:
//
//	GET reviews:9080/reviews/0 503 UF 12 ms, productpage.bookinfo@aks-westeurope -> reviews.bookinfo@aks-northeurope (details)
//	TCP mongo.prod 842 B received, 1203 B sent, 7 ms, ratings.bookinfo@aks-westeurope -> 10.0.0.9:27017
//
// What is not known is left out, and an end that nobody knows is its address or "?". The query of a URL is not in it.
func (a *access) appendLine(dst []byte, event string) []byte {
	if event == eventAccessHTTP {
		dst = a.appendHTTP(dst)
	} else {
		dst = a.appendTCP(dst)
	}
	if a.flags != "" {
		dst = append(append(dst, ' '), a.flags...)
	}
	if a.hasDuration {
		if event != eventAccessHTTP && a.hasBytes {
			dst = append(dst, ',')
		}
		dst = append(dst, ' ')
		dst = strconv.AppendFloat(dst, a.duration, 'f', -1, 64)
		dst = append(dst, " ms"...)
	}
	dst = append(dst, ", "...)
	dst = a.source.append(dst)
	dst = append(dst, " -> "...)
	dst = a.destination.append(dst)
	if details := firstOf(a.reason, a.failureDetails()); details != "" {
		dst = append(dst, " ("...)
		dst = append(dst, details...)
		dst = append(dst, ')')
	}
	return dst
}

// failureDetails leaves out what Envoy says of every answer that went well.
func (a *access) failureDetails() string {
	if a.details == "via_upstream" {
		return ""
	}
	return a.details
}

func (a *access) appendHTTP(dst []byte) []byte {
	dst = append(dst, firstOf(a.method, "?")...)
	dst = append(dst, ' ')
	dst = a.appendHost(dst)
	dst = append(dst, a.path...)
	dst = append(dst, ' ')
	if a.status > 0 {
		dst = strconv.AppendInt(dst, a.status, 10)
	} else {
		dst = append(dst, "no response"...)
	}
	if a.grpc > 0 {
		dst = append(dst, " grpc "...)
		dst = strconv.AppendInt(dst, a.grpc, 10)
	}
	return dst
}

func (a *access) appendTCP(dst []byte) []byte {
	if a.direction != "" {
		dst = append(append(dst, a.direction...), ' ')
	}
	dst = append(dst, "TCP"...)
	if a.host != "" || a.sni != "" {
		dst = append(dst, ' ')
		if a.host != "" {
			dst = a.appendHost(dst)
		} else {
			dst = append(dst, a.sni...)
		}
	}
	if a.hasBytes {
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, a.received, 10)
		dst = append(dst, " B received, "...)
		dst = strconv.AppendInt(dst, a.sent, 10)
		dst = append(dst, " B sent"...)
	}
	return dst
}

func (a *access) appendHost(dst []byte) []byte {
	dst = append(dst, a.host...)
	if a.host != "" && a.port > 0 {
		dst = append(dst, ':')
		dst = strconv.AppendInt(dst, a.port, 10)
	}
	return dst
}

// append writes service.namespace@cluster as far as it is known.
func (e *accessEnd) append(dst []byte) []byte {
	name := firstOf(e.service, e.workload)
	if name == "" {
		return append(dst, firstOf(e.address, "?")...)
	}
	dst = append(dst, name...)
	if e.namespace != "" && !strings.HasSuffix(name, "."+e.namespace) {
		dst = append(append(dst, '.'), e.namespace...)
	}
	if e.cluster != "" {
		dst = append(append(dst, '@'), e.cluster...)
	}
	return dst
}

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
