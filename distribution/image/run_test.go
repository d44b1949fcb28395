// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	host     = "127.15.0.1"
	endpoint = "127.15.0.2"
	user     = 10001
	patience = 60 * time.Second
)

// files unpacks the image. Only root can give files away; for others they are their own.
func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// The user of the image must get here.
	for at := dir; os.Geteuid() == 0 && at != filepath.Dir(os.TempDir()) && at != "/"; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		require.NoError(t, err)
		require.NoError(t, os.Chmod(at, info.Mode().Perm()|0o011))
	}
	archive := tar.NewReader(bytes.NewReader(tool(t, "export", "-platform", "linux/"+runtime.GOARCH, layout(t))))
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		require.NoError(t, err)
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			require.NoError(t, os.Mkdir(path, h.FileInfo().Mode().Perm()))
		} else {
			raw, err := io.ReadAll(archive)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, raw, h.FileInfo().Mode().Perm()))
		}
		if os.Geteuid() == 0 {
			require.NoError(t, os.Chown(path, h.Uid, h.Gid))
		}
	}
}

// inside prepares a program of the image to run as its container runs it: nothing but the image's files, its user, no
// environment. Where the tests are not root's, nobody lets them: then it runs among the machine's files.
func inside(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, args[0]), args[1:]...)
		cmd.Env = []string{"SSL_CERT_FILE=" + filepath.Join(dir, "etc/ssl/certs/ca-certificates.crt"), "STORAGE=" + filepath.Join(dir, "var/lib/otelcol-mesh")}
		return cmd
	}
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	// The path is one inside, where this process does not look.
	cmd.Err = nil
	cmd.Dir = "/"
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: user, Gid: user}}
	return cmd
}

// TestCommands prevents a program in the image that does not start there: linked to what is not in it, or not executable.
func TestCommands(t *testing.T) {
	dir := files(t)
	out, err := inside(t, dir, "/otelcol-mesh", "--version").CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Equal(t, "otelcol-mesh version "+version(t)+"\n", string(out))
	for _, program := range []string{"/otelcol-mesh-doctor", "/otelcol-mesh-explain", "/otelcol-mesh-init"} {
		out, err := inside(t, dir, program, "--help").CombinedOutput()
		require.NotErrorIs(t, err, os.ErrNotExist)
		assert.Contains(t, string(out), strings.TrimPrefix(program, "/"), "%s: %v", program, err)
	}
}

const config = `
extensions:
  health_check: {endpoint: "` + host + `:13133"}
  queue_storage: {directory: "${env:STORAGE:-/var/lib/otelcol-mesh}"}
receivers:
  otlp: {protocols: {http: {endpoint: "` + host + `:4318"}}}
exporters:
  otlp_http:
    endpoint: "ENDPOINT"
    retry_on_failure: {initial_interval: 100ms, max_interval: 200ms, max_elapsed_time: 0}
    sending_queue: {storage: queue_storage}
service:
  extensions: [health_check, queue_storage]
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [otlp], exporters: [otlp_http]}
`

// TestRuns prevents an image in which the collector starts nowhere but on a developer's machine: it writes its queue, answers
// the probe, and believes a server whose authority is in the image's list, and no other.
func TestRuns(t *testing.T) {
	dir := files(t)
	authority, certificate := newCertificate(t)
	received := make(chan struct{}, 100)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", endpoint+":0")
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
		received <- struct{}{}
	}))
	require.NoError(t, server.Listener.Close())
	server.Listener = listener
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()

	list := filepath.Join(dir, "etc/ssl/certs/ca-certificates.crt")
	public, err := os.ReadFile(list)
	require.NoError(t, err)
	for _, tt := range []struct {
		name  string
		roots []byte
		says  string
	}{
		{name: "authority in the list", roots: slices.Concat(public, authority)},
		{name: "authority not in the list", roots: public, says: "certificate signed by unknown authority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, os.Chmod(list, 0o644))
			require.NoError(t, os.WriteFile(list, tt.roots, 0o600))
			require.NoError(t, os.Chmod(list, 0o444))
			stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
			require.NoError(t, err)
			defer func() { _ = stderr.Close() }()
			cmd := inside(t, dir, "/otelcol-mesh", "--config=yaml:"+strings.Replace(config, "ENDPOINT", server.URL, 1))
			cmd.Stderr = stderr
			require.NoError(t, cmd.Start())
			ended := false
			defer func() {
				if !ended {
					_ = cmd.Process.Kill()
					_ = cmd.Wait()
				}
			}()
			said := func() string { raw, _ := os.ReadFile(stderr.Name()); return string(raw) }

			eventually(t, said, func() bool { return ok(t, http.MethodGet, "http://"+host+":13133/", "") })
			record := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hello"}}]}]}]}`
			eventually(t, said, func() bool { return ok(t, http.MethodPost, "http://"+host+":4318/v1/logs", record) })
			if tt.says != "" {
				eventually(t, said, func() bool { return strings.Contains(said(), tt.says) })
				assert.Empty(t, received)
			} else {
				select {
				case <-received:
				case <-time.After(patience):
					require.Fail(t, "nothing arrived; the collector said:\n"+said())
				}
			}
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			err = cmd.Wait()
			ended = true
			require.NoError(t, err, said())
		})
	}
}

func ok(t *testing.T, method, url, body string) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return false // not listening yet
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func eventually(t *testing.T, said func() string, ask func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ask(); {
		if time.Now().After(deadline) {
			require.Fail(t, "it did not happen; the collector said:\n"+said())
		}
		select {
		case <-t.Context().Done():
			require.NoError(t, t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// newCertificate returns an authority in PEM and a server's certificate of it.
func newCertificate(t *testing.T) ([]byte, tls.Certificate) {
	t.Helper()
	issue := func(template, parent *x509.Certificate, of, by *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &of.PublicKey, by)
		require.NoError(t, err)
		return der
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		return key
	}
	caKey, key := newKey(), newKey()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.ParseIP(endpoint)},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	authority := issue(ca, ca, caKey, caKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority}),
		tls.Certificate{Certificate: [][]byte{issue(leaf, ca, key, caKey)}, PrivateKey: key}
}
