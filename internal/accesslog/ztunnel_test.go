// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ztunnelFacts(z *Ztunnel) map[ZtunnelField]string {
	m := map[ZtunnelField]string{}
	for f, value := range z.values {
		if value != "" {
			m[ZtunnelField(f)] = value
		}
	}
	return m
}

func TestParseZtunnel(t *testing.T) {
	for name, tt := range map[string]struct {
		line   string
		format Format
		want   map[ZtunnelField]string
	}{
		"before 2024": {ztunnelOld, ZtunnelText, map[ZtunnelField]string{
			ZtunnelTime: "2024-04-11T15:38:42.182974Z", ZtunnelLevel: "info", ZtunnelMessage: "connection complete",
			SourceAddress: "10.244.0.24:46238", SourceName: "shell-6b4b7d9c5-x2v5k", SourceNamespace: "default",
			SourceIdentity: "spiffe://cluster.local/ns/default/sa/default", DestinationAddress: "10.244.0.42:15008",
			HBONETarget: "10.96.108.116:80", DestinationService: "echo.default.svc.cluster.local", Direction: "outbound",
			ZtunnelBytesSent: "67", ZtunnelBytesReceived: "490", ZtunnelDuration: "13ms",
		}},
		"with tabs": {ztunnelTabs, ZtunnelText, map[ZtunnelField]string{
			ZtunnelTime: "2024-05-04T09:59:05.028709Z", ZtunnelLevel: "info", ZtunnelMessage: "connection complete",
			SourceAddress: "10.244.1.12:60059", SourceName: "sleep-7656cf8794-r7zb9", SourceNamespace: "default",
			SourceIdentity: "spiffe://cluster.local/ns/default/sa/sleep", DestinationAddress: "10.244.1.10:9080",
			HBONETarget: "10.244.1.10:9080", DestinationService: "productpage.default.svc.cluster.local",
			DestinationName: "productpage-v1-87d54dd59-fn6vw", DestinationNamespace: "productpage",
			DestinationIdentity: "spiffe://cluster.local/ns/default/sa/bookinfo-productpage", Direction: "inbound",
			ZtunnelBytesSent: "175", ZtunnelBytesReceived: "80", ZtunnelDuration: "1ms",
		}},
		"denied": {ztunnelDenied, ZtunnelText, map[ZtunnelField]string{
			ZtunnelTime: "2025-10-30T22:23:01.119792Z", ZtunnelLevel: "error", ZtunnelMessage: "connection complete",
			SourceAddress: "10.217.0.2:44480", DestinationAddress: "10.217.0.248:8080",
			DestinationName: "golang-ex-6d957754b-nfbfv", DestinationNamespace: "test", Direction: "inbound",
			ZtunnelBytesSent: "0", ZtunnelBytesReceived: "0", ZtunnelDuration: "0ms",
			ZtunnelError: "connection closed due to policy rejection: explicitly denied by: istio-system/istio_converted_static_strict",
		}},
		"failed": {ztunnelFailed, ZtunnelText, map[ZtunnelField]string{
			ZtunnelTime: "2026-08-10T08:19:58.950669Z", ZtunnelLevel: "warn", ZtunnelMessage: "connection failed",
			SourceAddress: "10.244.0.6:57866", DestinationAddress: "10.96.0.10:53", Direction: "outbound",
			ZtunnelError: `unknown source: "10.244.0.6"`,
		}},
		"JSON": {ztunnelJSON, ZtunnelJSON, map[ZtunnelField]string{
			ZtunnelTime: "2026-08-10T08:19:58.950669Z", ZtunnelLevel: "info", ZtunnelMessage: "connection complete",
			SourceAddress: "10.244.0.6:57866", SourceName: "http-client-7fc85576c4-h95l5", SourceNamespace: "default",
			SourceIdentity: "spiffe://cluster.local/ns/default/sa/http-client-sa", SourceCluster: "aks-a",
			DestinationAddress: "10.244.0.7:15008", HBONETarget: "10.244.0.7:18080",
			DestinationService: "http-service.default.svc.cluster.local", DestinationName: "http-server-7bbf596dd9-4rgdc",
			DestinationNamespace: "default", DestinationIdentity: "spiffe://cluster.local/ns/default/sa/http-server-sa",
			DestinationCluster: "aks-a", Direction: "outbound", ZtunnelBytesSent: "16", ZtunnelBytesReceived: "16",
			ZtunnelDuration: "1006ms",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var e Entry
			format, err := Parse(tt.line+"\n", &e)
			require.NoError(t, err)
			assert.Equal(t, tt.format, format)
			assert.Equal(t, tt.want, ztunnelFacts(&e.Ztunnel))
			assert.True(t, e.Ztunnel.IsAccessLog())
			assert.False(t, e.Envoy.IsAccessLog())
		})
	}
}

