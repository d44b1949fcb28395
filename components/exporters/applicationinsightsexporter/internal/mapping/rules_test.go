// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	unset  = ptrace.StatusCodeUnset
	okay   = ptrace.StatusCodeOk
	failed = ptrace.StatusCodeError
)

func TestSuccess(t *testing.T) {
	for _, tc := range []struct {
		why        string
		called     bool
		shape      shape
		attributes map[string]any
		status     ptrace.StatusCode
		want       bool
		strict     bool
		codes      []int
	}{
		{why: "2xx", shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 204}, want: true},
		{why: "3xx", shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 302}, want: true},
		{why: "1xx", shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 101}, want: true},
		{why: "2xx whose response broke off", shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 200}, status: failed},
		{why: "4xx at the caller", shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 404}},
		{why: "4xx at the server is the caller's error", called: true, shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 404}, want: true},
		{why: "also if an SDK says error", called: true, shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 404}, status: failed, want: true},
		{why: "unless told otherwise", called: true, strict: true, shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 499}},
		{why: "listed at the server", called: true, strict: true, codes: []int{404}, shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 404}, want: true},
		{why: "listed at the caller, whose SDK set error", codes: []int{404, 503}, shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 503}, status: failed, want: true},
		{why: "5xx at the server", called: true, shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 500}},
		{why: "5xx as text of the former name", called: true, shape: shapeHTTP, attributes: map[string]any{"http.status_code": "503"}},
		{why: "an application's OK beats the code", called: true, shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 500}, status: okay, want: true},
		{why: "no code, no flag", shape: shapeHTTP, want: true},
		{why: "no code, an error", shape: shapeHTTP, status: failed},
		{why: "no code, a flag", called: true, shape: shapeHTTP, attributes: map[string]any{"envoy.response.flags": "DC"}},
		{why: "code 0 is none, a flag", called: true, shape: shapeHTTP, attributes: map[string]any{"http.status_code": "0", "response_flags": "UF"}},
		{why: "Envoy's word for no flag", shape: shapeHTTP, attributes: map[string]any{"response_flags": "-"}, want: true},
		{why: "a flag with a code", shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": 200, "envoy.response.flags": "DC"}, want: true},
		{why: "gRPC OK", shape: shapeRPC, attributes: map[string]any{"rpc.grpc.status_code": 0, "http.response.status_code": 200}, want: true},
		{why: "gRPC OK, error", shape: shapeRPC, attributes: map[string]any{"rpc.grpc.status_code": 0}, status: failed},
		{why: "gRPC NOT_FOUND at the caller", shape: shapeRPC, attributes: map[string]any{"rpc.grpc.status_code": 5}},
		{why: "gRPC NOT_FOUND at the server", called: true, shape: shapeRPC, attributes: map[string]any{"rpc.response.status_code": "NOT_FOUND"}, status: failed, want: true},
		{why: "gRPC UNAVAILABLE at the server, over 200", called: true, shape: shapeRPC, attributes: map[string]any{"rpc.grpc.status_code": "14", "http.response.status_code": 200}},
		{why: "a gRPC code that there is not", called: true, shape: shapeRPC, attributes: map[string]any{"rpc.grpc.status_code": 99}},
		{why: "gRPC without a status: HTTP's", shape: shapeRPC, attributes: map[string]any{"http.response.status_code": 503}},
		{why: "another RPC system's code", shape: shapeRPC, attributes: map[string]any{"rpc.response.status_code": "TIMEOUT"}, status: failed},
		{why: "database", shape: shapeDatabase, want: true},
		{why: "database, error", shape: shapeDatabase, status: failed},
		{why: "code of another type", shape: shapeHTTP, attributes: map[string]any{"http.response.status_code": true}, want: true},
	} {
		s := DefaultSettings()
		s.ClientErrorIsFailure, s.AdditionalSuccessStatusCodes = tc.strict, tc.codes
		w := walkWith(t, s, tc.attributes)
		o := outcomeOf(tc.shape, &w.attributes, tc.status, tc.called)
		assert.Equal(t, tc.want, w.m.success.success(&o), tc.why)
	}
	for code := range int64(20) {
		fails := code == 2 || code == 4 || code == 12 || code == 13 || code == 14 || code == 15 || code > 16
		assert.Equal(t, fails, serverFailure(code), code)
	}
}

