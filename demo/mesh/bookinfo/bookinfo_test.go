// SPDX-License-Identifier: Apache-2.0

package bookinfo

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sidecars stands in for the pod's Envoy: it records headers and answers for the called service.
type sidecars struct {
	status map[string]int
	seen   map[string]http.Header
}

func (s *sidecars) RoundTrip(r *http.Request) (*http.Response, error) {
	s.seen[r.URL.Hostname()] = r.Header
	recorder := httptest.NewRecorder()
	recorder.WriteHeader(max(s.status[r.URL.Hostname()], http.StatusOK))
	_, err := io.WriteString(recorder, `{"from":"`+r.URL.Hostname()+`"}`)
	return recorder.Result(), err
}

func ask(t *testing.T, service, version, target string, status map[string]int) (int, map[string]any, *sidecars) {
	proxies := &sidecars{status: status, seen: map[string]http.Header{}}
	s := &Server{pod: layout.Pod{Name: "pod", Service: service, Version: version}, client: &http.Client{Transport: proxies}}
	handler, err := s.handler()
	require.NoError(t, err)
	request := httptest.NewRequest(http.MethodGet, target, nil)
	request.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	request.Header.Set("x-request-id", "id")
	request.Header.Set("x-secret", "no")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	var answer map[string]any
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer))
	return recorder.Code, answer, proxies
}

func TestProductpage(t *testing.T) {
	status, answer, proxies := ask(t, "productpage", "v1", "/productpage", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]any{"from": "reviews"}, answer["reviews"])
	require.Equal(t, map[string]any{"from": "details"}, answer["details"])
	sent := proxies.seen["reviews"]
	require.Equal(t, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", sent.Get("traceparent"))
	require.Equal(t, "id", sent.Get("x-request-id"))
	require.Empty(t, sent.Get("x-secret"))

	status, _, _ = ask(t, "productpage", "v1", "/productpage?missing=1", nil)
	require.Equal(t, http.StatusNotFound, status)
	status, answer, _ = ask(t, "productpage", "v1", "/productpage", map[string]int{"details": 503})
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "details answered 503", answer["details"])
	status, answer, _ = ask(t, "productpage", "v1", "/productpage", map[string]int{"reviews": 503})
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "reviews answered 503", answer["reviews"])
}

func TestOnlyLaterReviewsHaveStars(t *testing.T) {
	for version, stars := range map[string]bool{"v1": false, "v2": true, "v3": true} {
		status, answer, proxies := ask(t, "reviews", version, "/reviews/0", nil)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, stars, answer["ratings"] != nil, version)
		require.Equal(t, stars, len(proxies.seen) == 1, version)
	}
}

func TestDetailsFailNowAndThen(t *testing.T) {
	s := &Server{pod: layout.Pod{Service: "details"}}
	handler, err := s.handler()
	require.NoError(t, err)
	failed := 0
	for range 100 {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/details/0", nil))
		if recorder.Code != http.StatusOK {
			require.Equal(t, http.StatusServiceUnavailable, recorder.Code)
			failed++
		}
	}
	require.Equal(t, 2, failed)
}

func TestStartAndStop(t *testing.T) {
	pod := layout.Pod{Name: "pod", Service: "ratings", IP: "127.1.0.240"}
	var ledger Ledger
	s, err := Start(t.Context(), pod, &ledger)
	require.NoError(t, err)
	_, err = Start(t.Context(), pod, &ledger)
	require.ErrorContains(t, err, "application pod: listen tcp 127.1.0.240:19080")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	target := url.URL{Scheme: "http", Host: "127.1.0.240:19080", Path: "/ratings/0"}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target.String(), http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	request.Header.Set(CallerHeader, "reviews-v2")
	response, err := client.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NoError(t, response.Body.Close())
	require.NoError(t, s.Stop())
	calls, dropped := ledger.Calls()
	require.Len(t, calls, 1)
	require.Zero(t, dropped)
	calls[0].At = time.Time{}
	require.Equal(t, Call{
		TraceID: "0af7651916cd43dd8448eb211c80319c", SpanID: "b7ad6b7169203331", Caller: "reviews-v2", Callee: "pod", Status: http.StatusOK,
	}, calls[0])
	_, err = Start(t.Context(), layout.Pod{Service: "mars"}, &ledger)
	require.EqualError(t, err, `bookinfo has no service "mars"`)
}
