// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

func TestTrackPathsAndBodies(t *testing.T) {
	array := append(append([]byte("["), bytes.TrimSpace(lines(t, event("e")))...), ']')
	for _, path := range []string{"/v2/track", "/v2.1/track", "//v2.1/track"} {
		for name, tt := range map[string]struct {
			body    []byte
			headers []string
		}{
			"lines":              {lines(t, event("e")), []string{"Content-Type", ai.ContentTypeLines}},
			"array":              {array, []string{"Content-Type", ai.ContentTypeJSON}},
			"array called lines": {array, []string{"Content-Type", ai.ContentTypeLines}},
			"gzip":               {zip(t, lines(t, event("e"))), []string{"Content-Encoding", "gzip"}},
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				s := Start(t, testConfig())
				got, err := do(t.Context(), t, http.MethodPost, s.URL()+path, tt.body, tt.headers...)
				require.NoError(t, err)
				assert.Equal(t, http.StatusOK, got.status)
				assert.JSONEq(t, `{"itemsReceived":1,"itemsAccepted":1,"appId":null,"errors":[]}`, got.body)
				assert.Equal(t, "application/json; charset=utf-8", got.header.Get("Content-Type"))
				assert.Equal(t, "Microsoft-HTTPAPI/2.0", got.header.Get("Server"))
				assert.Len(t, s.Items(Filter{Name: "e"}), 1)
			})
		}
	}
}

func TestStatusOfMixedItems(t *testing.T) {
	s := Start(t, testConfig())
	bad := []byte("{}\n")
	got := post(t, s, append(bad, lines(t, event("e"))...))
	assert.Equal(t, http.StatusPartialContent, got.status)
	assert.Equal(t, ai.TrackResponse{ItemsReceived: 2, ItemsAccepted: 1, Errors: []ai.ItemError{{
		Index: 0, StatusCode: 400,
		Message: "109: Field 'name' on type 'Envelope' is required but missing or empty. Expected: string, Actual: undefined",
	}}}, got.response)

	got = post(t, s, bad)
	assert.Equal(t, http.StatusBadRequest, got.status, "nothing accepted")
	assert.Equal(t, 1, got.response.ItemsReceived)
	assert.Len(t, got.response.Errors, 1)
	assert.Equal(t, map[string]uint64{"400 109": 2}, s.Summary().RejectedBy)
}

func TestWholeRequestsThatAreRefused(t *testing.T) {
	cfg := testConfig()
	cfg.MaxBodyBytes = 1 << 20
	s := Start(t, cfg)
	bomb := zip(t, bytes.Repeat([]byte(" "), 8<<20))
	require.Less(t, len(bomb), 1<<16)
	for name, tt := range map[string]struct {
		body    []byte
		headers []string
		want    int
	}{
		"bomb":             {bomb, []string{"Content-Encoding", "gzip"}, http.StatusRequestEntityTooLarge},
		"large":            {bytes.Repeat([]byte(" "), 1<<20+1), nil, http.StatusRequestEntityTooLarge},
		"not gzip":         {[]byte("{}"), []string{"Content-Encoding", "gzip"}, http.StatusBadRequest},
		"cut gzip":         {zip(t, lines(t, event("e")))[:40], []string{"Content-Encoding", "gzip"}, http.StatusBadRequest},
		"unknown encoding": {[]byte("{}"), []string{"Content-Encoding", "br"}, http.StatusUnsupportedMediaType},
		"broken array":     {[]byte("[{"), nil, http.StatusBadRequest},
		"too many items":   {bytes.Repeat([]byte("1\n"), ai.MaxItemsPerRequest+1), nil, http.StatusBadRequest},
		"empty":            {nil, nil, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			got := post(t, s, tt.body, tt.headers...)
			assert.Equal(t, tt.want, got.status, got.body)
			assert.Zero(t, got.response.ItemsAccepted)
		})
	}
	assert.Zero(t, s.Summary().Accepted)

	got, err := do(t.Context(), t, http.MethodGet, s.URL()+ai.TrackPath, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusMethodNotAllowed, got.status)
}

func TestAuth(t *testing.T) {
	for _, tt := range []struct {
		auth   Auth
		header string
		want   int
	}{
		{Auth{}, "", 200},
		{Auth{Mode: AuthRequire}, "", 401},
		{Auth{Mode: AuthRequire}, "Basic x", 401},
		{Auth{Mode: AuthRequire}, "Bearer any", 200},
		{Auth{Mode: AuthRequire, Tokens: []string{"good"}}, "Bearer good", 200},
		{Auth{Mode: AuthRequire, Tokens: []string{"good"}}, "Bearer bad", 403},
		{Auth{Mode: AuthUnauthorized}, "Bearer good", 401},
		{Auth{Mode: AuthForbidden}, "Bearer good", 403},
	} {
		t.Run(fmt.Sprint(tt.auth, tt.header), func(t *testing.T) {
			cfg := testConfig()
			cfg.Auth = tt.auth
			s := Start(t, cfg)
			var headers []string
			if tt.header != "" {
				headers = []string{"Authorization", tt.header}
			}
			got := post(t, s, lines(t, event("e")), headers...)
			assert.Equal(t, tt.want, got.status)
			assert.Equal(t, tt.want == 401, got.header.Get("WWW-Authenticate") != "")
			assert.Equal(t, tt.want == 200, s.Summary().Accepted == 1)
		})
	}
}