// walkWith returns a walk that has read these attributes.
func walkWith(t testing.TB, s Settings, attributes map[string]any) *walk {
	t.Helper()
	m, _ := newTestMapper(t, s)
	w := m.begin(nil)
	list := pcommon.NewMap()
	require.NoError(t, list.FromRaw(attributes))
	w.read(list, sortCall)
	return w
}

func TestResultCode(t *testing.T) {
	for _, tc := range []struct {
		attributes map[string]any
		status     ptrace.StatusCode
		want       string
	}{
		{map[string]any{"http.request.method": "GET", "http.response.status_code": 404}, unset, "404"},
		{map[string]any{"http.request.method": "GET", "http.response.status_code": 0}, unset, "0"},
		{map[string]any{"http.request.method": "GET", "envoy.response.flags": "DC"}, failed, "499"},
		{map[string]any{"http.request.method": "GET", "response_flags": "UT,DC"}, failed, "504"},
		{map[string]any{"http.request.method": "GET", "response_flags": "UF"}, failed, "503"},
		{map[string]any{"http.request.method": "GET", "response_flags": "UH"}, failed, "503"},
		{map[string]any{"http.request.method": "GET", "response_flags": "NR"}, failed, "503"},
		{map[string]any{"http.request.method": "GET", "response_flags": "UO"}, failed, "503"},
		{map[string]any{"http.request.method": "GET", "response_flags": "UC"}, failed, "UC"},
		{map[string]any{"http.request.method": "GET", "response_flags": "-", "error.type": "timeout"}, failed, "timeout"},
		{map[string]any{"http.request.method": "GET", "error.type": "_OTHER"}, failed, "2"},
		{map[string]any{"rpc.system": "grpc", "rpc.grpc.status_code": 14, "http.response.status_code": 200}, failed, "14"},
		{map[string]any{"rpc.system.name": "grpc", "rpc.response.status_code": "UNAVAILABLE"}, failed, "14"},
		{map[string]any{"rpc.system.name": "grpc", "http.response.status_code": 502}, failed, "502"},
		{map[string]any{"rpc.system.name": "jsonrpc", "rpc.response.status_code": "-32601"}, failed, "-32601"},
		{map[string]any{"db.system.name": "mysql", "error.type": "1062"}, failed, "1062"},
		{map[string]any{"db.system.name": "mysql", "error.type": "1062"}, unset, "0"},
		{nil, okay, "0"},
		{nil, failed, "2"},
	} {
		got := mapOne(t, DefaultSettings(), ptrace.SpanKindClient, tc.attributes, tc.status)
		assert.Equal(t, tc.want, got.ResultCode, "%v", tc.attributes)
	}
}

