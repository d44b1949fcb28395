// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/findings"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return now.Add(time.Duration(n) * time.Minute) }

// west is a cluster in which an address went from one pod to another.
func west(t *testing.T) *topology.Snapshot {
	t.Helper()
	clock := minute(-30)
	w := topology.NewWriter(topology.WriterSettings{History: time.Hour, Now: func() time.Time { return clock }})
	pod := func(name string, since int) topology.PodState {
		return topology.PodState{
			PodSpec: topology.PodSpec{Name: name, Addresses: []netip.Addr{netip.MustParseAddr("10.1.0.31")}, Node: "n1"},
			UID:     topology.UID{1, byte(len(name))}, Namespace: "bookinfo", Workload: "reviews-v1", Kind: "deployment",
			Service: "reviews", ServiceAccount: "sa", Since: minute(since), Seen: minute(since),
		}
	}
	w.Apply(&topology.Delta{
		Cluster: "west", At: minute(-30), Full: true,
		Facts: &topology.ClusterFacts{
			UID: "u1", Region: "westeurope", Network: "vnet", MeshID: "mesh1", TrustDomain: "td", Zones: []string{"westeurope-1"},
			Istio:    []topology.IstioRevision{{Revision: "default", Version: "1.27.1"}},
			PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		},
		Nodes:    []topology.NodeSpec{{Name: "n1", Zone: "westeurope-1", Addresses: []netip.Addr{netip.MustParseAddr("10.1.9.1")}}},
		Gateways: []topology.GatewaySpec{{Name: "ew", Namespace: "istio-system", Addresses: []netip.Addr{netip.MustParseAddr("20.0.0.1")}, Port: 15443}},
		Services: []topology.ServiceSpec{{Name: "reviews", Namespace: "bookinfo", Addresses: []netip.Addr{netip.MustParseAddr("10.100.0.3")}}},
		Pods:     []topology.PodState{pod("old", -40)},
	})
	clock = minute(-10)
	w.Apply(&topology.Delta{
		Cluster: "west", At: minute(-10),
		GonePods: []topology.PodEnd{{Namespace: "bookinfo", Name: "old", Earliest: minute(-20), Latest: minute(-19)}},
		Pods:     []topology.PodState{pod("new", -15)},
	})
	w.Apply(&topology.Delta{Cluster: "alone", At: minute(-1), Full: true, Pods: []topology.PodState{pod("other", -5)}})
	w.MarkStale("alone", minute(-1))
	return w.Publish()
}

func handlerOf(t *testing.T) http.Handler {
	t.Helper()
	s := west(t)
	return New(Settings{
		Snapshot: func() *topology.Snapshot { return s },
		Findings: func() []findings.Entry {
			return []findings.Entry{
				{Finding: topology.Finding{Kind: "cluster_stale", Cluster: "alone", Subject: "inventory", Detail: "<b>silent</b>"}, First: minute(-2), Last: now, Count: 2},
				{Finding: topology.Finding{Kind: "address_conflict", Severity: topology.SeverityInfo}, First: now, Last: now, Count: 1, Resolved: now},
			}
		},
		Status: func() Status {
			return Status{Sources: []Source{{Source: "inventory", Ready: true}}, Queue: Queue{1, 2}, Counters: map[string]uint64{"overruled": 3}}
		},
		Source: func(string) string { return "inventory" },
		Now:    func() time.Time { return now },
	})
}

func get(t *testing.T, h http.Handler, path string) (status int, body map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:13134"+path, nil))
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), "%s", w.Body)
	return w.Code, body
}

// at walks down into JSON.
func at(t *testing.T, value any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch key := step.(type) {
		case string:
			m, ok := value.(map[string]any)
			require.True(t, ok, "%v in %v", key, value)
			require.Contains(t, m, key)
			value = m[key]
		case int:
			list, ok := value.([]any)
			require.True(t, ok && key < len(list), "%v in %v", key, value)
			value = list[key]
		}
	}
	return value
}

func TestOverview(t *testing.T) {
	status, body := get(t, handlerOf(t), "/topology")
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, "mesh1", at(t, body, "mesh_id"))
	assert.Equal(t, map[string]any{
		"clusters": 2., "nodes": 1., "workloads": 2., "services": 1., "gateways": 1., "pods": 2., "ended_pods": 1.,
	}, at(t, body, "counts"))
	assert.Equal(t, 600., at(t, body, "age_seconds"))
	assert.Equal(t, []any{"alone"}, at(t, body, "stale_clusters"))
	assert.Equal(t, map[string]any{"cluster_stale": 1.}, at(t, body, "findings"), "what is over does not count")
	assert.Equal(t, "inventory", at(t, body, "sources", 0, "source"))
	assert.Equal(t, map[string]any{"length": 1., "capacity": 2.}, at(t, body, "queue"))
	assert.Equal(t, 3., at(t, body, "counters", "overruled"))
	assert.NotContains(t, body, "disk_copy")
}

