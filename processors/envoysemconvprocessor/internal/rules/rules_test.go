// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// call builds a call from attributes in pairs of name and value.
func call(kind Kind, log bool, pairs ...string) *Call {
	c := new(Call)
	c.Reset(kind, log)
	keyOf := SpanKey
	if log {
		keyOf = LogKey
	}
	for i := 0; i < len(pairs); i += 2 {
		if key := keyOf(pairs[i]); key != KeyNone {
			c.Set(key, pairs[i+1])
		} else if field := c.SemconvField(pairs[i]); field != nil {
			*field = pairs[i+1]
		}
	}
	return c
}

// written returns what the rules say about a call, as text by name.
func written(c *Call) (map[string]string, *Output) {
	out := new(Output)
	Normalize(c, out)
	m := map[string]string{}
	for _, a := range out.Attributes {
		switch a.Type {
		case Int:
			m[a.Name] = strconv.FormatInt(a.Int, 10)
		case Double:
			m[a.Name] = strconv.FormatFloat(a.Double, 'g', -1, 64)
		default:
			m[a.Name] = a.Text
		}
	}
	return m, out
}

func TestIsFromEnvoy(t *testing.T) {
	const istioNode = "sidecar~10.0.0.1~p.ns~ns.svc.cluster.local"
	for name, tt := range map[string]struct {
		call *Call
		want bool
	}{
		"component":                  {call(KindServer, false, "component", "proxy"), true},
		"cluster":                    {call(KindServer, false, "upstream_cluster", "inbound|80||"), true},
		"Istio node":                 {call(KindServer, false, "node_id", istioNode), true},
		"other component":            {call(KindServer, false, "component", "net/http"), false},
		"other node":                 {call(KindServer, false, "node_id", "es-7"), false},
		"no cluster":                 {call(KindServer, false, "upstream_cluster", "-"), false},
		"nothing":                    {call(KindServer, false), false},
		"HTTP alone":                 {call(KindServer, false, "http.method", "GET", "response_flags", "-"), false},
		"flags and code on a log":    {call(KindOther, true, "response_flags", "-", "response_code", "200"), true},
		"flags and code on a span":   {call(KindServer, false, "response_flags", "-", "http.status_code", "200"), false},
		"code alone on a log":        {call(KindOther, true, "response_code", "200"), false},
		"access log names on a span": {call(KindServer, false, "response_code", "200", "response_flags", "-"), false},
		"new names, Envoy's scope":   {scoped("http.response.status_code", "200"), true},
		"numbers that are numbers":   {scopedNumbers("http.response.status_code", "200"), false},
		"new names, no scope":        {call(KindServer, false, "http.response.status_code", "200"), false},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, tt.call.IsFromEnvoy())
		})
	}
}

// scoped returns a call of Envoy's tracer with numbers as texts, scopedNumbers one whose numbers are numbers.
func scoped(pairs ...string) *Call {
	c := scopedNumbers(pairs...)
	c.TextNumbers = true
	return c
}

func scopedNumbers(pairs ...string) *Call {
	c := call(KindServer, false, pairs...)
	c.FromEnvoyScope = true
	return c
}

func TestIsSidecar(t *testing.T) {
	for name, tt := range map[string]struct {
		call *Call
		want bool
	}{
		"sidecar":             {call(KindClient, false, "node_id", "sidecar~10.0.0.1~p.ns~ns.svc.cluster.local"), true},
		"sidecar, translated": {call(KindClient, false, "envoy.node.id", "sidecar~10.0.0.1~p.ns~ns.svc.cluster.local"), true},
		"gateway":             {call(KindClient, false, "node_id", "router~10.0.0.1~p.ns~ns.svc.cluster.local"), false},
		"waypoint":            {call(KindServer, false, "node_id", "waypoint~10.0.0.1~p.ns~x", "upstream_cluster", "inbound-vip|80|http|h"), false},
		"inbound":             {call(KindServer, false, "upstream_cluster", "inbound|80||"), true},
		"inbound, translated": {call(KindServer, false, "envoy.upstream.cluster", "inbound|80||"), true},
		"inbound at a client": {call(KindClient, false, "upstream_cluster", "inbound|80||"), false},
		"outbound":            {call(KindClient, false, "upstream_cluster", "outbound|80||h"), false},
		"unknown":             {scoped("http.response.status_code", "200"), false},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, tt.call.IsSidecar())
			assert.True(t, tt.call.IsProxy())
		})
	}
	assert.False(t, call(KindServer, false, "http.request.method", "GET").IsProxy())
}

