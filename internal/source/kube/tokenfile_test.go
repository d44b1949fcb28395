// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

func TestTokenFile(t *testing.T) {
	var valid atomic.Pointer[string]
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.Header.Get("Authorization") != "Bearer "+*valid.Load() {
			fail(w, http.StatusUnauthorized, "Unauthorized")
		}
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "token")
	write := func(token string) { require.NoError(t, os.WriteFile(path, []byte(token+"\n"), 0o600)) }
	accept := func(token string) { valid.Store(&token) }
	now := observed
	write("one")
	accept("one")
	config := rest.Config{BearerToken: "old", BearerTokenFile: path}
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	transport, err := takeTokenFile(&config, base, func() time.Time { return now })
	require.NoError(t, err)
	assert.Empty(t, config.BearerToken+config.BearerTokenFile, "client-go's wrapper would set its own")
	get := func() (code, asked int) {
		t.Helper()
		before := requests.Load()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		require.NoError(t, err)
		response, err := transport.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Empty(t, request.Header, "the caller's request stays as it is")
		return response.StatusCode, int(requests.Load() - before)
	}
	expect := func(wantCode, wantAsked int, why string) {
		t.Helper()
		code, asked := get()
		assert.Equal(t, wantCode, code, why)
		assert.Equal(t, wantAsked, asked, why)
	}
	expect(http.StatusOK, 1, "the file goes before the token beside it")

	accept("two")
	write("two")
	expect(http.StatusUnauthorized, 1, "the file was read a moment ago")
	now = now.Add(tokenPause)
	expect(http.StatusOK, 2, "it is read again, and the request is sent again")
	expect(http.StatusOK, 1, "from then on it is the token")

	accept("three")
	now = now.Add(tokenPause)
	expect(http.StatusUnauthorized, 1, "the file has no other token")
	write("three")
	expect(http.StatusUnauthorized, 1, "a file is not read at each refusal")
	require.NoError(t, os.Remove(path))
	now = now.Add(tokenEvery)
	accept("two")
	expect(http.StatusOK, 1, "what was read stays when the file is gone")
	write("four")
	now = now.Add(tokenEvery)
	accept("four")
	expect(http.StatusOK, 1, "without a refusal it is read every minute")

	_, err = takeTokenFile(&rest.Config{BearerTokenFile: path + "-none"}, base, time.Now)
	assert.ErrorIs(t, err, os.ErrNotExist)
	write("")
	_, err = takeTokenFile(&rest.Config{BearerTokenFile: path}, base, time.Now)
	assert.ErrorContains(t, err, "is empty")
}

// A source whose token is revoked goes on with the next one, without a minute of silence.
func TestTokenFileOfASource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte("good"), 0o600))
	f := newFakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			fail(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		stream(added(aPod("a", "u1", "10.0.0.1", "5")), bookmark("7", true))(w, r)
	})
	source, err := New(Settings{Cluster: "c1", Scope: ScopeCluster, Client: ClientSettings{Config: &rest.Config{
		Host: f.URL, BearerTokenFile: path,
	}}})
	require.NoError(t, err)
	h := follow(t, source)
	assert.Equal(t, "a", podNames(h.next()))
}
