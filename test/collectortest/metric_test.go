// SPDX-License-Identifier: Apache-2.0

package collectortest

import (
	"math"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseSample(t *testing.T) {
	for line, want := range map[string]Sample{
		`up 1`:                                  {Name: "up", Value: 1},
		`up{} 1`:                                {Name: "up", Labels: "{}", Value: 1},
		`sent_total{reason="expired"} 1.5e+06`:  {Name: "sent_total", Labels: `{reason="expired"}`, Value: 1.5e6},
		`sent{reason="a b",x="{c} d} 7"} 12`:    {Name: "sent", Labels: `{reason="a b",x="{c} d} 7"}`, Value: 12},
		`age_bucket{le="+Inf"} +Inf`:            {Name: "age_bucket", Labels: `{le="+Inf"}`, Value: math.Inf(1)},
		`sent{path="C:\\a \"b\"",next="x,y"} 0`: {Name: "sent", Labels: `{path="C:\\a \"b\"",next="x,y"}`},
	} {
		got, err := ParseSample(line)
		require.NoError(t, err, line)
		assert.Equal(t, want, got, line)
	}
	for _, line := range []string{"", "up", "up one", "up{} ", `up{a="b"`, " 1", `up{a="b"} 1 1700000000`} {
		_, err := ParseSample(line)
		assert.Error(t, err, "%q", line)
	}
}

func TestLabel(t *testing.T) {
	for name, want := range map[string]string{"reason": "a=b, c", "other_reason": "d", "path": `C:\a "b"`, "empty": "", "son": "", "b, c": ""} {
		s := Sample{Labels: `{other_reason="d",path="C:\\a \"b\"", reason="a=b, c",empty=""}`}
		assert.Equal(t, want, s.Label(name), name)
	}
	for _, labels := range []string{"", "{}", `{reason`, `{reason="open`} {
		assert.Empty(t, Sample{Labels: labels}.Label("reason"), labels)
	}
}

func TestMetric(t *testing.T) {
	host := "127.15.1.2"
	serve(t, net.JoinHostPort(host, metricsPort), map[string]string{"/metrics": `# HELP sent_total How much "sent" 7
# TYPE sent_total counter
sent_total{reason="a b",code="1"} 1
sent_total{reason="a b",code="2"} 2
sent_total{reason="c} d",code="2"} 4
sent_bytes_bucket{reason="a b",le="5"} 100
sent_bytes_sum{reason="a b"} 8
plain 16
broken{} x
`})
	for _, c := range []struct {
		name   string
		labels []string
		sum    float64
		found  bool
	}{
		{"sent_total", nil, 7, true},
		{"sent_total", []string{`reason="a b"`}, 3, true},
		{"sent_total", []string{`reason="a b"`, `"2"`}, 2, true},
		{"sent_total", []string{"} d"}, 4, true},
		{"sent_total", []string{"sent"}, 0, false}, // the name is no label
		{"sent", []string{"a b"}, 11, true},        // no bucket; the name may lack its end
		{"plain", nil, 16, true},
		{"total", nil, 0, false},
		{"#", nil, 0, false},
	} {
		sum, found, err := Metric(t.Context(), host, c.name, c.labels...)
		require.NoError(t, err, c.name)
		assert.InDelta(t, c.sum, sum, 0, "%s %q", c.name, c.labels)
		assert.Equal(t, c.found, found, "%s %q", c.name, c.labels)
	}
	_, _, err := Metric(t.Context(), host, "broken")
	require.ErrorContains(t, err, "broken{} x")
	_, _, err = Metric(t.Context(), "127.15.1.3", "plain")
	require.Error(t, err, "nobody is there")
	samples, err := Samples(t.Context(), host, "sent_total")
	require.NoError(t, err)
	require.Len(t, samples, 3)
	assert.Equal(t, "c} d", samples[2].Label("reason"))
}