func TestTarget(t *testing.T) {
	mesh := func(more map[string]any) map[string]any {
		attributes := map[string]any{
			"http.request.method": "GET", "server.address": "reviews", "server.port": 9080, "network.peer.address": "10.1.2.3",
			"mesh.destination.service": "reviews", "mesh.destination.namespace": "bookinfo", "mesh.destination.cluster": "aks-neu",
		}
		maps.Copy(attributes, more)
		return attributes
	}
	for _, tc := range []struct {
		why        string
		role       string
		attributes map[string]any
		want       string
	}{
		{"what the mesh says", rolePerCluster, mesh(nil), "reviews.bookinfo@aks-neu"},
		{"merged clusters", roleMerged, mesh(nil), "reviews.bookinfo"},
		{"the name alone", "{service.name}", mesh(nil), "reviews"},
		{"by region", "{cloud.region}/{service.name}", mesh(map[string]any{"mesh.destination.region": "northeurope"}), "northeurope/reviews"},
		{"a template that names nothing of the far end", "{team}", mesh(nil), "reviews:9080"},
		{"an unknown cluster", rolePerCluster, mesh(map[string]any{"mesh.destination.cluster": ""}), "reviews.bookinfo"},
		{"a name with its namespace", rolePerCluster, mesh(map[string]any{"mesh.destination.service": "reviews.bookinfo"}), "reviews.bookinfo@aks-neu"},
		{"only the workload", rolePerCluster, mesh(map[string]any{"mesh.destination.service": "", "mesh.destination.workload": "reviews-v1"}), "reviews-v1.bookinfo@aks-neu"},
		{"only the workload, where the name is asked for", "{service.name}", mesh(map[string]any{"mesh.destination.service": "", "mesh.destination.workload": "reviews-v1"}), "reviews:9080"},
		{"only a namespace says nothing", rolePerCluster, mesh(map[string]any{"mesh.destination.service": ""}), "reviews:9080"},
		{"outside of the mesh", rolePerCluster, map[string]any{"http.request.method": "GET", "mesh.destination.service": "www.example.com"}, "www.example.com"},
		{"Istio's name of the upstream", rolePerCluster, map[string]any{"envoy.upstream.cluster": "outbound|9080|v1|reviews.bookinfo.svc.cluster.local", "server.address": "r"}, "reviews.bookinfo"},
		{"upstream outside", rolePerCluster, map[string]any{"upstream_cluster": "outbound|443||www.example.com"}, "www.example.com"},
		{"upstream by address", rolePerCluster, map[string]any{"upstream_cluster": "outbound|80||10.1.2.3", "server.address": "x"}, "x"},
		{"no upstream", rolePerCluster, map[string]any{"envoy.upstream.cluster": "PassthroughCluster", "server.address": "x"}, "x"},
		{"inbound", rolePerCluster, map[string]any{"envoy.upstream.cluster": "inbound|9080||"}, ""},
		{"server and port", rolePerCluster, map[string]any{"http.request.method": "GET", "server.address": "api", "server.port": 8443}, "api:8443"},
		{"the usual port", rolePerCluster, map[string]any{"http.request.method": "GET", "url.scheme": "https", "server.address": "api", "server.port": 443}, "api"},
		{"the usual port of the other scheme", rolePerCluster, map[string]any{"http.request.method": "GET", "url.scheme": "http", "server.address": "api", "server.port": "443"}, "api:443"},
		{"port in the name", rolePerCluster, map[string]any{"http.request.method": "GET", "server.address": "api:81"}, "api:81"},
		{"former names", rolePerCluster, map[string]any{"http.method": "GET", "net.peer.name": "api.", "net.peer.port": 81}, "api:81"},
		{"former Host", rolePerCluster, map[string]any{"http.method": "GET", "net.peer.name": "10.0.0.1", "http.host": "api:81"}, "api:81"},
		{"of the URL", rolePerCluster, map[string]any{"http.method": "GET", "http.url": "http://u:p@api:81/x"}, "api:81"},
		{"a service of Kubernetes", rolePerCluster, map[string]any{"http.method": "GET", "server.address": "pod-0.reviews.bookinfo.svc.cluster.local", "server.port": 9080}, "reviews.bookinfo"},
		{"of a cluster set", roleMerged, map[string]any{"http.method": "GET", "server.address": "reviews.bookinfo.svc.clusterset.local"}, "reviews.bookinfo"},
		{"no service of Kubernetes", rolePerCluster, map[string]any{"http.method": "GET", "server.address": "a.b.svc.example.com"}, "a.b.svc.example.com"},
		{"peer.service where there is an address only", rolePerCluster, map[string]any{"http.method": "GET", "server.address": "fd00::1", "peer.service": "stock"}, "stock"},
		{"never a pod's address", rolePerCluster, map[string]any{"http.method": "GET", "server.address": "10.1.2.3", "http.url": "http://10.1.2.3:80/", "network.peer.address": "10.1.2.3"}, ""},
		{"version 6 in brackets", rolePerCluster, map[string]any{"http.method": "GET", "http.url": "http://[fd00::1]:80/"}, ""},
		{"a name that begins like an address", rolePerCluster, map[string]any{"http.method": "GET", "server.address": "10.example.com"}, "10.example.com"},
		{"a name of hexadecimal digits", rolePerCluster, map[string]any{"http.method": "GET", "server.address": "cafe"}, "cafe"},
		{"database", rolePerCluster, map[string]any{"db.system.name": "postgresql", "server.address": "pg", "server.port": 5432, "db.namespace": "shop"}, "pg | shop"},
		{"database by its name", rolePerCluster, map[string]any{"db.system": "mysql", "db.name": "shop", "net.peer.ip": "10.0.0.1"}, "shop"},
		{"database by its system", rolePerCluster, map[string]any{"db.system": "redis", "server.address": "10.0.0.1"}, "redis"},
		{"queue", rolePerCluster, map[string]any{"messaging.system": "kafka", "server.address": "b", "server.port": 9093, "messaging.destination.name": "q"}, "b:9093/q"},
		{"queue, former", rolePerCluster, map[string]any{"messaging.system": "kafka", "messaging.destination": "q"}, "q"},
		{"broker", rolePerCluster, map[string]any{"messaging.system": "kafka"}, "kafka"},
		{"RPC service", rolePerCluster, map[string]any{"rpc.system": "grpc", "rpc.service": "shop.Cart"}, "shop.Cart"},
		{"nothing", rolePerCluster, nil, ""},
	} {
		s := DefaultSettings()
		s.Role = tc.role
		assert.Equal(t, tc.want, mapOne(t, s, ptrace.SpanKindClient, tc.attributes, unset).Target, tc.why)
		assert.Empty(t, mapOne(t, s, ptrace.SpanKindInternal, tc.attributes, unset).Target, tc.why)
	}
	s := DefaultSettings()
	s.AddressTargets = true
	assert.Equal(t, "10.1.2.3", mapOne(t, s, ptrace.SpanKindClient, map[string]any{"server.address": "10.1.2.3"}, unset).Target)
	assert.Equal(t, "10.1.2.3", mapOne(t, s, ptrace.SpanKindClient, map[string]any{"db.system": "redis", "network.peer.address": "10.1.2.3"}, unset).Target)
}

