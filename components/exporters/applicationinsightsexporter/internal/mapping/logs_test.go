// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

func TestALogRecordIsAMessageOfItsOperation(t *testing.T) {
	m, told := mapperOf(t, nil)
	e := oneLog(t, m, func(r plog.LogRecord) {
		r.Body().SetStr(`cart "7" saved`)
		r.SetSeverityNumber(plog.SeverityNumberWarn2)
		r.SetTraceID(pcommon.TraceID{15: 1})
		r.SetSpanID(pcommon.SpanID{7: 2})
		r.Attributes().PutStr("order.id", "7")
		r.Attributes().PutStr("http.route", "/cart")
		r.Attributes().PutStr("enduser.id", "anna")
		r.Attributes().PutStr("microsoft.client.ip", "10.0.0.1")
		r.Attributes().PutStr("microsoft.operation_name", "POST /cart")
	})
	d := data[*ai.MessageData](t, e)
	assert.Equal(t, `cart "7" saved`, d.Message)
	assert.Equal(t, ai.Warning, *d.SeverityLevel)
	assert.Equal(t, "/cart", d.Properties["http.route"])
	assert.NotContains(t, d.Properties, "order.id", "the allow-list does not name it")
	assert.NotContains(t, d.Properties, "microsoft.client.ip")
	assert.Positive(t, told.attributesDropped)
	assert.Equal(t, caseTime, e.Time.Time)
	for tag, want := range map[string]string{
		ai.TagCloudRole: "reviews.bookinfo@aks-westeurope", ai.TagCloudRoleInstance: "reviews-v1-1",
		ai.TagOperationID: "00000000000000000000000000000001", ai.TagOperationParentID: "0000000000000002",
		ai.TagUserAuthUserID: "anna", ai.TagLocationIP: "10.0.0.1", ai.TagOperationName: "POST /cart",
	} {
		assert.Equal(t, want, e.Tags[tag], tag)
	}
}

func TestBodies(t *testing.T) {
	m, _ := mapperOf(t, nil)
	for want, fill := range map[string]func(plog.LogRecord){
		"text":          func(r plog.LogRecord) { r.Body().SetStr("text") },
		"status code=7": func(r plog.LogRecord) { r.Body().SetStr("status code=7") },
		"42":            func(r plog.LogRecord) { r.Body().SetInt(42) },
		"true":          func(r plog.LogRecord) { r.Body().SetBool(true) },
		"AQI=":          func(r plog.LogRecord) { r.Body().SetEmptyBytes().FromRaw([]byte{1, 2}) },
		`["a",1]`:       func(r plog.LogRecord) { require.NoError(t, r.Body().SetEmptySlice().FromRaw([]any{"a", 1})) },
		`{"a":{"b":[]}}`: func(r plog.LogRecord) {
			require.NoError(t, r.Body().SetEmptyMap().FromRaw(map[string]any{"a": map[string]any{"b": []any{}}}))
		},
		"(no text)":    func(plog.LogRecord) {},
		"cart.saved":   func(r plog.LogRecord) { r.SetEventName("cart.saved") },
		"cart.emptied": func(r plog.LogRecord) { r.SetEventName("cart.emptied"); r.Body().SetEmptyMap() },
	} {
		t.Run(want, func(t *testing.T) {
			assert.Equal(t, want, data[*ai.MessageData](t, oneLog(t, m, fill)).Message)
		})
	}
}

func TestSeverity(t *testing.T) {
	for n := plog.SeverityNumber(1); n <= 24; n++ {
		want := []ai.SeverityLevel{ai.Verbose, ai.Verbose, ai.Information, ai.Warning, ai.Error, ai.Critical}[(n-1)/4]
		assert.Equal(t, want, severityOf(n, "whatever", ai.Verbose), "%d", n)
	}
	for text, want := range map[string]ai.SeverityLevel{
		"": ai.Information, "INFO": ai.Information, "notice": ai.Information, "Information": ai.Information, "gold": ai.Information,
		"debug": ai.Verbose, "TRACE3": ai.Verbose, "warn": ai.Warning, " Warning ": ai.Warning, "WARN2": ai.Warning,
		"err": ai.Error, "SEVERE": ai.Error, "crit": ai.Critical, "panic": ai.Critical, "Emergency": ai.Critical,
		long(1000): ai.Information,
	} {
		assert.Equal(t, want, severityOf(plog.SeverityNumberUnspecified, text, ai.Information), text)
	}
	assert.Equal(t, ai.Error, severityOf(99, "", ai.Error), "a number that is none")
}

