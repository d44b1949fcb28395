// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/stack"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

func nameOf(p mesh.PodTruth) string { return p.End.Workload + "@" + p.End.Cluster }

// ledger is what the applications answered, by edge.
func ledger(t *testing.T, s *stack.Stack) map[way]amount {
	t.Helper()
	calls, dropped := s.Mesh().Ledger().Calls()
	require.Zero(t, dropped)
	out := map[way]amount{}
	for i := range calls {
		callee, ok := mesh.TruthOf(calls[i].Callee)
		require.True(t, ok)
		caller, ok := mesh.TruthOf(calls[i].Caller)
		if !ok {
			// The probe of readiness comes through the ingress gateway, and nobody failed over yet.
			caller = podOf(t, callee.End.Cluster, "istio-ingressgateway")
		}
		w := way{nameOf(caller), nameOf(callee)}
		a := out[w]
		a.requests++
		if calls[i].Status >= http.StatusInternalServerError {
			a.errors++
		}
		out[w] = a
	}
	return out
}

// podOf is the only pod of a workload.
func podOf(t *testing.T, cluster, workload string) mesh.PodTruth {
	t.Helper()
	for _, p := range mesh.Truth() {
		if p.End.Cluster == cluster && p.End.Workload == workload {
			return p
		}
	}
	require.Failf(t, "no pod", "%s in %s", workload, cluster)
	return mesh.PodTruth{}
}

// podsOf are the pods of a service.
func podsOf(cluster, service string) (pods []mesh.PodTruth) {
	for _, p := range mesh.Truth() {
		if p.End.Cluster == cluster && p.End.Service == service {
			pods = append(pods, p)
		}
	}
	return pods
}

// hub reads the graph that a hub serves.
type hub struct {
	client http.Client
	url    string
}

func newHub(t *testing.T, s *stack.Stack) *hub {
	h := &hub{url: "http://" + s.Host("hub") + ":13135/api/v1/graph"}
	h.client = http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true}}
	t.Cleanup(h.client.CloseIdleConnections)
	return h
}

func (h *hub) document(t *testing.T) (*graph.Document, error) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url, http.NoBody)
	require.NoError(t, err)
	response, err := h.client.Do(request)
	if err != nil {
		return nil, err // It may be about to start.
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", h.url, response.Status)
	}
	var d graph.Document
	return &d, json.NewDecoder(response.Body).Decode(&d)
}

// told is what the graph says of HTTP, by edge.
func told(d *graph.Document) map[way]amount {
	out := map[way]amount{}
	for i := range d.Edges {
		e := &d.Edges[i]
		if e.Protocol != graph.HTTP.String() {
			continue
		}
		w := way{e.Caller.Workload + "@" + e.Caller.Cluster, e.Callee.Workload + "@" + e.Callee.Cluster}
		if e.Callee.Workload == "" {
			w.callee = "?" + e.Callee.Service
		}
		a := out[w]
		a.add(amount{
			requests: e.Total.Requests - e.Total.NeverReached, errors: e.Total.Errors - e.Total.NeverReached, never: e.Total.NeverReached,
			requestBytes: float64(e.Total.RequestBytes), responseBytes: float64(e.Total.ResponseBytes),
		})
		out[w] = a
	}
	return out
}

// difference says where the graph and the ledger do not agree on counts, nothing if nowhere.
func difference(got, want map[way]amount) string {
	var wrong []string
	for w, a := range want {
		if g := got[w]; g.requests != a.requests || g.errors != a.errors {
			wrong = append(wrong, fmt.Sprintf("%s: the graph has %d requests and %d errors, the ledger %d and %d", w, g.requests, g.errors, a.requests, a.errors))
		}
	}
	for w, g := range got {
		if _, ok := want[w]; !ok && g.requests != 0 {
			wrong = append(wrong, fmt.Sprintf("%s: the graph has %d requests, and nobody made them", w, g.requests))
		}
	}
	slices.Sort(wrong)
	return strings.Join(wrong, "\n")
}