func TestPeer(t *testing.T) {
	type pairs = []string
	for name, tt := range map[string]struct {
		kind     Kind
		in       pairs
		want     map[string]string
		dropPeer bool
	}{
		"server": {KindServer, pairs{"peer.address", "10.0.0.1"}, map[string]string{"client.address": "10.0.0.1"}, false},
		"server, not an IP": {
			KindServer, pairs{"peer.address", "@socket"}, map[string]string{"client.address": "@socket"}, false,
		},
		"server with upstream": {
			KindServer,
			pairs{"peer.address", "10.0.0.1", "upstream_address", "10.0.0.2:80"},
			map[string]string{"client.address": "10.0.0.1", "envoy.upstream.address": "10.0.0.2:80"},
			false,
		},
		"client's own pod": {
			KindClient, pairs{"peer.address", "10.0.0.1"}, map[string]string{"envoy.downstream.address": "10.0.0.1"}, false,
		},
		"attempt": {
			KindClient,
			pairs{"peer.address", "10.0.0.2:80", "upstream_address", "10.0.0.2:80"},
			map[string]string{"network.peer.address": "10.0.0.2", "network.peer.port": "80"},
			false,
		},
		"attempt, peer without port": {
			KindClient,
			pairs{"peer.address", "10.0.0.2", "upstream_address", "10.0.0.2:80"},
			map[string]string{"network.peer.address": "10.0.0.2", "network.peer.port": "80"},
			false,
		},
		"request that also names the upstream": {
			KindClient,
			pairs{"peer.address", "10.0.0.1", "upstream_address", "10.0.0.2:80"},
			map[string]string{
				"network.peer.address": "10.0.0.2", "network.peer.port": "80", "envoy.downstream.address": "10.0.0.1",
			},
			false,
		},
		"kind lost": {
			KindOther,
			pairs{"peer.address", "10.0.0.1", "upstream_address", "10.0.0.2:80"},
			map[string]string{"envoy.upstream.address": "10.0.0.2:80", "envoy.downstream.address": "10.0.0.1"},
			false,
		},
		"new names, request": {
			KindClient,
			pairs{"network.peer.address", "10.0.0.1", "network.peer.port", "70", "guid:x-request-id", "r"},
			map[string]string{"envoy.downstream.address": "10.0.0.1:70", "envoy.request.id": "r"},
			true,
		},
		"new names, attempt": {KindClient, pairs{"network.peer.address", "10.0.0.2"}, map[string]string{}, false},
		"new names, attempt with port": {
			KindClient,
			pairs{"network.peer.address", "10.0.0.2:80"},
			map[string]string{"network.peer.address": "10.0.0.2", "network.peer.port": "80"},
			true,
		},
		"new names, attempt over IPv6": {
			KindClient,
			pairs{"network.peer.address", "[fd00::2]:80"},
			map[string]string{"network.peer.address": "fd00::2", "network.peer.port": "80"},
			true,
		},
		"new names, attempt to a socket": {
			KindClient, pairs{"network.peer.address", "/run/s:80"}, map[string]string{}, false,
		},
		"new names, server with port": {
			KindServer,
			pairs{"network.peer.address", "10.0.0.2:80"},
			map[string]string{
				"client.address": "10.0.0.2", "client.port": "80", "network.peer.address": "10.0.0.2", "network.peer.port": "80",
			},
			true,
		},
		"both names, attempt with port": {
			KindClient,
			pairs{"network.peer.address", "10.0.0.2:80", "peer.address", "10.0.0.2:80", "upstream_address", "10.0.0.2:80"},
			map[string]string{"network.peer.address": "10.0.0.2", "network.peer.port": "80"},
			true,
		},
		"both names, attempt of another writer": {
			KindClient,
			pairs{"network.peer.address", "10.0.0.3:80", "peer.address", "10.0.0.2:80", "upstream_address", "10.0.0.2:80"},
			map[string]string{"network.peer.address": "10.0.0.2", "network.peer.port": "80"},
			false, // it stays, and is a conflict
		},
		"both names": {
			KindClient,
			pairs{"network.peer.address", "10.0.0.1", "peer.address", "10.0.0.1"},
			map[string]string{"envoy.downstream.address": "10.0.0.1"},
			true,
		},
		"both names, another writer": {
			KindClient,
			pairs{"network.peer.address", "10.0.0.2", "peer.address", "10.0.0.1"},
			map[string]string{"envoy.downstream.address": "10.0.0.1"},
			false,
		},
		"both names, upstream known": {
			KindClient,
			pairs{"network.peer.address", "10.0.0.2", "peer.address", "10.0.0.2:80", "upstream_address", "10.0.0.2:80"},
			map[string]string{"network.peer.address": "10.0.0.2", "network.peer.port": "80"},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, out := written(call(tt.kind, false, tt.in...))
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.dropPeer, out.DropNetworkPeer)
		})
	}
}