func TestTheTimeOfARecord(t *testing.T) {
	m, _ := mapperOf(t, nil)
	observed := caseTime.Add(-3e9)
	e := oneLog(t, m, func(r plog.LogRecord) {
		r.SetTimestamp(0)
		r.SetObservedTimestamp(pcommon.NewTimestampFromTime(observed))
	})
	assert.Equal(t, observed, e.Time.Time)
	e = oneLog(t, m, func(r plog.LogRecord) { r.SetTimestamp(0) })
	assert.Equal(t, caseTime, e.Time.Time, "of the collector's clock")
}

func TestExceptions(t *testing.T) {
	m, _ := mapperOf(t, nil)
	stack := "java.lang.IllegalStateException: no cart\n\tat shop.Cart.save(Cart.java:12)\n\tat shop.Main.main(Main.java:3)"
	e := oneLog(t, m, func(r plog.LogRecord) {
		r.Body().SetStr("saving failed")
		r.Attributes().PutStr("exception.type", "java.lang.IllegalStateException")
		r.Attributes().PutStr("exception.message", "no cart")
		r.Attributes().PutStr("exception.stacktrace", stack)
	})
	d := data[*ai.ExceptionData](t, e)
	assert.Equal(t, []ai.ExceptionDetails{{
		TypeName: "java.lang.IllegalStateException", Message: "no cart", HasFullStack: true, Stack: stack,
	}}, d.Exceptions)
	assert.Equal(t, "java.lang.IllegalStateException at shop.Cart.save", d.ProblemID)
	assert.Equal(t, ai.Error, *d.SeverityLevel, "an exception without a severity")
	assert.Equal(t, "saving failed", d.Properties["message"])
	assert.NotContains(t, d.Properties, "exception.stacktrace")

	e = oneLog(t, m, func(r plog.LogRecord) {
		r.SetSeverityNumber(plog.SeverityNumberFatal)
		r.Attributes().PutStr("exception.type", "E")
	})
	d = data[*ai.ExceptionData](t, e)
	assert.Equal(t, "E", d.Exceptions[0].Message, "the service asks for one")
	assert.Equal(t, ai.Critical, *d.SeverityLevel)
	assert.Equal(t, "E", d.ProblemID)
}

func TestProblemID(t *testing.T) {
	for name, c := range map[string]struct{ stack, want string }{
		"none":   {"", "E"},
		"prose":  {"it broke", "E"},
		".NET":   {"System.Exception: x\n   at Shop.Cart.Save(String id) in /src/Cart.cs:line 12\n   at Main()", "E at Shop.Cart.Save"},
		"folder": {"System.Exception: x\n   at Save(String id) in C:\\Program Files (x86)\\Cart.cs:line 12", "E at Save"},
		"Java":   {"E: x\n\tat a.b.C$D.lambda$0(C.java:1)", "E at a.b.C$D.lambda$0"},
		"script": {"Error: x\n    at save (cart.js:1:2)\n    at main (main.js:3:4)", "E at save"},
		"Python": {"Traceback (most recent call last):\n  File \"a.py\", line 1, in main\n    f()\n  File \"b.py\", line 2, in save\n    raise E\nE: x", "E at save"},
		"Go":     {"goroutine 1 [running]:\nmain.(*cart).save(0xc0000)\n\t/src/cart.go:12 +0x1d\nmain.main()\n\t/src/main.go:3", "E at main.(*cart).save"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, problemID("E", c.stack)) })
	}
	assert.Equal(t, "f", problemID("", "at f()"))
	assert.Empty(t, problemID("", ""))
}

func TestCustomEvents(t *testing.T) {
	m, _ := mapperOf(t, func(s *Settings) { s.Logs.CustomEvents = []string{"shop.*", "login"} })
	e := oneLog(t, m, func(r plog.LogRecord) {
		r.Body().SetStr("somebody bought")
		r.SetTraceID(pcommon.TraceID{15: 1})
		r.Attributes().PutStr("microsoft.custom_event.name", "Bought")
		r.Attributes().PutStr("order.id", "7")
		r.Attributes().PutInt("items", 3)
		values := r.Attributes().PutEmptyMap("microsoft.custom_measurements")
		values.PutDouble("price", 9.5)
		values.PutInt("weight", 2)
		values.PutStr("currency", "EUR")
	})
	d := data[*ai.EventData](t, e)
	assert.Equal(t, "Bought", d.Name)
	assert.Equal(t, "7", d.Properties["order.id"], "whoever writes an event wants its properties")
	assert.Equal(t, "3", d.Properties["items"])
	assert.Equal(t, "somebody bought", d.Properties["message"])
	assert.NotContains(t, d.Properties, "microsoft.custom_event.name")
	assert.Equal(t, map[string]float64{"price": 9.5, "weight": 2}, d.Measurements)
	assert.Equal(t, "reviews.bookinfo@aks-westeurope", e.Tags[ai.TagCloudRole])
	assert.Equal(t, "00000000000000000000000000000001", e.Tags[ai.TagOperationID])

	for name, want := range map[string]bool{"shop.bought": true, "login": true, "logins": false, "workshop.x": false, "shop": false} {
		e := oneLog(t, m, func(r plog.LogRecord) { r.SetEventName(name) })
		assert.Equal(t, want, e.Data.BaseType == ai.BaseTypeEvent, name)
	}
}