func TestSource(t *testing.T) {
	for _, tc := range []struct {
		why        string
		attributes map[string]any
		want       string
	}{
		{"what the mesh says", map[string]any{"mesh.source.service": "web", "mesh.source.namespace": "front", "mesh.source.cluster": "c", "client.address": "10.0.0.1"}, "web.front@c"},
		{"a gateway is not its own caller", map[string]any{"mesh.source.service": "me", "mesh.source.namespace": "ns", "mesh.destination.service": "you", "client.address": "203.0.113.7"}, "203.0.113.7"},
		{"but whoever calls itself is", map[string]any{"mesh.source.service": "me", "mesh.source.namespace": "ns", "mesh.destination.service": "me", "mesh.destination.namespace": "ns"}, "me.ns"},
		{"client", map[string]any{"client.address": "203.0.113.7"}, "203.0.113.7"},
		{"former", map[string]any{"http.client_ip": "203.0.113.7"}, "203.0.113.7"},
		{"peer", map[string]any{"network.peer.address": "10.0.0.1"}, "10.0.0.1"},
		{"queue", map[string]any{"messaging.system": "kafka", "server.address": "b", "messaging.destination.name": "q"}, "b/q"},
		{"nothing", nil, ""},
	} {
		assert.Equal(t, tc.want, mapOne(t, DefaultSettings(), ptrace.SpanKindServer, tc.attributes, unset).Source, tc.why)
	}
}