func TestClusters(t *testing.T) {
	status, body := get(t, handlerOf(t), "/topology/clusters")
	require.Equal(t, http.StatusOK, status)
	alone, west := at(t, body, "clusters", 0), at(t, body, "clusters", 1)
	assert.Equal(t, true, at(t, alone, "stale"))
	assert.Equal(t, "2026-01-31T11:59:00Z", at(t, alone, "stale_since"))
	assert.Empty(t, at(t, alone, "network"), "a network of its own has no name")
	assert.Equal(t, "west", at(t, west, "name"))
	assert.Equal(t, "inventory", at(t, west, "source"))
	assert.Equal(t, []any{1., 1., 1., 1., 1.}, []any{
		at(t, west, "pods"), at(t, west, "ended_pods"), at(t, west, "nodes"), at(t, west, "services"), at(t, west, "gateways"),
	})
	assert.Equal(t, 600., at(t, west, "age_seconds"))
}

func TestOneCluster(t *testing.T) {
	h := handlerOf(t)
	status, body := get(t, h, "/topology/clusters/west")
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, "west", at(t, body, "name"))
	assert.Equal(t, "1.27.1", at(t, body, "istio", 0, "version"))
	assert.Equal(t, "10.1.0.0/16", at(t, body, "pod_cidrs", 0))
	assert.Equal(t, map[string]any{"name": "n1", "region": "westeurope", "zone": "westeurope-1", "addresses": []any{"10.1.9.1"}}, at(t, body, "node_list", 0))
	assert.Equal(t, "west/istio-system/ew", at(t, body, "gateway_list", 0, "id"))
	assert.Equal(t, []any{}, at(t, body, "failovers"), "empty, not null")
	status, body = get(t, h, "/topology/clusters/nowhere")
	assert.Equal(t, http.StatusNotFound, status)
	assert.Contains(t, body["error"], `no cluster is named "nowhere"; /topology/clusters lists`)
}

func TestAddress(t *testing.T) {
	h := handlerOf(t)
	for _, tt := range []struct{ at, answer, pod string }{
		{"", "found", "new"},
		{"&at=2026-01-31T11:35:00Z", "found", "old"},
		{"&at=2026-01-31T11:42:00Z", "not_found", ""},
		{"&at=2026-01-31T11:46:00Z", "found", "new"},
		{"&at=2026-01-31T10:00:00Z", "not_found", ""},
	} {
		t.Run(tt.at, func(t *testing.T) {
			status, body := get(t, h, "/topology/address?address=10.1.0.31&network=vnet"+tt.at)
			require.Equal(t, http.StatusOK, status)
			assert.Equal(t, tt.answer, at(t, body, "networks", 0, "answer"))
			if tt.pod != "" {
				assert.Equal(t, tt.pod, at(t, body, "networks", 0, "pod", "name"))
			}
			assert.Len(t, at(t, body, "networks", 0, "history"), 2, "the whole history, whatever the time")
		})
	}
	_, body := get(t, h, "/topology/address?address=10.1.0.31&network=vnet")
	old := at(t, body, "networks", 0, "history", 1)
	assert.Equal(t, "old", at(t, old, "name"))
	assert.Equal(t, "01030000-0000-0000-0000-000000000000", at(t, old, "uid"))
	assert.Equal(t, "2026-01-31T11:20:00Z", at(t, old, "since"))
	assert.Equal(t, "2026-01-31T11:40:00Z", at(t, old, "ended_earliest"))
	assert.Equal(t, "2026-01-31T11:41:00Z", at(t, old, "ended_latest"))
	assert.Equal(t, "spiffe://td/ns/bookinfo/sa/sa", at(t, old, "principal"))

	_, body = get(t, h, "/topology/address?address=10.1.0.31")
	assert.Len(t, at(t, body, "networks"), 2, "without a network all are searched")
	_, body = get(t, h, "/topology/address?address=10.1.0.31&cluster=alone")
	assert.Equal(t, "other", at(t, body, "networks", 0, "pod", "name"))
	assert.Equal(t, []any{"alone"}, at(t, body, "networks", 0, "clusters"))
	_, body = get(t, h, "/topology/address?address=10.1.9.1&network=vnet")
	assert.Equal(t, "shared", at(t, body, "networks", 0, "answer"))
	assert.Equal(t, "n1", at(t, body, "networks", 0, "node"))
	_, body = get(t, h, "/topology/address?address=10.9.9.9")
	assert.Empty(t, at(t, body, "networks"))
}

func TestPod(t *testing.T) {
	h := handlerOf(t)
	status, body := get(t, h, "/topology/pod?cluster=west&namespace=bookinfo&name=old&at=2026-01-31T11:30:00Z")
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, "old", at(t, body, "pods", 0, "name"))
	assert.Equal(t, "n1", at(t, body, "pods", 0, "node"))
	_, body = get(t, h, "/topology/pod?namespace=bookinfo&name=old")
	assert.Empty(t, at(t, body, "pods"), "it has ended")
	assert.Equal(t, true, at(t, body, "history", 0, "ended"))
}