func TestMeasurementsAsJSON(t *testing.T) {
	m, _ := mapperOf(t, nil)
	for text, want := range map[string]map[string]float64{
		`{"a":1,"b":2.5}`: {"a": 1, "b": 2.5}, `{"a":"1"}`: nil, `[1]`: nil, `{`: nil, `null`: nil,
	} {
		e := oneLog(t, m, func(r plog.LogRecord) {
			r.Attributes().PutStr("microsoft.custom_event.name", "x")
			r.Attributes().PutStr("microsoft.custom_measurements", text)
		})
		d := data[*ai.EventData](t, e)
		assert.Equal(t, want, d.Measurements, text)
		_, kept := d.Properties["microsoft.custom_measurements"]
		assert.Equal(t, want == nil, kept, "%s: what is none stays readable", text)
	}
}

func TestAvailability(t *testing.T) {
	m, _ := mapperOf(t, nil)
	whole := map[string]any{
		"microsoft.availability.id": "run-1", "microsoft.availability.name": "front page", "microsoft.availability.duration": "00:00:01.250",
		"microsoft.availability.success": "True", "microsoft.availability.runLocation": "West US",
		"microsoft.availability.testTimestamp": "2026-11-20T09:59:00Z", "team": "web",
	}
	result := func(leave string) ai.Envelope {
		return oneLog(t, m, func(r plog.LogRecord) {
			require.NoError(t, r.Attributes().FromRaw(whole))
			r.Attributes().Remove("microsoft.availability." + leave)
			r.Body().SetStr("all well")
		})
	}
	e := result("nothing")
	d := data[*ai.AvailabilityData](t, e)
	assert.Equal(t, &ai.AvailabilityData{
		Ver: 2, ID: "run-1", Name: "front page", Duration: ai.Duration(1250e6), Success: true, RunLocation: "West US", Message: "all well",
		Properties: d.Properties,
	}, d)
	assert.Equal(t, "web", d.Properties["team"])
	assert.NotContains(t, d.Properties, "microsoft.availability.name")
	assert.Equal(t, caseTime.Add(-60e9), e.Time.Time)
	for _, missing := range []string{"id", "name", "duration", "success"} {
		e := result(missing)
		d := data[*ai.MessageData](t, e)
		assert.Equal(t, "all well", d.Message, "no result without its %s", missing)
	}
	data[*ai.AvailabilityData](t, result("runLocation"))
}