func TestDependencyType(t *testing.T) {
	for _, tc := range []struct {
		attributes       map[string]any
		client, producer string
	}{
		{map[string]any{"http.request.method": "GET"}, "HTTP", "Queue Message | HTTP"},
		{map[string]any{"rpc.system": "grpc", "http.method": "POST"}, "GRPC", "Queue Message | GRPC"},
		{map[string]any{"rpc.system": "aws-api"}, "aws-api", "Queue Message | aws-api"},
		{map[string]any{"db.system.name": "microsoft.sql_server"}, "SQL", "Queue Message | SQL"},
		{map[string]any{"db.system": "mssql", "http.method": "POST"}, "SQL", "Queue Message | SQL"},
		{map[string]any{"db.system": "mysql"}, "mysql", "Queue Message | mysql"},
		{map[string]any{"db.system": "cosmosdb"}, "Azure DocumentDB", "Queue Message | Azure DocumentDB"},
		{map[string]any{"messaging.system": "kafka"}, "kafka", "Queue Message | kafka"},
		{map[string]any{"messaging.system": "eventhubs"}, "Azure Event Hubs", "Queue Message | Azure Event Hubs"},
		{map[string]any{"az.namespace": "Microsoft.ServiceBus"}, "Azure Service Bus", "Queue Message | Azure Service Bus"},
		{map[string]any{"faas.trigger": "timer"}, "", "Queue Message"},
	} {
		assert.Equal(t, tc.client, mapOne(t, DefaultSettings(), ptrace.SpanKindClient, tc.attributes, unset).Type, "%v", tc.attributes)
		assert.Equal(t, tc.producer, mapOne(t, DefaultSettings(), ptrace.SpanKindProducer, tc.attributes, unset).Type, "%v", tc.attributes)
		internal := mapOne(t, DefaultSettings(), ptrace.SpanKindInternal, tc.attributes, unset).Type
		assert.True(t, internal == inProcess || strings.HasPrefix(internal, "InProc | Azure"), internal)
	}
}

func TestName(t *testing.T) {
	for _, tc := range []struct {
		name       string
		attributes map[string]any
		want       string
	}{
		{"GET", map[string]any{"http.request.method": "GET"}, "GET"},
		{"x", map[string]any{"http.request.method": "GET", "http.route": "/x/{id}"}, "GET /x/{id}"},
		{"x", map[string]any{"http.request.method": "GET", "url.template": "/x/{n}"}, "GET /x/{n}"},
		{"GET /y", map[string]any{"http.request.method": "GET"}, "GET /y"},
		{"GETTER", map[string]any{"http.request.method": "GET"}, "GET GETTER"},
		{"HTTP GET", map[string]any{"http.method": "GET"}, "HTTP GET"},
		{"/users/{id}", map[string]any{"http.method": "GET"}, "GET /users/{id}"},
		{"HTTP", map[string]any{"http.request.method": "_OTHER"}, "HTTP"},
		{"ingress", map[string]any{"http.request.method": "_OTHER"}, "HTTP ingress"},
		{"", map[string]any{"http.request.method": "GET"}, "GET"},
		{"reviews.bookinfo.svc.cluster.local:9080/*", map[string]any{"http.request.method": "GET"}, "GET reviews.bookinfo.svc.cluster.local:9080/*"},
		{"q", map[string]any{"db.system": "mysql", "db.query.summary": "SELECT items"}, "SELECT items"},
		{"q", map[string]any{"db.system": "mysql"}, "q"},
		{"a.B/C", map[string]any{"rpc.system": "grpc", "http.request.method": "POST"}, "a.B/C"},
		{"", map[string]any{"rpc.system": "grpc", "rpc.service": "a.B", "rpc.method": "C"}, "a.B C"},
		{"", nil, ""},
	} {
		w := walkWith(t, DefaultSettings(), tc.attributes)
		n := spanName(shapeOf(&w.attributes), &w.attributes, tc.name)
		got := n.method + n.rest
		if n.method != "" && n.rest != "" {
			got = n.method + " " + n.rest
		}
		assert.Equal(t, tc.want, got)
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"plain code=1 & sig=2":  "plain code=1 & sig=2",
		"http://h/x":            "http://h/x",
		"http://u@h/x":          "http://REDACTED:REDACTED@h/x",
		"http://u:p@h:80/x@y":   "http://REDACTED:REDACTED@h:80/x@y",
		"http://h/x@y":          "http://h/x@y",
		"http://h:80/x@y":       "http://h:80/x@y",
		"http://[::1]:80/x@y":   "http://[::1]:80/x@y",
		"amqp://u:p/w#?@h/x":    "amqp://REDACTED:REDACTED@h/x",
		"a http://u:p@h b@c":    "a http://REDACTED:REDACTED@h b@c",
		"x://a@b y://c@d?sig=1": "x://REDACTED:REDACTED@b y://REDACTED:REDACTED@d?sig=REDACTED",
		"https://a.blob.core.windows.net/c?sv=1&SIG=a%2Bb&se=2": "https://a.blob.core.windows.net/c?sv=1&SIG=REDACTED&se=2",
		"/api/f?code=abc#x":                   "/api/f?code=REDACTED#x",
		"/api/f?zipcode=1":                    "/api/f?zipcode=1",
		"/api/f?access_token=a":               "/api/f?access_token=REDACTED",
		"http://h/?u=http://a:b@c/?sig=d&e=f": "http://h/?u=http://REDACTED:REDACTED@c/?sig=REDACTED&e=f",
	} {
		var got strings.Builder
		redact(in, func(s string) { got.WriteString(s) })
		assert.Equal(t, want, got.String())
	}
	var got strings.Builder
	redactQuery("sig=a&b=c", true, func(s string) { got.WriteString(s) })
	assert.Equal(t, "sig=REDACTED&b=c", got.String())
}

