// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"debug/buildinfo"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// made is a release of one platform whose programs are those of dir, without a build.
func made(t *testing.T, dir string) *release {
	t.Helper()
	r, err := newRelease("../..", t.TempDir(), "0123abc", []string{"linux/amd64"})
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(r.program(r.platforms[0], name)), 0o755))
	for _, program := range programs {
		from, err := filepath.Abs(filepath.Join(dir, program.name))
		require.NoError(t, err)
		require.NoError(t, os.Symlink(from, r.program(r.platforms[0], program.name)))
	}
	return r
}

// TestArchives prevents a digest that depends on the order or on the time in which files were found.
func TestArchives(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "from")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	files := []file{{name: "b", from: path, mode: 0o555}, {name: "a/", mode: 0o700, owner: user}, {name: "a/c", content: []byte("c"), mode: 0o444}}
	first, err := gzipped(files)
	require.NoError(t, err)
	require.NoError(t, os.Chtimes(path, time.Unix(1, 0), time.Unix(2, 0)))
	second, err := gzipped([]file{files[2], files[1], files[0]})
	require.NoError(t, err)
	assert.Equal(t, first, second)

	var headers []tar.Header
	unzipped, err := gzip.NewReader(bytes.NewReader(first))
	require.NoError(t, err)
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		headers = append(headers, *h)
		assert.Equal(t, int64(0), h.ModTime.Unix())
		assert.Empty(t, h.Uname+h.Gname)
	}
	require.Len(t, headers, 3)
	assert.Equal(t, []any{"a/", user, int64(0o700)}, []any{headers[0].Name, headers[0].Uid, headers[0].Mode})
	assert.Equal(t, []any{"b", 0, int64(0o555), int64(7)}, []any{headers[2].Name, headers[2].Uid, headers[2].Mode, headers[2].Size})
}

// TestChart prevents that two packages of one chart have two checksums.
func TestChart(t *testing.T) {
	var sums []string
	for i, order := range [][]string{{"c/Chart.yaml", "c/values.yaml"}, {"c/values.yaml", "c/Chart.yaml"}} {
		var raw bytes.Buffer
		zipped := gzip.NewWriter(&raw)
		w := tar.NewWriter(zipped)
		for _, n := range order {
			require.NoError(t, w.WriteHeader(&tar.Header{Name: n, Size: 1, Mode: 0o600, ModTime: time.Unix(int64(i), 0), Typeflag: tar.TypeReg}))
			_, err := w.Write([]byte("x"))
			require.NoError(t, err)
		}
		require.NoError(t, errors.Join(w.Close(), zipped.Close()))
		in, out := filepath.Join(t.TempDir(), "c-1.tgz"), t.TempDir()
		require.NoError(t, os.WriteFile(in, raw.Bytes(), 0o600))
		require.NoError(t, run(t.Context(), []string{"chart", "-out", out, in}, io.Discard))
		sum, err := sha256File(filepath.Join(out, "c-1.tgz"))
		require.NoError(t, err)
		sums = append(sums, sum)
	}
	assert.Equal(t, sums[0], sums[1])
}

// TestRoots prevents an image that knows no authority, or not those of the endpoints it is made for.
func TestRoots(t *testing.T) {
	raw, err := roots()
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(raw))
	var names []string
	for rest := raw; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		assert.True(t, c.IsCA, c.Subject)
		names = append(names, c.Subject.CommonName)
	}
	assert.Greater(t, len(names), 100)
	// Azure's, as Microsoft publishes them.
	assert.Subset(t, names, []string{"DigiCert Global Root G2", "Microsoft RSA Root Certificate Authority 2017", "Microsoft ECC Root Certificate Authority 2017"})
	assert.Equal(t, len(names), strings.Count(string(raw), "# "))
	for root := range bundle.Roots() {
		c, err := x509.ParseCertificate(root.Certificate)
		require.NoError(t, err)
		assert.Equal(t, root.Constraint == nil, slices.Contains(names, c.Subject.CommonName), "%s: a list cannot say on which condition it is trusted", c.Subject)
	}
}

