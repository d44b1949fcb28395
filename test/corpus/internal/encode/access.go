// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// access is an access log entry before it is encoded. Its fields are Envoy's, "-" for nothing.
type access struct {
	start, method, path, protocol, code, flags, details, termination, failure string
	received, sent, duration, serviceTime                                     string
	forwardedFor, agent, requestID, authority                                 string
	host, cluster, local, downstreamLocal, downstreamRemote, sni, route       string
}

func accessOf(role Role, c *Call, s *Style) access {
	a := access{
		start:  c.At.UTC().Format("2006-01-02T15:04:05.000Z"),
		method: or(c.Method, "-"), path: or(c.Path, "-"), protocol: c.Protocol, code: strconv.Itoa(c.Status),
		flags: c.flags(), details: or(c.Details, "via_upstream"), termination: "-", failure: "-",
		received: "0", sent: "109", duration: "12", serviceTime: "11",
		forwardedFor: "-", agent: "bookinfo", requestID: c.requestID(), authority: c.authority(),
		host: or(c.upstreamHost(role), "-"), cluster: or(c.envoyCluster(role, s), "-"), sni: "-", route: "default",
	}
	if c.tcp() {
		a.method, a.path, a.protocol, a.code, a.details = "-", "-", "-", "0", "-"
		a.agent, a.requestID, a.authority, a.serviceTime, a.route = "-", "-", "-", "-", "-"
		a.received, a.sent = "12184", "17251"
	}
	a.addresses(role, c)
	return a
}

func (a *access) addresses(role Role, c *Call) {
	reporter := c.reporter(role)
	a.local = join(reporter.IP(), 40123)
	if a.host == "-" {
		a.local = "-"
	}
	switch role {
	case SidecarOutbound:
		a.downstreamLocal, a.downstreamRemote = join(reporter.IP(), 15001), join(reporter.IP(), 50123)
	case SidecarInbound:
		a.local = "127.0.0.6:40123"
		a.downstreamLocal, a.downstreamRemote = join(reporter.IP(), c.Port), join(c.client(), 50123)
		a.sni = or(c.sni(), "-")
	case EastWestGateway:
		port := 15443
		if c.Through != nil {
			port = c.Through.Port
		}
		a.downstreamLocal, a.downstreamRemote = join(reporter.IP(), port), join(c.client(), 50123)
		a.sni = or(c.sni(), "-")
	case Waypoint:
		a.downstreamLocal, a.downstreamRemote = join("10.96.108.116", c.Port), join(c.client(), 50123)
	default:
		a.downstreamLocal, a.downstreamRemote = join(reporter.IP(), 8443), join(c.client(), 50123)
		a.sni = "bookinfo.example.com"
	}
}

// Text returns the entry as a line in Istio's default text format.
func Text(role Role, c *Call, s *Style) string {
	a := accessOf(role, c, s)
	return fmt.Sprintf(`[%s] "%s %s %s" %s %s %s %s "%s" %s %s %s %s "%s" "%s" "%s" "%s" "%s" %s %s %s %s %s %s`,
		a.start, a.method, a.path, a.protocol, a.code, a.flags, a.details, a.termination, a.failure, a.received, a.sent,
		a.duration, a.serviceTime, a.forwardedFor, a.agent, a.requestID, a.authority, a.host, a.cluster, a.local,
		a.downstreamLocal, a.downstreamRemote, a.sni, a.route)
}

// fields returns the entry under the keys of Istio's JSON format.
func (a *access) fields() [][2]string {
	return [][2]string{
		{"start_time", a.start},
		{"route_name", a.route},
		{"method", a.method},
		{"path", a.path},
		{"protocol", a.protocol},
		{"response_code", a.code},
		{"response_flags", a.flags},
		{"response_code_details", a.details},
		{"connection_termination_details", a.termination},
		{"bytes_received", a.received},
		{"bytes_sent", a.sent},
		{"duration", a.duration},
		{"upstream_service_time", a.serviceTime},
		{"x_forwarded_for", a.forwardedFor},
		{"user_agent", a.agent},
		{"request_id", a.requestID},
		{"authority", a.authority},
		{"upstream_host", a.host},
		{"upstream_cluster", a.cluster},
		{"upstream_local_address", a.local},
		{"downstream_local_address", a.downstreamLocal},
		{"downstream_remote_address", a.downstreamRemote},
		{"requested_server_name", a.sni},
		{"upstream_transport_failure_reason", a.failure},
	}
}

// JSON returns the entry as a line in Istio's default JSON format: numbers are numbers, nothing is null.
func JSON(role Role, c *Call, s *Style) string {
	a := accessOf(role, c, s)
	var b strings.Builder
	for i, field := range a.fields() {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		name, _ := json.Marshal(field[0])
		value, _ := json.Marshal(field[1])
		switch {
		case field[1] == "-":
			value = []byte("null")
		case isNumber(field[0]):
			value = []byte(field[1])
		}
		fmt.Fprintf(&b, "%s:%s", name, value)
	}
	return b.String() + "}"
}

func isNumber(field string) bool {
	switch field {
	case "response_code", "bytes_received", "bytes_sent", "duration":
		return true
	}
	return false
}

// OTLPText appends the entry as Istio's envoyOtelAls sends it without labels: a text, and nothing that says who wrote.
func OTLPText(ld plog.Logs, role Role, c *Call, s *Style) {
	record := newRecord(ld, c)
	record.Body().SetStr(Text(role, c, s))
}

// OTLPLabels appends the entry as envoyOtelAls sends it with the labels of the guide.
func OTLPLabels(ld plog.Logs, role Role, c *Call, s *Style) {
	record := newRecord(ld, c)
	record.Body().SetStr(Text(role, c, s))
	attrs := record.Attributes()
	a := accessOf(role, c, s)
	for _, field := range a.fields() {
		if field[0] != "start_time" && field[0] != "x_forwarded_for" {
			attrs.PutStr(field[0], field[1])
		}
	}
	reporter := c.reporter(role)
	if id := s.clusterOf(reporter); id != "" {
		attrs.PutStr("k8s.cluster.name", id)
	}
	attrs.PutStr("k8s.namespace.name", reporter.Workload.Namespace)
	attrs.PutStr("k8s.pod.name", reporter.Pod.Name)
	if !s.Guide {
		return
	}
	values := map[string]string{"mesh.upstream.host": a.host}
	for _, tag := range c.guideTags(role, s) {
		values[tag[0]] = tag[1]
	}
	for _, name := range []string{
		"mesh.upstream.host", "mesh.upstream.workload", "mesh.upstream.principal", "mesh.downstream.host", "mesh.downstream.principal",
	} {
		attrs.PutStr(name, or(values[name], "-"))
	}
}

// peerProven says whether the proxy saw the caller's certificate.
func (c *Call) peerProven(role Role) bool {
	return c.From != nil && !c.Plain && (role == SidecarInbound || role == Waypoint || role == EgressGateway)
}

func newRecord(ld plog.Logs, c *Call) plog.LogRecord {
	record := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetTimestamp(pcommon.NewTimestampFromTime(c.At))
	trace, span := c.digest("trace"), c.digest("client")
	record.SetTraceID(pcommon.TraceID(trace[:16]))
	record.SetSpanID(pcommon.SpanID(span[:8]))
	return record
}