// Both sides of one connection count the same bytes.
func TestZtunnelBytesAreThoseOfTheCaller(t *testing.T) {
	var out, in Ztunnel
	require.NoError(t, ParseZtunnel(ztunnelOld, &out))
	require.NoError(t, ParseZtunnel(strings.NewReplacer("outbound", "inbound", "bytes_sent=67", "bytes_sent=490", "bytes_recv=490", "bytes_recv=67").Replace(ztunnelOld), &in))
	for _, z := range []*Ztunnel{&out, &in} {
		received, sent := z.Bytes()
		assert.Equal(t, "67", received)
		assert.Equal(t, "490", sent)
	}
}

func TestZtunnelStart(t *testing.T) {
	var z Ztunnel
	require.NoError(t, ParseZtunnel(ztunnelOld, &z))
	at, ok := z.Start()
	require.True(t, ok)
	assert.Equal(t, time.Date(2024, 4, 11, 15, 38, 42, 169974000, time.UTC), at.UTC())
	var early Ztunnel
	require.NoError(t, ParseZtunnel(ztunnelFailed, &early))
	at, ok = early.Start()
	require.True(t, ok)
	assert.Equal(t, time.Date(2026, 8, 10, 8, 19, 58, 950669000, time.UTC), at.UTC())
	_, ok = (&Ztunnel{}).Start()
	assert.False(t, ok)
	for _, text := range []string{"", "ms", "1s", "-1ms", "1.5ms", "9999999999999999ms"} {
		z.Set(ZtunnelDuration, text)
		_, ok = z.Milliseconds()
		assert.False(t, ok, text)
	}
}

// Identities are told before the handshake at the calling side, and after it at the called one.
func TestMutualTLSNeedsProof(t *testing.T) {
	proven := func(edit ...string) bool {
		var z Ztunnel
		require.NoError(t, ParseZtunnel(strings.NewReplacer(edit...).Replace(ztunnelTabs), &z))
		return z.MutualTLS()
	}
	const failed = "duration=\"1ms\" error=\"x\""
	outbound := []string{`"inbound"`, `"outbound"`}
	assert.True(t, proven())
	assert.True(t, proven(`duration="1ms"`, failed), "the caller's certificate was seen")
	assert.True(t, proven(outbound...))
	assert.True(t, proven(append(outbound, `duration="1ms"`, failed)...), "bytes came back")
	assert.False(t, proven(append(outbound, `duration="1ms"`, failed, "bytes_recv=80", "bytes_recv=0")...))
	assert.False(t, proven(append(outbound, `dst.identity="spiffe://cluster.local/ns/default/sa/bookinfo-productpage" `, "")...))
	assert.False(t, proven(`src.identity="spiffe://cluster.local/ns/default/sa/sleep" `, ""))
}

