// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/window"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

const question1 = "/api/v1/analysis?namespace=shop&service=reviews"

// spread are values from 1 ms on, one for each millisecond.
func spread(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(i + 1)
	}
	return out
}

func TestAnalysis(t *testing.T) {
	s := store(t, edge("v1", "west", 890, 10, 0, spread(900)...), edge("v2", "west", 95, 5, 0, spread(100)...), edge("", "", 0, 0, 20))
	h := Analysis(Sources{Window: s, Now: func() time.Time { return noon.Add(30 * time.Second) }})
	for _, c := range []struct {
		query  string
		state  string
		value  any
		margin float64
	}{
		{"&version=v2", "ok", 0.95, 0},
		{"&version=v2&metric=error_rate", "ok", 0.05, 0},
		{"&version=v1&window=1h", "ok", 890.0 / 900, 0},
		{"", "ok", 985.0 / 1020, 0},
		{"&metric=error_rate", "ok", 35.0 / 1020, 0},
		{"&version=v2&min_requests=101", "too_few_requests", nil, 0},
		{"&version=v2&min_requests=100", "ok", 0.95, 0},
		{"&version=v3", "no_data", nil, 0},
		{"&version=v2&cluster=east", "no_data", nil, 0},
		{"&version=v2&cluster=west&caller_cluster=west&caller_region=westeurope&workload=reviews-v2", "ok", 0.95, 0},
		{"&version=v2&metric=latency", "ok", 99.0, 0.03},
		{"&version=v2&metric=latency&percentile=50", "ok", 50.0, 0.03},
		{"&version=v2&metric=latency&percentile=99.5", "too_few_requests", nil, 0},
		{"&version=v1&metric=latency&percentile=99.5", "ok", 895.5, 0.03},
		{"&version=v1&metric=latency&reporter=source", "no_data", nil, 0},
		{"&version=v1&metric=latency&reporter=destination", "ok", 891.0, 0.03},
	} {
		w := ask(h, question1+c.query)
		require.Equal(t, http.StatusOK, w.Code, c.query)
		a := object(t, w)
		assert.Equal(t, c.state, a["state"], c.query)
		assert.Equal(t, c.state == "ok", a["enough"], c.query)
		assert.Contains(t, a, "value")
		assert.NotEmpty(t, a["detail"])
		if c.value == nil {
			for _, key := range []string{"value", "success_rate", "error_rate", "share"} {
				assert.Nil(t, a[key], "never a guess: %s of %s", key, c.query)
			}
			continue
		}
		assert.InEpsilon(t, c.value, a["value"], c.margin+1e-9, c.query)
	}
	a := object(t, ask(h, question1+"&version=v2"))
	assert.Equal(t, map[string]any{"requests": 20.0, "errors": 20.0, "never_reached": 20.0}, a["unattributed"], "who was not reached may have been v2")
	assert.InEpsilon(t, 100.0/1020, a["share"], 1e-9)
	assert.EqualValues(t, 100, a["requests"])
	assert.EqualValues(t, 4, a["covered_seconds"])
	assert.Equal(t, "2026-11-23T12:00:00Z", a["to"])
	assert.Equal(t, "destination", a["latency_ms"].(map[string]any)["reporter"])
}

// Without a reporter, who measured more counts; the callee's proxy if both did the same.
func TestWhoMeasured(t *testing.T) {
	for _, c := range []struct {
		callee, caller int
		want           string
	}{{100, 100, "destination"}, {100, 101, "source"}, {101, 100, "destination"}, {0, 100, "source"}, {100, 0, "destination"}} {
		e := edge("v1", "west", 200, 0, 0, spread(c.callee)...)
		e.Latency[graph.Source] = edge("v1", "west", 0, 0, 0, spread(c.caller)...).Latency[graph.Destination]
		a := object(t, ask(Analysis(Sources{Window: store(t, e), Now: func() time.Time { return noon }}), question1+"&metric=latency"))
		assert.Equal(t, c.want, a["latency_ms"].(map[string]any)["reporter"], c)
		assert.Equal(t, true, a["enough"])
	}
}