// TestBinariesAreJudged prevents that something gets into an image which another machine would not build the same.
func TestBinariesAreJudged(t *testing.T) {
	good := []debug.BuildSetting{{Key: "-trimpath", Value: "true"}, {Key: "CGO_ENABLED", Value: "0"}, {Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "arm64"}, {Key: "GOARM64", Value: "v8.0"}, {Key: "-compiler", Value: "gc"}}
	require.NoError(t, checkSettings(&buildinfo.BuildInfo{Settings: good}, "arm64"))
	for _, s := range []debug.BuildSetting{{Key: "-tags", Value: "x"}, {Key: "-race", Value: "true"}, {Key: "vcs.revision", Value: "1"}, {Key: "GOEXPERIMENT", Value: "x"}, {Key: "CGO_ENABLED", Value: "1"}, {Key: "GOARM64", Value: "v9.0"}} {
		require.ErrorContains(t, checkSettings(&buildinfo.BuildInfo{Settings: append(slices.Clip(good), s)}, "arm64"), s.Key)
	}
	require.ErrorContains(t, checkSettings(&buildinfo.BuildInfo{Settings: good[1:]}, "arm64"), "-trimpath")

	deps := []*debug.Module{
		{Path: ownModule, Version: "v0.0.0"},
		{Path: "example.com/a", Version: "v1.0.0"},
		{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/c", Version: "v2.0.0"}},
	}
	pins := map[string]string{"example.com/a": "v1.0.0", "example.com/b": "v1.0.0", "example.com/c": "v2.0.0"}
	require.NoError(t, checkPins(&buildinfo.BuildInfo{Deps: deps}, pins))
	for _, path := range []string{"example.com/a", "example.com/c"} {
		other := map[string]string{"example.com/a": "v1.0.0", "example.com/c": "v2.0.0"}
		other[path] = "v1.9.0"
		require.ErrorContains(t, checkPins(&buildinfo.BuildInfo{Deps: deps}, other), path)
	}
}

// TestStatic prevents a program that the image has no linker for, or that is of another architecture.
func TestStatic(t *testing.T) {
	elf := func(machine, program byte) string {
		header := make([]byte, 64+56)
		copy(header, "\x7fELF\x02\x01\x01")
		header[16], header[18], header[20] = 2, machine, 1
		header[32], header[52], header[54], header[56], header[58] = 64, 64, 56, 1, 64
		header[64] = program
		path := filepath.Join(t.TempDir(), "program")
		require.NoError(t, os.WriteFile(path, header, 0o600))
		return path
	}
	const amd64, arm64, load, interpreter = 62, 183, 1, 3
	require.NoError(t, checkStatic(elf(amd64, load), "amd64"))
	require.NoError(t, checkStatic(elf(arm64, load), "arm64"))
	require.ErrorContains(t, checkStatic(elf(arm64, load), "amd64"), "is for EM_AARCH64, not EM_X86_64")
	require.ErrorContains(t, checkStatic(elf(amd64, interpreter), "amd64"), "linked dynamically")
}

// TestArguments holds what a wrong call says.
func TestArguments(t *testing.T) {
	out := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(out, "thesis.tex"), nil, 0o600))
	for says, args := range map[string][]string{
		"write one of chart, export":    {},
		"is none of chart, export":      {"ship"},
		"write linux/amd64":             {"image", "-root", "../..", "-platforms", "linux/386"},
		"builder-config.yaml":           {"image", "-root", out},
		"which is not of a release":     {"image", "-root", "../..", "-out", out},
		"write nothing behind":          {"image", "x"},
		"write LAYOUT behind":           {"export"},
		"write LAYOUT REGISTRY":         {"push", out},
		"write REGISTRY/REPOSITORY:TAG": {"push", out, "-"},
	} {
		require.ErrorContains(t, run(t.Context(), args, io.Discard), says)
	}
	for _, epoch := range []string{"-1", "today"} {
		t.Setenv("SOURCE_DATE_EPOCH", epoch)
		_, err := newRelease("../..", out, "", []string{"linux/amd64"})
		require.ErrorContains(t, err, "SOURCE_DATE_EPOCH")
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	r, err := newRelease("../..", out, "", []string{"linux/amd64"})
	require.NoError(t, err)
	assert.Equal(t, "2023-11-14T22:13:20Z", r.labels()["org.opencontainers.image.created"])
	assert.NotContains(t, r.labels(), "org.opencontainers.image.revision")
	assert.Equal(t, []v1.Platform{{OS: "linux", Architecture: "amd64"}}, r.platforms)
}
