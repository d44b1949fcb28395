// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/window"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

// AnalysisVersion is the version of the schema of /api/v1/analysis.
const AnalysisVersion = 1

// tooOld is the age from which what was published last says nothing of now.
const tooOld = time.Minute

// The states of an analysis.
const (
	stateOK         = "ok"
	stateNoData     = "no_data"
	stateTooFew     = "too_few_requests"
	stateStale      = "stale"
	stateIncomplete = "incomplete"
)

// analysis is what Argo Rollouts reads. Its web provider takes any status but 2xx for an error, and cannot compare null: a
// condition asks for enough first, and then for value.
type analysis struct {
	SchemaVersion int `json:"schema_version"`
	// Enough says whether there is a value. State says why not, Detail in a sentence.
	Enough bool   `json:"enough"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	// Value is the metric's: a part from 0 to 1, or milliseconds; null if there is not enough.
	Metric      string   `json:"metric"`
	Percentile  *float64 `json:"percentile,omitempty"`
	Value       *float64 `json:"value"`
	Unit        string   `json:"unit"`
	MinRequests uint64   `json:"min_requests"`
	counts
	// SuccessRate, ErrorRate and Share are null without enough requests. Share is of all requests that the same callers
	// sent to the service.
	SuccessRate *float64 `json:"success_rate"`
	ErrorRate   *float64 `json:"error_rate"`
	Share       *float64 `json:"share"`
	Latency     *times   `json:"latency_ms"`
	// Unattributed may belong to what was asked for: nothing told the version, or the like.
	Unattributed counts `json:"unattributed"`
	span
}

type counts struct {
	Requests     uint64 `json:"requests"`
	Errors       uint64 `json:"errors"`
	NeverReached uint64 `json:"never_reached"`
	Opened       uint64 `json:"connections_opened,omitempty"`
	Failed       uint64 `json:"connections_failed,omitempty"`
}

type span struct {
	From    *time.Time `json:"from"`
	To      *time.Time `json:"to"`
	Covered float64    `json:"covered_seconds"`
}

// times is a latency. A percentile of fewer requests than it takes to have one above it is null.
type times struct {
	Reporter string   `json:"reporter"`
	Count    uint64   `json:"count"`
	P50      *float64 `json:"p50"`
	P90      *float64 `json:"p90"`
	P95      *float64 `json:"p95"`
	P99      *float64 `json:"p99"`
}

func countsOf(c *window.Counts) counts {
	return counts{c.Requests, c.Errors, c.NeverReached, c.ConnectionsOpened, c.ConnectionsFailed}
}

func spanOf(s *window.Span) span {
	if s.To.IsZero() {
		return span{}
	}
	return span{&s.From, &s.To, s.Covered.Seconds()}
}

// fewest is how many values a percentile takes: enough for one to be above it.
func fewest(percentile float64) uint64 { return uint64(math.Ceil(100/(100-percentile) - 1e-9)) }

// quantile is a percentile, nil if there are too few values for it.
func quantile(h *exphist.Histogram, percentile float64) *float64 {
	if h == nil || h.Count < fewest(percentile) {
		return nil
	}
	v := h.Quantile(percentile / 100)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// measured is the latency of the side that is asked for; else of the one that measured more requests, the callee's if both
// did the same.
func measured(t *window.Totals, reporter string) (*times, *exphist.Histogram) {
	side := window.Callee
	callee, caller := t.Latency[window.Callee], t.Latency[window.Caller]
	if reporter == window.Caller.String() || reporter == "" && caller != nil && (callee == nil || caller.Count > callee.Count) {
		side = window.Caller
	}
	h := t.Latency[side]
	if h == nil {
		return nil, nil
	}
	return &times{
		Reporter: side.String(), Count: h.Count,
		P50: quantile(h, 50), P90: quantile(h, 90), P95: quantile(h, 95), P99: quantile(h, 99),
	}, h
}

func ratio(part, of uint64) *float64 {
	if of == 0 {
		return nil
	}
	v := float64(part) / float64(of)
	return &v
}

func (h *handler) analysis(r *http.Request) (any, error) {
	if h.Window == nil {
		return nil, &problem{http.StatusNotFound, "analysis is not on in this hub's configuration"}
	}
	q, err := parseQuestion(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	var a window.Answer
	if err := h.look(r, func() { a = h.Window.Query(&q.Query) }); err != nil {
		return nil, err
	}
	out := judge(q, &a, h.Now())
	if out.State == stateNoData {
		other, missing := h.Peers.ask(r)
		if other != nil {
			return other, nil
		}
		out.Detail += missing
	}
	return out, nil
}

// judge makes the answer of what is known.
func judge(q *question, a *window.Answer, now time.Time) *analysis {
	m := &a.Matched
	out := &analysis{
		SchemaVersion: AnalysisVersion, Metric: q.metric, Unit: "1", MinRequests: q.minRequests,
		counts: countsOf(&m.Counts), Unattributed: countsOf(&a.Unattributed), span: spanOf(&a.Span),
	}
	var h *exphist.Histogram
	out.Latency, h = measured(m, q.reporter)
	have, need, what := m.Requests, q.minRequests, "requests"
	if q.metric == latency {
		out.Unit, out.Percentile = "ms", &q.percentile
		need, what, have = max(need, fewest(q.percentile)), "measured requests", 0
		if h != nil {
			have = h.Count
		}
	}
	out.State, out.Detail = state(a, now, have, need, what)
	if out.Enough = out.State == stateOK; !out.Enough {
		return out
	}
	if m.Requests > 0 {
		out.ErrorRate, out.SuccessRate = ratio(m.Errors, m.Requests), ratio(m.Requests-min(m.Errors, m.Requests), m.Requests)
		out.Share = ratio(m.Requests, max(a.Service.Requests, m.Requests))
	}
	switch q.metric {
	case successRate:
		out.Value = out.SuccessRate
	case errorRate:
		out.Value = out.ErrorRate
	case latency:
		out.Value = quantile(h, q.percentile)
	}
	return out
}

// state says whether there is enough to give a value, and why not.
func state(a *window.Answer, now time.Time, have, need uint64, what string) (state, detail string) {
	switch {
	case a.To.IsZero():
		return stateNoData, "this hub has not closed an interval yet"
	case now.Sub(a.To) > tooOld:
		return stateStale, fmt.Sprintf("the last interval ended %s ago: this hub stands still", now.Sub(a.To).Round(time.Second))
	case a.NamelessRequests > 0:
		return stateIncomplete, fmt.Sprintf("%d calls are on edges beyond max_edges, which have no service: raise max_edges", a.NamelessRequests)
	case a.MissedRequests > 0:
		return stateIncomplete, fmt.Sprintf("up to %d calls had no room in the hour: raise max_series", a.MissedRequests)
	case have == 0:
		return stateNoData, fmt.Sprintf("there are no %s that fit: see whether the names are as in /api/v1/versions, and whether this hub has the service", what)
	case have < need:
		return stateTooFew, fmt.Sprintf("there are %d %s, and %d are needed", have, what, need)
	}
	return stateOK, fmt.Sprintf("from %d %s", have, what)
}