func TestSampleRate(t *testing.T) {
	for _, tc := range []struct {
		attributes map[string]any
		state      string
		want       float64
	}{
		{nil, "", 100},
		{nil, "ot=th:0", 100},
		{nil, "ot=th:8", 50},
		{nil, "vendor=x, ot=rv:d2345678901234;th:c ,b=1", 25},
		{nil, "ot=th:fd70a3d70a3d71", 1},
		{nil, "ot=th:ffffffffffffff", 100},
		{nil, "ot=th:fffffffffffffff", 100},
		{nil, "ot=th:", 100},
		{nil, "ot=th:xyz", 100},
		{nil, "ot=th:+8", 100},
		{nil, "ot=p:2;r:5", 25},
		{nil, "ot=p:0", 100},
		{nil, "ot=p:63", 100},
		{nil, "ot=p:-1", 100},
		{nil, "not=th:8", 100},
		{map[string]any{"sampling.weight": 4}, "ot=th:8", 25},
		{map[string]any{"sampling.weight": "2.5"}, "", 40},
		{map[string]any{"sampling.weight": 0.5}, "ot=th:8", 50},
		{map[string]any{"sampling.weight": 1}, "ot=th:8", 100},
		{map[string]any{"sampling.weight": "NaN"}, "", 100},
		{map[string]any{"sampling.weight": "Inf"}, "", 100},
		{map[string]any{"microsoft.sample_rate": 20.0}, "", 20},
		{map[string]any{"_MS.sampleRate": 20}, "", 20},
		{map[string]any{"_MS.sampleRate": 0}, "", 100},
		{map[string]any{"_MS.sampleRate": 101}, "", 100},
	} {
		w := walkWith(t, DefaultSettings(), tc.attributes)
		assert.InDelta(t, tc.want, w.spanRate(tc.state, pcommon.TraceID{}), tc.want*1e-12, "%v %q", tc.attributes, tc.state)
	}
}

func TestSyntheticSource(t *testing.T) {
	assert.Equal(t, "bot", syntheticSource("bot", "scrape"))
	assert.Equal(t, "scrape", syntheticSource("", "scrape"))
	assert.Empty(t, syntheticSource("", ""))
}

func TestIsAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"10.0.0.1": true, "::1": true, "[::1]": true, "fe80::1%eth0": true, "2001:db8::1": true, "cafe": false, "": false,
		"10.0.0.1:80": false, "10.example.com": false, "a.b": false, "[": false, "[]": false, "1": false,
	} {
		assert.Equal(t, want, isAddress(text), text)
	}
}
