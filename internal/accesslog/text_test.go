// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// facts returns the fields that hold something.
func facts(r *Record) map[Field]string {
	m := map[Field]string{}
	for f, value := range r.values {
		if value != "" {
			m[Field(f)] = value
		}
	}
	return m
}

func TestParseText(t *testing.T) {
	const istio = "84961386-6d84-929d-98bd-c5aee93b5c88"
	for name, tt := range map[string]struct {
		line string
		want map[Field]string
	}{
		"east/west gateway": {eastWest, map[Field]string{
			StartTime: "2022-11-03T18:22:51.440Z", ResponseCode: "0", BytesReceived: "12184", BytesSent: "17251", Duration: "59279",
			UpstreamHost: "172.16.0.60:9080", UpstreamCluster: "outbound_.9080_._.reviews.global",
			UpstreamLocal: "172.16.1.139:40738", DownstreamLocal: "172.16.1.139:15443", DownstreamRemote: "172.16.0.74:64843",
			ServerName: "outbound_.9080_._.reviews.global",
		}},
		"inbound": {inbound, map[Field]string{
			StartTime: "2026-11-01T10:00:00.000Z", Method: "GET", Path: "/reviews/1", Protocol: "HTTP/1.1", ResponseCode: "200",
			ResponseCodeDetails: "via_upstream", BytesReceived: "0", BytesSent: "358", Duration: "12", UpstreamServiceTime: "11",
			UserAgent: "curl/8.0", RequestID: "e4e8c177-3962-9359-945e-61e7175cd867", Authority: "reviews:9080",
			UpstreamHost: "127.1.0.31:9080", UpstreamCluster: "inbound|9080||", UpstreamLocal: "127.0.0.6:43211",
			DownstreamLocal: "127.1.0.31:9080", DownstreamRemote: "127.1.0.21:55000",
			ServerName: "outbound_.9080_._.reviews.bookinfo.svc.cluster.local", RouteName: "default",
		}},
		"failed, with spaces in the details": {failed, map[Field]string{
			StartTime: "2026-11-01T10:00:00.000Z", Method: "GET", Path: "/details/0", Protocol: "HTTP/1.1", ResponseCode: "503",
			ResponseFlags:       "URX,UF",
			ResponseCodeDetails: "upstream_reset_before_response_started{connection failure,delayed connect error: 111}",
			TransportFailure:    "delayed connect error: 111", BytesReceived: "0", BytesSent: "145", Duration: "1",
			ForwardedFor: "10.0.0.9,10.0.0.7", UserAgent: "curl/8.0", RequestID: "e4e8c177", Authority: "details:9080",
			UpstreamHost: "127.1.0.25:9080", UpstreamCluster: "outbound|9080||details.bookinfo.svc.cluster.local",
			DownstreamLocal: "10.96.0.9:9080", DownstreamRemote: "127.1.0.21:40000", RouteName: "default",
		}},
		"bad request": {badRequest, map[Field]string{
			StartTime: "2026-11-01T10:00:00.000Z", Protocol: "HTTP/1.1", ResponseCode: "400", ResponseFlags: "DPE",
			ResponseCodeDetails: "http1.codec_error", BytesReceived: "0", BytesSent: "11", Duration: "0",
			DownstreamLocal: "10.96.0.9:9080", DownstreamRemote: "127.1.0.21:40000",
		}},
		"with Mixer": {mixer, map[Field]string{
			StartTime: "2020-01-05T09:12:25.106Z", Method: "GET", Path: "/status/418", Protocol: "HTTP/1.1", ResponseCode: "418",
			BytesReceived: "0", BytesSent: "135", Duration: "3", UpstreamServiceTime: "1", UserAgent: "curl/7.60.0",
			RequestID: "84fa3d06-37a8-9b88-9cf3-bfe3ab5d8e4c", Authority: "httpbin:8000", UpstreamHost: "127.0.0.1:80",
			UpstreamCluster: "inbound|8000|http|httpbin.default.svc.cluster.local", DownstreamLocal: "172.30.146.73:80",
			DownstreamRemote: "172.30.146.82:38618", ServerName: "outbound_.8000_._.httpbin.default.svc.cluster.local", RouteName: "default",
		}},
		"without details": {withoutDetails, map[Field]string{
			StartTime: "2020-11-25T21:26:18.409Z", Method: "GET", Path: "/status/418", Protocol: "HTTP/1.1", ResponseCode: "418",
			BytesReceived: "0", BytesSent: "135", Duration: "4", UpstreamServiceTime: "4", UserAgent: "curl/7.73.0-DEV",
			RequestID: istio, Authority: "httpbin:8000", UpstreamHost: "10.44.1.27:80",
			UpstreamCluster: "outbound|8000||httpbin.foo.svc.cluster.local", UpstreamLocal: "10.44.1.23:37652",
			DownstreamLocal: "10.0.45.184:8000", DownstreamRemote: "10.44.1.23:46520", RouteName: "default",
		}},
		"without route": {withoutRoute, map[Field]string{
			StartTime: "2019-09-02T15:52:06.727Z", Method: "GET", Path: "/", Protocol: "HTTP/2", ResponseCode: "200",
			BytesReceived: "0", BytesSent: "135", Duration: "4", UpstreamServiceTime: "4", RequestID: "84961386",
			Authority: "httpbin:8000", UpstreamHost: "10.44.1.27:80",
			UpstreamCluster: "outbound|8000||httpbin.foo.svc.cluster.local", UpstreamLocal: "10.44.1.23:37652",
			DownstreamLocal: "10.0.45.184:8000", DownstreamRemote: "10.44.1.23:46520", ServerName: "httpbin.foo",
		}},
		"Envoy's default": {plainEnvoy, map[Field]string{
			StartTime: "2026-11-01T10:00:00.000Z", Method: "POST", Path: "/api", Protocol: "HTTP/2", ResponseCode: "204",
			BytesReceived: "154", BytesSent: "0", Duration: "226", UpstreamServiceTime: "100", ForwardedFor: "10.0.35.28",
			UserAgent: "nsq2http", RequestID: "cc21d9b0", Authority: "locations", UpstreamHost: "tcp://10.0.2.1:80",
		}},
		"empty values left out": {omitted, map[Field]string{
			StartTime: "2026-11-01T10:00:00.000Z", ResponseCode: "0", BytesReceived: "12184", BytesSent: "17251", Duration: "59279",
			UpstreamHost: "172.16.0.60:9080", UpstreamCluster: "outbound_.9080_._.reviews.global",
			UpstreamLocal: "172.16.1.139:40738", DownstreamLocal: "172.16.1.139:15443", DownstreamRemote: "172.16.0.74:64843",
			ServerName: "outbound_.9080_._.reviews.global",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var e Entry
			format, err := Parse(tt.line+"\n", &e)
			require.NoError(t, err)
			assert.Equal(t, Text, format)
			assert.Equal(t, tt.want, facts(&e.Envoy))
			assert.False(t, e.Ambiguous)
			assert.True(t, e.Envoy.IsAccessLog())
		})
	}
}