func TestFindings(t *testing.T) {
	h := handlerOf(t)
	_, body := get(t, h, "/topology/findings")
	require.Len(t, at(t, body, "findings"), 2)
	assert.Equal(t, map[string]any{
		"kind": "cluster_stale", "severity": "warning", "cluster": "alone", "subject": "inventory", "detail": "<b>silent</b>",
		"first_seen": "2026-01-31T11:58:00Z", "last_seen": "2026-01-31T12:00:00Z", "count": 2., "ongoing": true,
	}, at(t, body, "findings", 0))
	_, body = get(t, h, "/topology/findings?kind=address_conflict")
	assert.Len(t, at(t, body, "findings"), 1)
	_, body = get(t, h, "/topology/findings?cluster=west")
	assert.Empty(t, at(t, body, "findings"))
}

func TestErrorsSayWhatToWrite(t *testing.T) {
	h := handlerOf(t)
	for _, tt := range []struct {
		path   string
		status int
		want   string
	}{
		{"/topology/address", http.StatusBadRequest, "write an IP address"},
		{"/topology/address?address=10.0.0.1:80", http.StatusBadRequest, "write an IP address"},
		{"/topology/address?address=10.0.0.1&at=yesterday", http.StatusBadRequest, "write one such as 2026-"},
		{"/topology/address?address=10.0.0.1&cluster=x", http.StatusNotFound, "/topology/clusters lists"},
		{"/topology/pod?name=x", http.StatusBadRequest, "write namespace and name"},
		{"/topology/pod?name=x&namespace=y", http.StatusNotFound, "no pod y/x is known"},
		{"/topology/pod?name=x&namespace=y&cluster=z", http.StatusNotFound, `no cluster is named "z"`},
		{"/", http.StatusNotFound, "ask for /topology"},
		{"/topology/pod?namespace=b&name=" + strings.Repeat("x", 5000), http.StatusNotFound, "…"},
	} {
		status, body := get(t, h, tt.path)
		assert.Equal(t, tt.status, status, tt.path)
		assert.Contains(t, body["error"], tt.want)
		assert.Less(t, len(body["error"].(string)), 500)
	}
}

func TestOnlyTheLoopbackMayAskAndOnlyAsk(t *testing.T) {
	h := handlerOf(t)
	for host, want := range map[string]int{
		"localhost": http.StatusOK, "LOCALHOST:9": http.StatusOK, "127.0.0.1:13134": http.StatusOK, "[::1]:13134": http.StatusOK, "[::1]": http.StatusOK,
		"evil.example": http.StatusForbidden, "evil.example:13134": http.StatusForbidden, "10.0.0.1": http.StatusForbidden,
		"localhost.evil.example": http.StatusForbidden, "": http.StatusForbidden, "127.0.0.1.nip.io": http.StatusForbidden,
	} {
		r := httptest.NewRequest(http.MethodGet, "/topology", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, want, w.Code, host)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "http://localhost/topology", nil))
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
		assert.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "http://localhost/topology", nil))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Zero(t, w.Body.Len())
	assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
}

func TestListsAreBounded(t *testing.T) {
	w := topology.NewWriter(topology.WriterSettings{Now: func() time.Time { return now }})
	nodes := make([]topology.NodeSpec, MaxItems+5)
	for i := range nodes {
		nodes[i].Name = fmt.Sprintf("n%05d", i)
	}
	w.Apply(&topology.Delta{Cluster: "c", At: now, Full: true, Nodes: nodes})
	s := w.Publish()
	h := New(Settings{
		Snapshot: func() *topology.Snapshot { return s }, Findings: func() []findings.Entry { return nil }, Status: func() Status { return Status{} },
		Source: func(string) string { return "" }, Now: func() time.Time { return now },
	})
	_, body := get(t, h, "/topology/clusters/c")
	assert.Len(t, at(t, body, "node_list"), MaxItems)
	assert.Equal(t, 5., at(t, body, "left_out", "node_list"))
	assert.Equal(t, 1005., at(t, body, "nodes"))
}

func TestFewAreAnsweredAtATime(t *testing.T) {
	s := west(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	h := New(Settings{
		Snapshot: func() *topology.Snapshot { return s }, Source: func(string) string { return "" }, Now: func() time.Time { return now },
		Findings: func() []findings.Entry {
			entered <- struct{}{}
			<-leave
			return nil
		},
		Status: func() Status { return Status{} },
	})
	var group sync.WaitGroup
	defer group.Wait()
	for range maxRequests {
		group.Go(func() {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost/topology/findings", nil))
		})
		<-entered
	}
	status, body := get(t, h, "/topology/clusters")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, body["error"], "ask again")
	close(leave)
}