func TestAccessLogLines(t *testing.T) {
	ends := func(a pcommon.Map) {
		a.PutStr("mesh.source.service", "productpage")
		a.PutStr("mesh.source.namespace", "bookinfo")
		a.PutStr("mesh.source.cluster", "aks-westeurope")
		a.PutStr("mesh.destination.service", "reviews.bookinfo")
		a.PutStr("mesh.destination.namespace", "bookinfo")
	}
	for want, c := range map[string]struct {
		event string
		level ai.SeverityLevel
		fill  func(pcommon.Map)
	}{
		"GET reviews:9080/reviews/0 503 UF 12 ms, productpage.bookinfo@aks-westeurope -> reviews.bookinfo (upstream_reset)": {
			eventAccessHTTP, ai.Error, func(a pcommon.Map) {
				ends(a)
				a.PutStr("http.request.method", "GET")
				a.PutStr("server.address", "reviews")
				a.PutInt("server.port", 9080)
				a.PutStr("url.path", "/reviews/0")
				a.PutInt("http.response.status_code", 503)
				a.PutStr("envoy.response.flags", "UF")
				a.PutInt("envoy.duration_ms", 12)
				a.PutStr("envoy.response.code_details", "upstream_reset")
			},
		},
		"POST shop/a.B/C 200 grpc 14 0.5 ms, 10.0.0.1 -> ?": {eventAccessHTTP, ai.Information, func(a pcommon.Map) {
			a.PutStr("http.request.method", "POST")
			a.PutStr("server.address", "shop")
			a.PutStr("url.path", "/a.B/C")
			a.PutStr("http.response.status_code", "200")
			a.PutStr("rpc.response.status_code", "14")
			a.PutDouble("envoy.duration_ms", 0.5)
			a.PutStr("client.address", "10.0.0.1")
			a.PutStr("envoy.response.flags", "-")
			a.PutStr("envoy.response.code_details", "via_upstream")
		}},
		"? /missing 404, ? -> ?": {eventAccessHTTP, ai.Warning, func(a pcommon.Map) {
			a.PutStr("url.path", "/missing")
			a.PutInt("http.response.status_code", 404)
		}},
		"TCP mongo:27017 842 B received, 1203 B sent, 7 ms, productpage.bookinfo@aks-westeurope -> reviews.bookinfo": {
			eventAccessTCP, ai.Information, func(a pcommon.Map) {
				ends(a)
				a.PutStr("server.address", "mongo")
				a.PutInt("server.port", 27017)
				a.PutInt("envoy.bytes.received", 842)
				a.PutInt("envoy.bytes.sent", 1203)
				a.PutInt("envoy.duration_ms", 7)
			},
		},
		"outbound TCP 0 B received, 0 B sent, ? -> 10.0.0.9:80 (connection refused)": {
			eventAccessZtunnel, ai.Error, func(a pcommon.Map) {
				a.PutStr("ztunnel.direction", "outbound")
				a.PutInt("envoy.bytes.received", 0)
				a.PutStr("envoy.upstream.address", "10.0.0.9:80")
				a.PutStr("envoy.connection.termination_details", "connection refused")
				a.PutStr("error.type", "_OTHER")
			},
		},
	} {
		t.Run(want, func(t *testing.T) {
			m, _ := mapperOf(t, nil)
			fill := func(r plog.LogRecord) {
				r.SetEventName(c.event)
				c.fill(r.Attributes())
			}
			d := data[*ai.MessageData](t, oneLog(t, m, fill))
			assert.Equal(t, want, d.Message)
			assert.Equal(t, c.level, *d.SeverityLevel)
			m, _ = mapperOf(t, func(s *Settings) { s.Logs.AccessLogLines = false })
			assert.Equal(t, c.event, data[*ai.MessageData](t, oneLog(t, m, fill)).Message, "switched off")
		})
	}
}

func TestABodyOfAnAccessLogStays(t *testing.T) {
	m, _ := mapperOf(t, nil)
	d := data[*ai.MessageData](t, oneLog(t, m, func(r plog.LogRecord) {
		r.SetEventName(eventAccessHTTP)
		r.SetSeverityNumber(plog.SeverityNumberInfo)
		r.Body().SetStr(`[2026] "GET / HTTP/1.1" 500`)
		r.Attributes().PutInt("http.response.status_code", 500)
	}))
	assert.Equal(t, `[2026] "GET / HTTP/1.1" 500`, d.Message)
	assert.Equal(t, ai.Information, *d.SeverityLevel, "who logged it knows")
}

func TestLongTextsAreCut(t *testing.T) {
	m, told := mapperOf(t, func(s *Settings) { s.Attributes = []string{"*"} })
	e := oneLog(t, m, func(r plog.LogRecord) {
		r.Body().SetStr(long(40_000))
		r.Attributes().PutStr(long(200), long(9000))
		r.Attributes().PutStr("microsoft.operation_name", long(2000))
	})
	d := data[*ai.MessageData](t, e)
	assert.Len(t, d.Message, ai.MaxMessageLength)
	assert.Positive(t, told.textsTrimmed)
	for name, fill := range map[string]func(pcommon.Map){
		"event": func(a pcommon.Map) { a.PutStr("microsoft.custom_event.name", long(2000)) },
		"exception": func(a pcommon.Map) {
			a.PutStr("exception.type", long(2000))
			a.PutStr("exception.stacktrace", long(70_000))
		},
		"availability": func(a pcommon.Map) {
			a.PutStr("microsoft.availability.id", long(2000))
			a.PutStr("microsoft.availability.name", long(2000))
			a.PutStr("microsoft.availability.message", long(20_000))
			a.PutStr("microsoft.availability.runLocation", long(2000))
			a.PutStr("microsoft.availability.duration", "0:0:1")
			a.PutBool("microsoft.availability.success", false)
		},
	} {
		t.Run(name, func(t *testing.T) { oneLog(t, m, func(r plog.LogRecord) { fill(r.Attributes()) }) })
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true},
		{"*", "", true},
		{"*", "x", true},
		{"a", "a", true},
		{"a", "ab", false},
		{"a*", "ab", true},
		{"*b", "ab", true},
		{"a*c", "abbc", true},
		{"a*c", "abcb", false},
		{"*duration*", "http.server.request.duration", true},
		{"*a*b*", "xaxxb", true},
		{"*a*b*", "xbxxa", false},
		{"**", "x", true},
		{"a", "", false},
	} {
		assert.Equal(t, c.want, matches(c.pattern, c.name), fmt.Sprintf("%q %q", c.pattern, c.name))
	}
}