// Somebody who reads log files may trim the lines.
func TestTrimmedLineWithEmptyEnd(t *testing.T) {
	line := strings.TrimRight(strings.ReplaceAll(omitted, "outbound_.9080_._.reviews.global ", "outbound_.9080_._.reviews.global "), " ")
	line = strings.TrimSuffix(line, " outbound_.9080_._.reviews.global")
	var e Entry
	require.NoError(t, ParseText(line, &e))
	assert.Equal(t, "172.16.0.74:64843", e.Envoy.Get(DownstreamRemote))
	assert.Empty(t, e.Envoy.Get(ServerName))
}

// What a caller writes into the texts of its own changes nothing but those.
func TestHostileTextsShiftNothing(t *testing.T) {
	var clean Entry
	require.NoError(t, ParseText(inbound, &clean))
	whole := inbound[strings.Index(inbound, `"GET`):strings.Index(inbound, " 127.0.0.6")]
	hostile := []string{
		`"`, `" "`, `a" b`, `" "x`, `x" `, `\"`, `-" "-" "-" "-" "9.9.9.9:9" c 9.9.9.9:1 9.9.9.9:2 9.9.9.9:3 s r`,
		`x" "id" "evil" "9.9.9.9:9" outbound|1||evil.ns.svc 9.9.9.9:1 9.9.9.9:2 9.9.9.9:3 sni route "`,
		`" 500 UH x - "-" 1 1 1 1 "-" "-" "-" "evil" "9.9.9.9:9" outbound|1||evil 9.9.9.9:1 9.9.9.9:2 9.9.9.9:3 - -`,
		`x HTTP/1.1" 500 UH x - "-" 1 1 1 1 "evil" "evil`, `x HTTP/1.1" 500 UH 1 1 1 1 "-" "-" "-" "evil" "` + whole,
		`- -" 0 - - - "-" 7 7 7 7 "`, ` HTTP/1.1" 500 UH "-" 1 1 1 1 "`, whole, strings.Repeat(`x HTTP/1.1" 500 - "`, 50),
		`x" `, ` "x`, ` " "`,
	}
	safe := map[string][]Field{
		"curl/8.0":                             {UserAgent},
		"/reviews/1":                           {Path},
		"e4e8c177-3962-9359-945e-61e7175cd867": {RequestID},
	}
	for part, own := range safe {
		for _, text := range hostile {
			line := strings.Replace(inbound, part, text, 1)
			var e Entry
			if err := ParseText(line, &e); errors.Is(err, ErrTails) {
				_, ok := ParseTail(line)
				require.False(t, ok, line)
				require.Contains(t, text, "9.9.9.9:9", "that holds no other end")
				continue
			}
			e.Reset()
			require.NoError(t, ParseText(line, &e), line)
			for f, got := range facts(&e.Envoy) {
				if f != own[0] {
					assert.Equal(t, clean.Envoy.Get(f), got, "%s in %s", f, line)
				}
			}
			for _, f := range []Field{Method, Authority, UpstreamHost, UpstreamCluster, UpstreamLocal, DownstreamLocal, DownstreamRemote, ServerName, RouteName} {
				assert.Equal(t, clean.Envoy.Get(f), e.Envoy.Get(f), "%s in %s", f, line)
			}
			if !e.Ambiguous {
				assert.Equal(t, text, e.Envoy.Get(own[0]), line)
				assert.Len(t, facts(&e.Envoy), len(facts(&clean.Envoy)), line)
			}
		}
	}
}