func TestAnalysisOfWhatIsNotKnown(t *testing.T) {
	state := func(s *window.Store, now time.Time) any {
		a := object(t, ask(Analysis(Sources{Window: s, Now: func() time.Time { return now }}), question1+"&min_requests=1"))
		assert.Equal(t, a["state"] == "ok", a["enough"])
		assert.Equal(t, a["state"] == "ok", a["value"] != nil)
		return a["state"]
	}
	assert.Equal(t, "no_data", state(store(t), noon), "before the first interval")
	s := store(t, edge("v1", "west", 10, 0, 0))
	assert.Equal(t, "ok", state(s, noon.Add(time.Minute)))
	assert.Equal(t, "stale", state(s, noon.Add(time.Minute+1)), "the hub stands still")
	lost := edge("", "", 1, 0, 0)
	lost.Overflow = true
	assert.Equal(t, "incomplete", state(store(t, edge("v1", "west", 10, 0, 0), lost), noon))
	var many []graph.Edge
	for v := range strings.SplitSeq("abcdefghijk", "") {
		many = append(many, edge(v, "west", 10, 0, 0))
	}
	assert.Equal(t, "incomplete", state(store(t, many...), noon), "eleven series, and room for ten")
	assert.Equal(t, "no_data", state(store(t, edge("v1", "west", 0, 0, 0)), noon))
}

func TestWrongParameters(t *testing.T) {
	h := Analysis(Sources{Window: store(t)})
	for query, want := range map[string]string{
		"":                                                       "namespace is missing: write namespace=shop",
		"namespace=a":                                            "service is missing: write service=checkout",
		"namespace=a&service=b&versio=c":                         `"versio" is no parameter: write one of namespace, service, version`,
		"namespace=a&service=b&service=c":                        "service is there 2 times: write it once",
		"namespace=a&service=b&version=":                         "version is empty: write a value, or leave it out",
		"namespace=a&service=b&window=90s":                       `window is "90s": write whole minutes from 1m to 1h`,
		"namespace=a&service=b&window=2h":                        `window is "2h"`,
		"namespace=a&service=b&window=0":                         `window is "0"`,
		"namespace=a&service=b&window=5":                         `window is "5"`,
		"namespace=a&service=b&metric=rate":                      `metric is "rate": write one of success_rate, error_rate, latency`,
		"namespace=a&service=b&metric=latency&percentile=100":    `percentile is "100": write a number from 1 to 99.9`,
		"namespace=a&service=b&metric=latency&percentile=NaN":    `percentile is "NaN"`,
		"namespace=a&service=b&percentile=99":                    "percentile is only for latency",
		"namespace=a&service=b&reporter=source":                  "reporter is only for latency",
		"namespace=a&service=b&metric=latency&reporter=waypoint": `reporter is "waypoint": write one of destination, source`,
		"namespace=a&service=b&min_requests=0":                   `min_requests is "0": write a whole number from 1 to`,
		"namespace=a&service=b&min_requests=-1":                  `min_requests is "-1"`,
		"namespace=a&service=b&min_requests=1e3":                 `min_requests is "1e3"`,
		"namespace=a&service=%zz":                                "the query cannot be read",
		"namespace=a;service=b":                                  "the query cannot be read",
		"namespace=a&service=" + strings.Repeat("x", 254):        "write at most 253 bytes",
		"namespace=a&service=b%00":                               `service is "b\x00"`,
		"namespace=a&service=%ff":                                "plain text",
	} {
		w := ask(h, "/", func(r *http.Request) { r.URL.Path, r.URL.RawQuery = "/api/v1/analysis", query })
		assert.Equal(t, http.StatusBadRequest, w.Code, query)
		assert.Contains(t, object(t, w)["error"], want, query)
	}
	for query, want := range map[string]string{
		"namespace=a": "service is missing", "namespace=a&service=b&version=c": "write one of namespace, service, window", "namespace=a&service=b&window=61m": "window is",
	} {
		w := ask(h, "/api/v1/versions?"+query)
		assert.Equal(t, http.StatusBadRequest, w.Code, query)
		assert.Contains(t, object(t, w)["error"], want, query)
	}
}