func TestEdgesJoinInEitherOrder(t *testing.T) {
	s := Start(t, testConfig())
	failed := request("b")
	failed.Success, failed.ResponseCode = false, "503"
	post(t, s, lines(t,
		span(dependency("d1"), "reviews", "westeurope", "op1", ""),
		span(request("a"), "ratings", "northeurope", "op1", "d1"),
		span(failed, "ratings", "northeurope", "op2", "d1"), // before its dependency
		span(request("c"), "details", "westeurope", "op1", "nobody"),
	))
	post(t, s, lines(t, span(dependency("d1"), "reviews", "westeurope", "op2", "")))
	post(t, s, lines(t, span(request("a"), "ratings", "northeurope", "op1", "d1"))) // again

	sum := s.Summary()
	assert.Equal(t, []Edge{{
		SourceRole: "reviews", SourceRegion: "westeurope",
		DestinationRole: "ratings", DestinationRegion: "northeurope", Calls: 2, Failed: 1,
	}}, sum.Edges)
	assert.Equal(t, uint64(1), sum.Duplicates)
	assert.Equal(t, []Duplicate{{Type: "Request", OperationID: "op1", ID: "a", Count: 2}}, s.Duplicates())
	assert.Equal(t, map[string]uint64{"Request": 4, "Dependency": 2}, sum.ByType)
	assert.Equal(t, map[string]uint64{"reviews": 2, "ratings": 3, "details": 1}, sum.ByRole)
	assert.Equal(t, map[string]uint64{"westeurope": 3, "northeurope": 3}, sum.ByRegion)
	assert.Equal(t, map[string]uint64{"200": 5, "503": 1}, sum.ByResultCode)
	assert.Equal(t, uint64(1), s.Count(Group{Type: "RequestData", Role: "ratings", ResultCode: "503"}))
	assert.Equal(t, uint64(2), s.Count(Group{Type: "RemoteDependencyData"}))
}

func TestEvictionKeepsCountsExact(t *testing.T) {
	cfg := testConfig()
	cfg.MaxItems, cfg.MaxGroups, cfg.MaxRequests = 2, 2, 3
	s := Start(t, cfg)
	for i := range 5 {
		post(t, s, lines(t, span(request(strconv.Itoa(i)), fmt.Sprint("role", i), "", "op", fmt.Sprint("parent", i))))
	}
	sum := s.Summary()
	assert.Equal(t, uint64(5), sum.Accepted)
	assert.Equal(t, uint64(3), sum.Evicted)
	assert.Equal(t, 2, sum.Stored)
	assert.Equal(t, map[string]uint64{"role0": 1, "role1": 1, Overflow: 3}, sum.ByRole)
	assert.Equal(t, uint64(5), s.Count(Group{Type: "Request"}))
	assert.Len(t, s.Requests(), 3)
	items := s.Items(Filter{})
	require.Len(t, items, 2)
	assert.Equal(t, uint64(4), items[0].Sequence)
	assert.Len(t, s.seen, 2, "identities of evicted items are forgotten")
	assert.Len(t, s.edges.waiting, 2)

	cfg.MaxItems, cfg.MaxItemBytes = 0, 1
	small := Start(t, cfg)
	post(t, small, lines(t, event("e")))
	assert.Equal(t, uint64(1), small.Summary().Evicted, "an item larger than the whole store")
}

func TestItemsFilter(t *testing.T) {
	s := Start(t, testConfig())
	sampled := span(request("a"), "reviews", "westeurope", "op1", "p")
	sampled.SampleRate = 25
	post(t, s, lines(t, sampled, span(dependency("b"), "reviews", "westeurope", "op1", "a"), event("e")))
	for name, tt := range map[string]struct {
		filter Filter
		want   int
	}{
		"all":     {Filter{}, 3},
		"type":    {Filter{Type: "request"}, 1},
		"role":    {Filter{Role: "reviews"}, 2},
		"region":  {Filter{Region: "northeurope"}, 0},
		"ids":     {Filter{OperationID: "op1", ParentID: "a", ID: "b"}, 1},
		"code":    {Filter{ResultCode: "200"}, 2},
		"key":     {Filter{InstrumentationKey: "other"}, 0},
		"limit":   {Filter{Limit: 2}, 2},
		"matches": {Filter{Match: func(i Item) bool { return i.ItemCount == 4 }}, 1},
	} {
		assert.Len(t, s.Items(tt.filter), tt.want, name)
	}
	assert.Equal(t, "e", s.Items(Filter{Limit: 1})[0].Name, "the newest")
}