// A single quote is no reason to leave anything out.
func TestQuoteInTheUserAgent(t *testing.T) {
	var e Entry
	require.NoError(t, ParseText(strings.Replace(inbound, "curl/8.0", `my "great" agent "x`, 1), &e))
	assert.False(t, e.Ambiguous)
	assert.Equal(t, `my "great" agent "x`, e.Envoy.Get(UserAgent))
}

func TestParseTail(t *testing.T) {
	l, ok := ParseTail(eastWest + "\n")
	require.True(t, ok)
	assert.Equal(t, Tail{
		UpstreamHost: "172.16.0.60:9080", UpstreamCluster: "outbound_.9080_._.reviews.global", UpstreamLocal: "172.16.1.139:40738",
		DownstreamLocal: "172.16.1.139:15443", DownstreamRemote: "172.16.0.74:64843", ServerName: "outbound_.9080_._.reviews.global",
		Route: "-",
	}, l)
	l, ok = ParseTail(inbound)
	require.True(t, ok)
	assert.Equal(t, "inbound|9080||", l.UpstreamCluster)
	assert.Equal(t, "127.1.0.21:55000", l.DownstreamRemote)
}

// Where two ends can be read, one is forged: in the user agent, or in the server name of a proxy that does not clean it.
func TestTwoTailsTellNothing(t *testing.T) {
	const forged = `"9.9.9.9:9" outbound|1||evil.ns.svc 9.9.9.9:1 9.9.9.9:2 9.9.9.9:3`
	for _, line := range []string{
		strings.Replace(inbound, "curl/8.0", `x" "id" "a" `+forged+` sni route "`, 1),
		strings.Replace(inbound, "curl/8.0", `x" `+forged, 1),
		strings.Replace(inbound, "outbound_.9080_._.reviews.bookinfo.svc.cluster.local", `x" `+forged+` sni`, 1),
		strings.Replace(inbound, "outbound_.9080_._.reviews.bookinfo.svc.cluster.local", `x" "-" c - - - -`, 1),
	} {
		_, ok := ParseTail(line)
		assert.False(t, ok, line)
		var e Entry
		format, err := Parse(line, &e)
		assert.Equal(t, Text, format)
		assert.ErrorIs(t, err, ErrTails, line)
		assert.Equal(t, Entry{}, e)
	}
}