func TestProtocol(t *testing.T) {
	for text, version := range map[string]string{
		"HTTP/1.0": "1.0", "HTTP/1.1": "1.1", "HTTP/2": "2", "HTTP/3": "3", "-": "",
	} {
		got, out := written(call(KindServer, false, "http.protocol", text))
		assert.Equal(t, version, got["network.protocol.version"], text)
		assert.Equal(t, version != "", got["network.protocol.name"] == "http", text)
		assert.Zero(t, out.Unparsed, text)
	}
}

func TestIsGRPC(t *testing.T) {
	for name, tt := range map[string]struct {
		in   []string
		want bool
	}{
		"status":       {[]string{"grpc.status_code", "0"}, true},
		"content type": {[]string{"grpc.content_type", "application/grpc"}, true},
		"with codec":   {[]string{"grpc.content_type", "application/grpc+proto"}, true},
		"with charset": {[]string{"grpc.content_type", "application/grpc;charset=utf-8"}, true},
		"gRPC-Web":     {[]string{"grpc.content_type", "application/grpc-web"}, false},
		"said already": {[]string{"rpc.system.name", "grpc"}, true},
		"other system": {[]string{"rpc.system", "dubbo"}, false},
		"path alone":   {[]string{"http.method", "POST", "http.url", "http://h/pkg.Svc/Method"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := written(call(KindServer, false, tt.in...))
			assert.Equal(t, tt.want, got["rpc.system.name"] == "grpc")
		})
	}
}

func TestGRPCPath(t *testing.T) {
	for _, tt := range []struct{ path, service, method string }{
		{"/pkg.Svc/Method", "pkg.Svc", "pkg.Svc/Method"},
		{"/pkg.Svc", "", ""},
		{"/pkg.Svc/", "", ""},
		{"//Method", "", ""},
		{"/a/b/c", "", ""},
		{"pkg.Svc/Method", "", ""},
	} {
		t.Run(tt.path, func(t *testing.T) {
			got, _ := written(call(KindServer, false, "grpc.status_code", "0", "grpc.path", tt.path))
			assert.Equal(t, tt.service, got["rpc.service"])
			assert.Equal(t, tt.method, got["rpc.method"])
			assert.Equal(t, tt.service == "", got["envoy.grpc.path"] == tt.path, "a path that does not split is kept")
		})
	}
	got, _ := written(call(KindOther, true, "grpc.status_code", "0", "path", "/pkg.Svc/Method?x"))
	assert.Equal(t, "pkg.Svc/Method", got["rpc.method"], "access logs have a path of their own")
	got, _ = written(call(KindServer, false, "grpc.path", "/p", "grpc.authority", "a", "grpc.timeout", "1S"))
	assert.Equal(t, map[string]string{
		"envoy.grpc.path": "/p", "envoy.grpc.authority": "a", "envoy.grpc.timeout": "1S",
	}, got, "without evidence of gRPC nothing is concluded, and nothing lost")
}