func TestZtunnelRefuses(t *testing.T) {
	for _, line := range []string{
		"", "x", "2024-05-04T09:59:05.028709Z", "2024-05-04T09:59:05.028709Z\tinfo\txds\tconnection complete\tsrc.addr=1", strings.Replace(ztunnelTabs, "src.addr=", "addr=", 1),
		ztunnelTabs + " ", ztunnelTabs + ` x="`, ztunnelTabs + ` x="\q"`, ztunnelTabs + ` x="\u{}"`, ztunnelTabs + ` x="\u{110000}"`, ztunnelTabs + ` x="\`, ztunnelTabs + ` x=a"b"`, ztunnelTabs + "  x=1",
		ztunnelTabs + ` x y=1`, strings.Replace(ztunnelTabs, `direction="inbound" `, "", 1), strings.Replace(ztunnelTabs, "dst.addr", "dst.address", 1), strings.Replace(ztunnelTabs, "2024", "next", 1),
	} {
		var z Ztunnel
		assert.ErrorIs(t, ParseZtunnel(line, &z), ErrZtunnel, line)
	}
	var e Entry
	format, err := Parse("2024-05-04T09:59:05.028709Z\tinfo\txds::client\tconnection complete", &e)
	require.NoError(t, err)
	assert.Equal(t, NotAccessLog, format)
	for _, opened := range []string{
		strings.Replace(ztunnelTabs, "complete", "opened", 1), strings.Replace(ztunnelJSON, "complete", "opened", 1),
	} {
		format, err = Parse(opened, &e)
		require.NoError(t, err)
		assert.Equal(t, NotAccessLog, format, "a connection must not count twice")
	}
	e.Reset()
	_, err = Parse(strings.Replace(ztunnelTabs, "src.addr=", "addr=", 1), &e)
	assert.ErrorIs(t, err, ErrZtunnel)
}

// A value within quotes never becomes another key.
func TestZtunnelQuotes(t *testing.T) {
	var z Ztunnel
	require.NoError(t, ParseZtunnel(ztunnelTabs+` error="a\" dst.addr=9.9.9.9:9 direction=\"outbound\" \u{7f}\n\t\\\'"`, &z))
	assert.Equal(t, "10.244.1.10:9080", z.Get(DestinationAddress))
	assert.Equal(t, "inbound", z.Get(Direction))
	assert.Equal(t, "a\" dst.addr=9.9.9.9:9 direction=\"outbound\" \x7f\n\t\\'", z.Get(ZtunnelError))
}

func TestSeverity(t *testing.T) {
	for _, tt := range []struct {
		status int64
		flags  string
		want   Severity
	}{
		{200, "", Info}, {399, "UF", Info}, {404, "NR", Warn}, {503, "", Error}, {0, "", Info}, {0, "-", Info}, {0, "DC", Info}, {0, "DC,UF", Error}, {0, "XX", Info},
	} {
		assert.Equal(t, tt.want, SeverityOf(tt.status, tt.flags), "%d %s", tt.status, tt.flags)
	}
	assert.Equal(t, []string{"INFO", "WARN", "ERROR"}, []string{Info.String(), Warn.String(), Error.String()})
	for line, want := range map[string]Severity{ztunnelTabs: Info, ztunnelDenied: Error, ztunnelFailed: Warn} {
		var z Ztunnel
		require.NoError(t, ParseZtunnel(line, &z))
		assert.Equal(t, want, z.Severity())
	}
	var e Entry
	require.NoError(t, ParseText(failed, &e))
	assert.Equal(t, Error, e.Envoy.Severity())
}

func TestNamesRoundTrip(t *testing.T) {
	for f := StartTime; f < NumFields; f++ {
		assert.Equal(t, f, FieldOf(f.String()))
	}
	for f := ZtunnelTime; f < NumZtunnelFields; f++ {
		assert.Equal(t, f, ZtunnelFieldOf(f.String()))
	}
	assert.Empty(t, NumFields.String()+NumZtunnelFields.String())
	assert.Equal(t, FieldNone, FieldOf(""))
	assert.LessOrEqual(t, int(NumFields), 64, "presence is one bit each")
}
