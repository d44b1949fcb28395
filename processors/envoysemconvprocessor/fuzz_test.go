// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/rules"
)

// FuzzNormalize feeds attributes, one "name=value" a line. Whatever they are, foreign attributes stay, a second pass
// changes nothing, and keeping the originals adds to what dropping them gives.
func FuzzNormalize(f *testing.F) {
	f.Add(2, false, "component=proxy\nhttp.method=GET\nhttp.url=http://h:80/p?q\nhttp.status_code=0\nresponse_flags=DC")
	f.Add(3, false, "component=proxy\npeer.address=1.2.3.4\nnetwork.peer.address=1.2.3.4\nnetwork.peer.port=80")
	f.Add(3, false, "upstream_cluster=c\nupstream_address=1.2.3.4:80\ngrpc.status_code=14\ngrpc.path=/a/b\nother=x")
	f.Add(0, true, "upstream_cluster=c\nmethod=GET\npath=/p?q\nduration=12\ndownstream_remote_address=1.2.3.4:80")
	f.Fuzz(func(t *testing.T, kind int, log bool, lines string) {
		attrs := pcommon.NewMap()
		for line := range strings.Lines(lines) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			attrs.PutStr(name, value)
		}
		checkInvariants(t, rules.Kind(((kind%3)+3)%3), log, attrs)
	})
}

// TestInvariants checks the same on combinations of names and values that fuzzing would take long to find.
func TestInvariants(t *testing.T) {
	names := []string{
		"component", "node_id", "zone", "upstream_cluster", "upstream_cluster.name", "upstream_address", "peer.address",
		"response_flags", "http.method", "http.status_code", "http.url", "http.protocol", "user_agent", "request_size",
		"error", "grpc.status_code", "grpc.path", "grpc.authority", "grpc.content_type", "network.peer.address",
		"network.peer.port", "http.request.method", "http.request.method_original", "http.response.status_code",
		"url.full", "server.address", "server.port", "client.address", "client.port", "error.type", "rpc.system",
		"rpc.response.status_code", "envoy.downstream.address", "path", "authority", "response_code", "bytes_sent",
		"downstream_remote_address", "duration", "foreign",
	}
	values := []string{
		"proxy", "outbound|80||h", "GET", "BREW", "_OTHER", "200", "503", "0", "5", "-", "", "DC", "10.0.0.1", "10.0.0.1:80",
		"10.0.0.2:80", "http://h:80/a/b?q", "http://u:p@g/a", "h:80", "a b", "HTTP/1.1", "true", "application/grpc",
		"/a/b", "UNAVAILABLE", "1000", "grpc", "/run/socket",
	}
	random := rand.New(rand.NewPCG(1, 2)) // repeatable on purpose
	for range 20_000 {
		attrs := pcommon.NewMap()
		attrs.PutStr("component", "proxy")
		for range random.IntN(12) {
			attrs.PutStr(names[random.IntN(len(names))], values[random.IntN(len(values))])
		}
		checkInvariants(t, rules.Kind(random.IntN(3)), random.IntN(2) == 0, attrs)
		if t.Failed() {
			t.Fatalf("with %v", attrs.AsRaw())
		}
	}
}

func checkInvariants(t *testing.T, kind rules.Kind, log bool, attrs pcommon.Map) {
	t.Helper()
	original := attrs.AsRaw()
	keyOf := rules.SpanKey
	if log {
		keyOf = rules.LogKey
	}
	run := func(keepOriginal bool, m pcommon.Map) map[string]any {
		n := newNormalizer(keyOf, keepOriginal)
		n.call.Reset(kind, log)
		n.normalize(m)
		return m.AsRaw()
	}

	dropped, kept := clone(attrs), clone(attrs)
	once, onceKept := run(false, dropped), run(true, kept)
	for name, value := range once {
		if got, ok := onceKept[name]; !ok || got != value {
			t.Errorf("%q is %v without the originals, %v with them", name, value, got)
		}
	}
	for name, value := range original {
		got, ok := once[name]
		noResponse := rules.IsStatusCode(name) && value == "0"
		if !ok && keyOf(name) == rules.KeyNone && !rules.IsNetworkPeer(name) && !noResponse {
			t.Errorf("foreign attribute %q was lost", name)
		}
		if ok && got != value && !rules.IsNumber(name) {
			t.Errorf("%q was overwritten: %v became %v", name, value, got)
		}
	}
	if twice := run(false, dropped); !maps.Equal(once, twice) {
		t.Errorf("a second pass changed %v to %v", once, twice)
	}
	if twice := run(true, kept); !maps.Equal(onceKept, twice) {
		t.Errorf("a second pass with originals changed %v to %v", onceKept, twice)
	}
}
