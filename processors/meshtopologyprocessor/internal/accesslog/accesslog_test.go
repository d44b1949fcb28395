// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	eastWest = `[2022-11-03T18:22:51.440Z] "- - -" 0 - - - "-" 12184 17251 59279 - "-" "-" "-" "-" "172.16.0.60:9080" ` +
		`outbound_.9080_._.reviews.global 172.16.1.139:40738 172.16.1.139:15443 172.16.0.74:64843 outbound_.9080_._.reviews.global -`
	inbound = `[2026-11-01T10:00:00.000Z] "GET /reviews/1 HTTP/1.1" 200 - via_upstream - "-" 0 358 12 11 "-" "curl/8.0" ` +
		`"e4e8c177-3962-9359-945e-61e7175cd867" "reviews:9080" "127.1.0.31:9080" inbound|9080|| 127.0.0.6:43211 127.1.0.31:9080 ` +
		`127.1.0.21:55000 outbound_.9080_._.reviews.bookinfo.svc.cluster.local default`
)

func TestParse(t *testing.T) {
	l, ok := Parse(eastWest + "\n")
	require.True(t, ok)
	assert.Equal(t, Line{
		UpstreamHost: "172.16.0.60:9080", UpstreamCluster: "outbound_.9080_._.reviews.global", UpstreamLocal: "172.16.1.139:40738",
		DownstreamLocal: "172.16.1.139:15443", DownstreamRemote: "172.16.0.74:64843", ServerName: "outbound_.9080_._.reviews.global",
	}, l)
	l, ok = Parse(inbound)
	require.True(t, ok)
	assert.Equal(t, "inbound|9080||", l.UpstreamCluster)
	assert.Equal(t, "127.1.0.21:55000", l.DownstreamRemote)
}

func TestParseIsNotFooledByTheCaller(t *testing.T) {
	forged := `x" "id" "a" "9.9.9.9:9" outbound|1||evil.ns.svc 9.9.9.9:1 9.9.9.9:2 9.9.9.9:3 sni route "`
	l, ok := Parse(strings.Replace(inbound, "curl/8.0", forged, 1))
	require.True(t, ok)
	assert.Equal(t, "127.1.0.31:9080", l.UpstreamHost)
	assert.Equal(t, "inbound|9080||", l.UpstreamCluster)
}

func TestParseRefuses(t *testing.T) {
	for _, line := range []string{
		"", "[", "plain text", `{"upstream_host":"1.2.3.4:80"}`, "[x] a b c d e f", `[x] "h" a b c d e f`,
		strings.TrimPrefix(inbound, "["), inbound + " ", strings.Replace(inbound, `"127.1.0.31:9080"`, `127.1.0.31:9080`, 1),
	} {
		_, ok := Parse(line)
		assert.False(t, ok, line)
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = Parse(inbound) }))
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{eastWest, inbound, "", `[ "" "" a b c d e f`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		l, ok := Parse(line)
		if !ok {
			return
		}
		for _, field := range []string{l.UpstreamHost, l.UpstreamCluster, l.UpstreamLocal, l.DownstreamLocal, l.DownstreamRemote, l.ServerName} {
			if field == "" || strings.ContainsAny(field, ` "`) {
				t.Fatalf("field %q of %q", field, line)
			}
		}
	})
}
