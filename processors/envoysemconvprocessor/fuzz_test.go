// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/routes"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/rules"
)

// FuzzNormalize feeds attributes, one "name=value" a line. Whatever they are, foreign attributes stay, a second pass
// changes nothing, and keeping the originals adds to what dropping them gives.
func FuzzNormalize(f *testing.F) {
	f.Add(2, false, false, "component=proxy\nhttp.method=GET\nhttp.url=http://h:80/p?q\nhttp.status_code=0\nresponse_flags=DC")
	f.Add(3, false, false, "component=proxy\npeer.address=1.2.3.4\nnetwork.peer.address=1.2.3.4\nnetwork.peer.port=80")
	f.Add(3, false, false, "upstream_cluster=c\nupstream_address=1.2.3.4:80\ngrpc.status_code=14\ngrpc.path=/a/b\nother=x")
	f.Add(0, true, false, "upstream_cluster=c\nmethod=GET\npath=/p?q\nduration=12\ndownstream_remote_address=1.2.3.4:80")
	f.Add(3, false, true, "http.response.status_code=200\nnetwork.peer.address=1.2.3.4:80\nurl.full=http://h/a/7")
	f.Fuzz(func(t *testing.T, kind int, log, scope bool, lines string) {
		attrs := pcommon.NewMap()
		for line := range strings.Lines(lines) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			attrs.PutStr(name, value)
		}
		checkInvariants(t, rules.Kind(((kind%3)+3)%3), log, scope, attrs)
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
		checkInvariants(t, rules.Kind(random.IntN(3)), random.IntN(2) == 0, random.IntN(2) == 0, attrs)
		if t.Failed() {
			t.Fatalf("with %v", attrs.AsRaw())
		}
	}
}

func checkInvariants(t *testing.T, kind rules.Kind, log, scope bool, attrs pcommon.Map) {
	t.Helper()
	original := attrs.AsRaw()
	keyOf := rules.SpanKey
	if log {
		keyOf = rules.LogKey
	}
	table, err := routes.NewTable([]routes.Route{{Template: "/a/{b}"}})
	if err != nil {
		t.Fatal(err)
	}
	namer := &rules.Namer{Rename: true, Routes: table, Templates: true, MaxPath: 256, Names: routes.NewNames(10)}
	const before = "svc.ns.svc.cluster.local:80/*"
	name, nameKept := before, before
	run := func(keepOriginal bool, m pcommon.Map, name *string) map[string]any {
		n := newNormalizer(keyOf, kept{all: keepOriginal})
		if !log {
			n = newSpanNormalizer(kept{all: keepOriginal}, namer)
		}
		n.call.Reset(kind, log)
		n.call.FromEnvoyScope = scope && !log
		n.spanName = *name
		careful, copied := *n, clone(m)
		careful.obsolete = careful.isObsolete
		n.normalize(m)
		*name = n.spanName
		if others := careful.read(copied); careful.call.IsFromEnvoy() {
			if others {
				careful.readOthers(copied)
			}
			careful.free = false
			careful.translate(copied)
		}
		if !reflect.DeepEqual(m.AsRaw(), copied.AsRaw()) {
			t.Errorf("%v, but %v with a look at each name", m.AsRaw(), copied.AsRaw())
		}
		return m.AsRaw()
	}

	dropped, kept := clone(attrs), clone(attrs)
	once, onceKept := run(false, dropped, &name), run(true, kept, &nameKept)
	if name != nameKept {
		t.Errorf("the span is %q without the originals, %q with them", name, nameKept)
	}
	for name, value := range once {
		if got, ok := onceKept[name]; !ok || !reflect.DeepEqual(got, value) {
			t.Errorf("%q is %v without the originals, %v with them", name, value, got)
		}
	}
	for name, value := range original {
		got, ok := once[name]
		text, _ := value.(string)
		noResponse := rules.IsStatusCode(name) && value == "0" || rules.SaysNothing(name, text)
		if !ok && keyOf(name) == rules.KeyNone && !rules.IsNetworkPeer(name) && !noResponse {
			t.Errorf("foreign attribute %q was lost", name)
		}
		split := rules.IsNetworkPeer(name) && strings.Contains(text, ":") // address and port in one
		if ok && !reflect.DeepEqual(got, value) && !rules.IsNumber(name) && !split {
			t.Errorf("%q was overwritten: %v became %v", name, value, got)
		}
	}
	nameTwice, nameKeptTwice := name, nameKept
	if twice := run(false, dropped, &nameTwice); !reflect.DeepEqual(once, twice) {
		t.Errorf("a second pass changed %v to %v", once, twice)
	}
	if twice := run(true, kept, &nameKeptTwice); !reflect.DeepEqual(onceKept, twice) {
		t.Errorf("a second pass with originals changed %v to %v", onceKept, twice)
	}
	if nameTwice != name || nameKeptTwice != name {
		t.Errorf("a second pass named %q %q, and with originals %q", name, nameTwice, nameKeptTwice)
	}
}