func TestWait(t *testing.T) {
	s := Start(t, testConfig())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			got, err := do(t.Context(), t, http.MethodPost, s.URL()+ai.TrackPath, lines(t, event("e"), event("e")))
			assert.NoError(t, err)
			assert.Equal(t, http.StatusOK, got.status)
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, s.WaitCount(ctx, Group{Type: "Event"}, 8))
	wg.Wait()
	cancel()
	err := s.WaitCount(ctx, Group{Type: "Event"}, 9)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "accepted 8 map[Event:8]")
}

func TestAPI(t *testing.T) {
	s := Start(t, testConfig())
	post(t, s, lines(t, span(request("a"), "reviews", "westeurope", "op1", ""), event("e")))
	get := func(path string, headers ...string) reply {
		got, err := do(t.Context(), t, http.MethodGet, s.URL()+path, nil, headers...)
		require.NoError(t, err)
		return got
	}
	got := get("/items?type=Request&role=reviews&region=westeurope&operation_Id=op1&limit=5")
	assert.Equal(t, http.StatusOK, got.status)
	assert.Equal(t, 1, strings.Count(got.body, `"sequence"`), got.body)
	assert.NotContains(t, get("/items?role=other").body, `"sequence"`)
	assert.Equal(t, http.StatusBadRequest, get("/items?limit=none").status)
	assert.Equal(t, http.StatusBadRequest, get("/items?operationId=x").status, "a misspelled filter must not select all")
	assert.Contains(t, get("/summary").body, `"byType": {
    "Event": 1,
    "Request": 1
  }`)
	assert.Contains(t, get("/requests").body, `"status": 200`)
	assert.Equal(t, "[]\n", get("/duplicates").body)
	assert.Equal(t, http.StatusNotFound, get("/nothing").status)
	assert.Equal(t, http.StatusForbidden, get("/summary", "Host", "rebound.example:80").status)

	remove := func(path string, headers ...string) int {
		got, err := do(t.Context(), t, http.MethodDelete, s.URL()+path, nil, headers...)
		require.NoError(t, err)
		return got.status
	}
	assert.Equal(t, http.StatusForbidden, remove("/items", "Origin", "https://page.example"))
	assert.Equal(t, uint64(2), s.Summary().Accepted)
	assert.Equal(t, http.StatusNoContent, remove("/items"))
	assert.Zero(t, s.Summary().Accepted)

	fault := func(body string) reply {
		got, err := do(t.Context(), t, http.MethodPost, s.URL()+"/faults", []byte(body))
		require.NoError(t, err)
		return got
	}
	assert.Equal(t, http.StatusOK, fault(`[{"kind":"status","status":503,"times":2,"retry_after":"1.5s"},{"kind":"close","store":true}]`).status)
	assert.Equal(t, http.StatusOK, fault(`{"kind":"delay","delay":"1ms"}`).status)
	assert.Equal(t, []Fault{
		{Kind: FaultStatus, Status: 503, Times: 2, RetryAfter: 1500 * time.Millisecond},
		{Kind: FaultClose, Times: 1, Store: true},
		{Kind: FaultDelay, Times: 1, Delay: time.Millisecond},
	}, s.Faults())
	assert.Contains(t, get("/faults").body, `"retry_after": "1.5s"`)
	assert.Equal(t, http.StatusNoContent, remove("/faults"))
	assert.Empty(t, s.Faults())
	for _, body := range []string{`{"kind":"odd"}`, `{`, `{"kind":"delay","delay":"soon"}`, ``} {
		assert.Equal(t, http.StatusBadRequest, fault(body).status, body)
	}
	assert.Empty(t, s.Faults())
}

func TestAPIIsForLoopbackClients(t *testing.T) {
	e, err := New(testConfig())
	require.NoError(t, err)
	for peer, want := range map[string]int{"127.0.0.1:5": 200, "[::1]:5": 200, "10.0.0.1:5": 403, "": 403} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/summary", nil)
		require.NoError(t, err)
		r.RemoteAddr = peer
		w := &statusWriter{header: http.Header{}, status: http.StatusOK}
		e.ServeHTTP(w, r)
		assert.Equal(t, want, w.status, peer)
	}
}

type statusWriter struct {
	header http.Header
	status int
}

func (w *statusWriter) Header() http.Header         { return w.header }
func (w *statusWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *statusWriter) WriteHeader(status int)      { w.status = status }

func TestListenErrors(t *testing.T) {
	s := Start(t, Config{InstrumentationKeys: []string{"first", "second"}})
	assert.Equal(t, "InstrumentationKey=first;IngestionEndpoint=http://"+s.Addr(), s.ConnectionString())
	_, err := Listen(s.Addr(), Config{})
	require.ErrorContains(t, err, s.Addr())
	for _, cfg := range []Config{{Lengths: "odd"}, {Auth: Auth{Mode: "odd"}}, {MaxItems: -1}} {
		_, err := Listen("127.0.0.1:0", cfg)
		require.Error(t, err)
	}
	require.NoError(t, s.Shutdown(t.Context()))
	require.NoError(t, s.Shutdown(t.Context()), "twice")
}
