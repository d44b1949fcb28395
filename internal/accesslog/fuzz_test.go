// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"errors"
	"strings"
	"testing"
)

// FuzzParse reads any text: nothing panics, an entry without an error is one, and words hold no quote.
func FuzzParse(f *testing.F) {
	for _, seed := range allSamples {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var e Entry
		format, err := Parse(body, &e)
		switch {
		case err != nil || format == NotAccessLog:
			return
		case format == ZtunnelText || format == ZtunnelJSON:
			if !e.Ztunnel.IsAccessLog() {
				t.Fatal("no access log")
			}
			e.Ztunnel.Start()
		case format == Text:
			for _, f := range []Field{UpstreamCluster, UpstreamHost, UpstreamLocal, DownstreamLocal, DownstreamRemote, ServerName, Method, Authority} {
				if strings.ContainsAny(e.Envoy.Get(f), `" `) {
					t.Fatalf("%s is %q", f, e.Envoy.Get(f))
				}
			}
			e.Envoy.Severity()
		}
	})
}

// FuzzParseText puts any text in the place of the user agent: no other field may change.
func FuzzParseText(f *testing.F) {
	for _, seed := range []string{"curl/8.0", `a" "b`, `x HTTP/1.1" 500 UH x - "-" 1 1 1 1 "-" "-" "-" "evil" "9.9.9.9:9" c - - - - -`, "-", ""} {
		f.Add(seed)
	}
	var clean Entry
	if err := ParseText(inbound, &clean); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, agent string) {
		var e Entry
		if err := ParseText(strings.Replace(inbound, "curl/8.0", agent, 1), &e); errors.Is(err, ErrTails) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		for f := StartTime; f < NumFields; f++ {
			if got, want := e.Envoy.Get(f), clean.Envoy.Get(f); f != UserAgent && got != want && (got != "" || !e.Ambiguous) {
				t.Fatalf("%s became %q", f, got)
			}
		}
	})
}

// FuzzServerName puts any text in the place of the server name, as proxies do that do not clean it: no address may change.
func FuzzServerName(f *testing.F) {
	for _, seed := range []string{"x", `x" "9.9.9.9:9" c 9.9.9.9:1 9.9.9.9:2 9.9.9.9:3 s`, "a b", `" "" " - - - -`} {
		f.Add(seed)
	}
	clean, _ := ParseTail(inbound)
	f.Fuzz(func(t *testing.T, name string) {
		got, ok := ParseTail(strings.Replace(inbound, clean.ServerName, name, 1))
		if !ok {
			return
		}
		got.ServerName, got.Route = clean.ServerName, clean.Route
		if got != clean {
			t.Fatalf("%q made it %+v", name, got)
		}
	})
}

// FuzzParseTail keeps the promise of the words at the end of a line.
func FuzzParseTail(f *testing.F) {
	for _, seed := range []string{eastWest, inbound, "", `[ "" "" a b c d e f`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		l, ok := ParseTail(line)
		if !ok {
			return
		}
		for _, field := range []string{l.UpstreamHost, l.UpstreamCluster, l.UpstreamLocal, l.DownstreamLocal, l.DownstreamRemote, l.ServerName, l.Route} {
			if strings.ContainsAny(field, ` "`) {
				t.Fatalf("field %q of %q", field, line)
			}
		}
	})
}

// FuzzParseZtunnel reads any line, and puts any text in the place of the error: no other field may change.
func FuzzParseZtunnel(f *testing.F) {
	for _, seed := range []string{ztunnelOld, ztunnelTabs, ztunnelDenied, ztunnelFailed, `a" dst.addr=9.9.9.9:9 b="\`, "\n\t\x00\"'", ""} {
		f.Add(seed)
	}
	var clean Ztunnel
	if err := ParseZtunnel(ztunnelTabs, &clean); err != nil {
		f.Fatal(err)
	}
	rust := strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\x00", `\0`, "\x7f", `\u{7f}`)
	f.Fuzz(func(t *testing.T, text string) {
		var free Ztunnel
		if ParseZtunnel(text, &free) == nil && !free.IsAccessLog() {
			t.Fatal("no access log")
		}
		var z Ztunnel
		if err := ParseZtunnel(ztunnelTabs+` error="`+rust.Replace(text)+`"`, &z); err != nil {
			t.Fatal(err)
		}
		want := clean
		want.Set(ZtunnelError, text)
		if z != want {
			t.Fatalf("%v instead of %v", ztunnelFacts(&z), ztunnelFacts(&want))
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, line := range map[string]string{"text": inbound, "json": istioJSON, "ztunnel": ztunnelTabs, "ztunnel json": ztunnelJSON} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var e Entry
			for b.Loop() {
				e.Reset()
				if _, err := Parse(line, &e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("tail", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ParseTail(inbound)
		}
	})
}
