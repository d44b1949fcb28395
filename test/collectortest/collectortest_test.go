// SPDX-License-Identifier: Apache-2.0

package collectortest

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBinary(t *testing.T) {
	file := filepath.Join(t.TempDir(), "collector")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	t.Setenv("OTELCOL_MESH_BINARY", file)
	assert.Equal(t, file, Binary(t))
	assert.FileExists(t, filepath.Join(module(t), "builder-config.yaml"), "what is built is found from the module's folder")
}

func TestClean(t *testing.T) {
	parent := []string{"PATH=/bin", "MESH_CLUSTER=a", "APPLICATIONINSIGHTS_CONNECTION_STRING=b", "HOME=/MESH_", "APPLICATION_INSIGHTS_CONNECTION_STRING=c"}
	assert.Equal(t, []string{"PATH=/bin", "HOME=/MESH_"}, Clean(parent))
	assert.Equal(t, "MESH_CLUSTER=a", parent[1], "it is the caller's")
}

func TestEnvironment(t *testing.T) {
	base := append(make([]string, 0, 8), "PATH=/bin")
	ports := []string{"PATH=/bin", "MESH_LISTEN_HOST=127.0.0.9", "MESH_ADMIN_HOST=127.0.0.9", "MESH_DEBUG_HOST=127.0.0.9"}
	first := Environment(base, "127.0.0.9", "/kept", "MESH_CLUSTER=a")
	assert.Equal(t, ports, Environment(base, "127.0.0.9", ""))
	_ = Environment(base, "127.0.0.8", "/other", "MESH_CLUSTER=b")
	assert.Equal(t, append(ports, "MESH_STORAGE_DIR=/kept", "MESH_CLUSTER=a"), first, "the second call changes nothing of the first")
}

func TestGet(t *testing.T) {
	long := strings.Repeat("x", maxLine+1)
	host, port := serve(t, "127.15.1.1:0", map[string]string{"/two": "one\ntwo", "/long": long, "/query?a=b": "asked"})
	lines := func(path string) (all []string, err error) {
		err = Get(t.Context(), host, port, path, func(line string) { all = append(all, line) })
		return all, err
	}
	all, err := lines("/two")
	require.NoError(t, err)
	assert.Equal(t, []string{"one", "two"}, all)
	all, err = lines("/query?a=b")
	require.NoError(t, err)
	assert.Equal(t, []string{"asked"}, all)
	_, err = lines("/long")
	assert.ErrorContains(t, err, "too long")
	require.NoError(t, Get(t.Context(), host, port, "/long", nil), "whose lines nobody wants")
	assert.ErrorContains(t, Get(t.Context(), host, port, "/none", nil), "http://"+net.JoinHostPort(host, port)+"/none answers 404")
	require.NoError(t, Read(t.Context(), host, port, "/two", func(body io.Reader) error {
		raw, err := io.ReadAll(body)
		assert.Equal(t, "one\ntwo", string(raw))
		return err
	}))
	assert.ErrorIs(t, Read(t.Context(), host, port, "/two", func(io.Reader) error { return os.ErrInvalid }), os.ErrInvalid)
}

func TestTail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(file, []byte("a\nb\nb2\n"+strings.Repeat("c", maxLogged+1)+"\n"), 0o600))
	cut := strings.Repeat("c", maxLogged)
	assert.Equal(t, "b2\n"+cut, Tail(file, 2, nil))
	assert.Equal(t, "a\nb\nb2\n"+cut, Tail(file, 10, nil))
	assert.Equal(t, "b\nb2", Tail(file, 2, func(line string) bool { return line[0] != 'c' }))
	assert.Contains(t, Tail(file+"-none", 2, nil), "no such file")
}

// serve answers by path and query until the test ends.
func serve(t *testing.T, address string, answers map[string]string) (host, port string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.RequestURI()]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, answer)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	host, port, err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return host, port
}