func TestSplitURL(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want url
		ok   bool
	}{
		{"http://reviews:9080/reviews/0?a=b&c", url{"http", "reviews", "/reviews/0", "a=b&c", 9080}, true},
		{"https://example.com", url{"https", "example.com", "", "", 0}, true},
		{"https://example.com?q", url{"https", "example.com", "", "q", 0}, true},
		{"https://example.com/#top?no", url{"https", "example.com", "/", "", 0}, true},
		{"http://[fd00::1]:80/", url{"http", "fd00::1", "/", "", 80}, true},
		{"http://[fd00::1]/", url{"http", "fd00::1", "/", "", 0}, true},
		{"http://u:p@h:1/", url{"http", "h", "/", "", 1}, true},
		{"http://h/a%2", url{"http", "h", "/a%2", "", 0}, true},
		{"http://h/a@b", url{"http", "h", "/a@b", "", 0}, true},
		{"h2c+x://h/", url{"h2c+x", "h", "/", "", 0}, true},
		{"", url{}, false},
		{"/path", url{}, false},
		{"://h/", url{}, false},
		{"2http://h/", url{}, false},
		{"ht tp://h/", url{}, false},
		{"http:///path", url{}, false},
		{"http://h:/", url{}, false},
		{"http://h:x/", url{}, false},
		{"http://h:70000/", url{}, false},
		{"http://h:000080/", url{}, false},
		{"http://[fd00::1/", url{}, false},
		{"http://a b/", url{}, false},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, ok := splitURL(tt.in)
			assert.Equal(t, tt.ok, ok)
			if tt.ok {
				assert.Equal(t, tt.want, got)
			}
		})
	}
}

func TestWithoutCredentials(t *testing.T) {
	for in, want := range map[string]string{
		"http://h/p?a@b":       "http://h/p?a@b",
		"http://u:p@h/p":       "http://REDACTED:REDACTED@h/p",
		"http://u@p@h":         "http://REDACTED:REDACTED@h",
		"u:p@h":                "u:p@h",
		"http://h":             "http://h",
		"http://u:p@[::1]:80?": "http://REDACTED:REDACTED@[::1]:80?",
	} {
		assert.Equal(t, want, withoutCredentials(in), in)
	}
}

func TestUnparsed(t *testing.T) {
	for name, tt := range map[string]struct {
		key, value string
		reason     Reason
	}{
		"word":              {"http.status_code", "OK", NotANumber},
		"sign":              {"request_size", "-1", OutOfRange},
		"too large":         {"retry.count", "99999999999999999999", OutOfRange},
		"no such status":    {"http.status_code", "1000", OutOfRange},
		"fraction":          {"response_size", "1.5", NotANumber},
		"gRPC status":       {"grpc.status_code", "bad", NotANumber},
		"protocol":          {"http.protocol", "SPDY", UnknownProtocol},
		"protocol, no dash": {"http.protocol", "HTTP/", UnknownProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			_, out := written(call(KindServer, false, tt.key, tt.value))
			var want [NumReasons]int64
			want[tt.reason] = 1
			assert.Equal(t, want, out.Unparsed)
			assert.True(t, out.Keeps(SpanKey(tt.key)), "the original must stay")
		})
	}
	c := call(KindServer, false)
	c.SetBadType(KeyUserAgent)
	_, out := written(c)
	assert.Equal(t, int64(1), out.Unparsed[BadType])
	assert.True(t, out.Keeps(KeyUserAgent))
}

func FuzzSplitURL(f *testing.F) {
	f.Add("http://u:p@[fd00::1]:80/a/b?c#d")
	f.Add("https://example.com")
	f.Fuzz(func(t *testing.T, s string) {
		u, ok := splitURL(s)
		clean := withoutCredentials(s)
		again, okAgain := splitURL(clean)
		if ok != okAgain || (ok && u != again) {
			t.Errorf("%q: %+v %t, without credentials %q: %+v %t", s, u, ok, clean, again, okAgain)
		}
		if ok && (u.host == "" || !strings.Contains(s, u.host) || !strings.HasPrefix(s, u.scheme+"://")) {
			t.Errorf("%q: %+v", s, u)
		}
	})
}