func TestVersions(t *testing.T) {
	s := store(t, edge("v1", "west", 890, 10, 0, spread(900)...), edge("v2", "east", 95, 5, 0), edge("", "", 0, 0, 20))
	h := Analysis(Sources{Window: s, Now: func() time.Time { return noon }})
	v := object(t, ask(h, "/api/v1/versions?namespace=shop&service=reviews&window=1h"))
	assert.Equal(t, "ok", v["state"])
	assert.EqualValues(t, 1020, v["requests"])
	rows := v["versions"].([]any)
	require.Len(t, rows, 3)
	nobody, v1, v2 := rows[0].(map[string]any), rows[1].(map[string]any), rows[2].(map[string]any)
	assert.NotContains(t, nobody, "version")
	assert.EqualValues(t, 20, nobody["never_reached"])
	assert.Equal(t, "west", v1["cluster"])
	assert.InEpsilon(t, 900.0/1020, v1["share"], 1e-9)
	assert.InEpsilon(t, 10.0/900, v1["error_rate"], 1e-9)
	assert.InEpsilon(t, 891.0, v1["latency_ms"].(map[string]any)["p99"], 0.03)
	assert.NotContains(t, v2, "latency_ms")
	assert.Len(t, v["callers"], 3)
	p := v["pattern"].(map[string]any)
	assert.Equal(t, "undetermined", p["kind"])
	assert.Equal(t, true, p["across_clusters"])
	assert.NotEmpty(t, p["because"])
	v = object(t, ask(h, "/api/v1/versions?namespace=shop&service=nothing"))
	assert.Equal(t, "no_data", v["state"])
	assert.Equal(t, []any{}, v["versions"])
}

// A TCP service has no requests: its shares are of connections, and it has no error rate.
func TestVersionsOfConnections(t *testing.T) {
	a, b := edge("v1", "west", 0, 0, 0), edge("v2", "west", 0, 0, 0)
	a.Interval.Opened, b.Interval.Opened = 30, 10
	h := Analysis(Sources{Window: store(t, a, b), Now: func() time.Time { return noon }})
	v := object(t, ask(h, "/api/v1/versions?namespace=shop&service=reviews"))
	assert.Equal(t, "ok", v["state"])
	row := v["versions"].([]any)[0].(map[string]any)
	assert.InEpsilon(t, 0.75, row["share"], 1e-9)
	assert.Nil(t, row["error_rate"])
	assert.InEpsilon(t, 0.75, v["callers"].([]any)[0].(map[string]any)["share"], 1e-9)
	answer := object(t, ask(h, question1))
	assert.Equal(t, "no_data", answer["state"], "no request, no rate")
}

func FuzzParameters(f *testing.F) {
	f.Add("namespace=shop&service=reviews&version=v2&window=5m&metric=latency&percentile=99.9&reporter=source&min_requests=10")
	f.Add("namespace=%00&service=;&window=9999999h")
	h := Analysis(Sources{Window: store(f, edge("v1", "west", 10, 1, 0, spread(10)...)), Now: func() time.Time { return noon }})
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuestion(raw)
		for _, path := range []string{"/api/v1/analysis", "/api/v1/versions"} {
			w := ask(h, "/", func(r *http.Request) { r.URL = &url.URL{Path: path, RawQuery: raw} })
			a := object(t, w)
			switch w.Code {
			case http.StatusOK:
				if path == "/api/v1/analysis" && (a["enough"] == true) != (a["value"] != nil) {
					t.Fatalf("enough without a value, or the other way around: %v", a)
				}
			case http.StatusBadRequest, http.StatusRequestURITooLong:
				if a["error"] == "" {
					t.Fatal("no error")
				}
			default:
				t.Fatal(w.Code)
			}
		}
		if err != nil {
			return
		}
		if q.Namespace == "" || q.Service == "" || q.Window < time.Minute || q.Window > time.Hour || q.Window%time.Minute != 0 ||
			q.minRequests == 0 || !(q.percentile >= 1 && q.percentile <= maxPercentile) {
			t.Fatalf("%+v", q)
		}
	})
}