func TestRefused(t *testing.T) {
	for _, line := range []string{
		"", "[", "plain text", `{"upstream_host":"1.2.3.4:80"}`, "[x] a b c d e f", `[x] "h" a b c d e f`,
		strings.TrimPrefix(inbound, "["), inbound + " ", strings.Replace(inbound, `"127.1.0.31:9080"`, `127.1.0.31:9080`, 1),
		strings.Replace(inbound, "127.1.0.21:55000", "here", 1), strings.Replace(inbound, `"127.1.0.31:9080"`, `"a b:1"`, 1),
	} {
		_, ok := ParseTail(line)
		assert.False(t, ok, line)
		var e Entry
		assert.ErrorIs(t, ParseText(line, &e), ErrText, line)
		assert.Equal(t, Entry{}, e, line)
	}
	for _, line := range []string{
		strings.Replace(inbound, "200", "OK", 1), strings.Replace(inbound, "0 358", "x 358", 1), strings.Replace(inbound, "HTTP/1.1", "SPDY", 1),
		strings.Replace(inbound, `"GET `, `"`, 1), strings.Replace(inbound, `"reviews:9080" `, "", 1), strings.Replace(inbound, "200 -", "200 {", 1),
		strings.Replace(inbound, "reviews:9080", `a b`, 1), "[2026-11-01T10:00:00.000Z] \"\x00", `[2026-11-01T10:00:00.000Z] ""`,
	} {
		var e Entry
		_, err := Parse(line, &e)
		assert.ErrorIs(t, err, ErrText, line)
	}
}

// A line of quotes must not cost more than a little.
func TestQuotesHaveACeiling(t *testing.T) {
	for _, part := range []string{`HTTP/1.1" 200 - "`, `a HTTP/1.1" 200 - "" `, `" `, `" "`, `x HTTP/2" 0 - 1 1 1 1 "`} {
		line := strings.Replace(inbound, "/reviews/1", strings.Repeat(part, (MaxLength-len(inbound))/len(part)), 1)
		began := time.Now()
		var e Entry
		_, _ = Parse(line, &e)
		assert.Less(t, time.Since(began), time.Second, "%q", part)
	}
	var e Entry
	_, err := Parse(strings.Replace(inbound, "/reviews/1", strings.Repeat(`x HTTP/1.1" x`, maxEnds+1), 1), &e)
	assert.ErrorIs(t, err, ErrText)
}

func TestTextDoesNotAllocate(t *testing.T) {
	var e Entry
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = ParseTail(inbound) }))
	assert.Zero(t, testing.AllocsPerRun(100, func() { e.Reset(); _, _ = Parse(inbound, &e) }))
	assert.Zero(t, testing.AllocsPerRun(100, func() { e.Reset(); _, _ = Parse(istioJSON, &e) }))
	assert.Zero(t, testing.AllocsPerRun(100, func() { e.Reset(); _, _ = Parse(ztunnelTabs, &e) }))
}
