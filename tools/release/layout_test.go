// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	imagename "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func written(t *testing.T) (*release, platformImage, v1.Hash) {
	t.Helper()
	programsOf := t.TempDir()
	for _, program := range programs {
		require.NoError(t, os.WriteFile(filepath.Join(programsOf, program.name), []byte("#!"+program.name), 0o600))
	}
	r := made(t, programsOf)
	image := platformImage{platform: r.platforms[0], sbom: []byte("{}")}
	var err error
	image.image, err = r.imageOf(r.platforms[0])
	require.NoError(t, err)
	digest, err := r.writeLayout([]platformImage{image})
	require.NoError(t, err)
	return r, image, digest
}

// TestLayout prevents a layout that engines refuse, and an image that runs as root or lacks a file.
func TestLayout(t *testing.T) {
	r, _, digest := written(t)
	index, artifacts, err := readLayout(r.layoutDir())
	require.NoError(t, err)
	require.NoError(t, validate.Index(index), "all digests and sizes are those of the contents")
	got, err := index.Digest()
	require.NoError(t, err)
	assert.Equal(t, digest, got)
	require.Len(t, artifacts, 1)

	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1)
	assert.Equal(t, "linux/amd64", manifest.Manifests[0].Platform.String())
	assert.Empty(t, manifest.Manifests[0].ArtifactType, "it is an image")
	assert.Equal(t, r.version, manifest.Annotations["org.opencontainers.image.version"])
	assert.Equal(t, "0123abc", manifest.Annotations["org.opencontainers.image.revision"])
	image, err := index.Image(manifest.Manifests[0].Digest)
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, "10001:10001", config.Config.User)
	assert.Equal(t, []string{"/otelcol-mesh"}, config.Config.Entrypoint)
	assert.Empty(t, config.Config.Cmd)
	assert.Empty(t, config.Config.Env)

	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"export", r.layoutDir()}, &out))
	var names []string
	for files := tar.NewReader(&out); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		names = append(names, strings.TrimSuffix(h.Name, "/"))
		switch {
		case strings.HasPrefix(h.Name, "var/lib/otelcol-mesh"):
			assert.Equal(t, []any{user, user, int64(0o700)}, []any{h.Uid, h.Gid, h.Mode})
		default:
			assert.Equal(t, []int{0, 0}, []int{h.Uid, h.Gid}, h.Name)
			assert.Zero(t, h.Mode&0o022, "%s is written by root alone", h.Name)
		}
		assert.Zero(t, h.Mode&0o7000, h.Name)
	}
	assert.ElementsMatch(t, []string{
		"otelcol-mesh", "otelcol-mesh-doctor", "otelcol-mesh-explain", "otelcol-mesh-init",
		"etc", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/ca-certificates.crt", "var", "var/lib", "var/lib/otelcol-mesh",
	}, names, "no shell, nothing else")
	require.ErrorContains(t, run(t.Context(), []string{"export", "-platform", "linux/arm64", r.layoutDir()}, io.Discard), "no image of linux/arm64")
}

// TestArchiveOfTheLayout prevents that `docker load` finds less than what the folder has.
func TestArchiveOfTheLayout(t *testing.T) {
	r, _, _ := written(t)
	f, err := os.Open(r.layoutDir() + ".tar")
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	files, err := tree(r.layoutDir())
	require.NoError(t, err)
	var inFolder, inArchive []string
	for _, one := range files {
		inFolder = append(inFolder, one.name)
	}
	for in := tar.NewReader(f); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		inArchive = append(inArchive, h.Name)
	}
	assert.ElementsMatch(t, inFolder, inArchive)
}

// TestPush prevents that a registry has another image than the one that was checked, or no bill of materials with it.
func TestPush(t *testing.T) {
	r, image, digest := written(t)
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	to := strings.TrimPrefix(server.URL, "http://") + "/mesh/collector:" + r.version
	var out bytes.Buffer
	require.NoError(t, push(t.Context(), r.layoutDir(), to, &out))
	assert.Equal(t, strings.TrimSuffix(to, ":"+r.version)+"@"+digest.String(), strings.TrimSpace(out.String()))

	tag, err := imagename.NewTag(to)
	require.NoError(t, err)
	there, err := remote.Index(tag)
	require.NoError(t, err)
	require.NoError(t, validate.Index(there))
	got, err := there.Digest()
	require.NoError(t, err)
	assert.Equal(t, digest, got)

	of, err := image.image.Digest()
	require.NoError(t, err)
	about, err := remote.Referrers(tag.Context().Digest(of.String()))
	require.NoError(t, err)
	manifest, err := about.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1)
	assert.Equal(t, sbomType, manifest.Manifests[0].ArtifactType)
	artifact, err := remote.Image(tag.Context().Digest(manifest.Manifests[0].Digest.String()))
	require.NoError(t, err)
	layers, err := artifact.Layers()
	require.NoError(t, err)
	require.Len(t, layers, 1)
	content, err := layers[0].Compressed()
	require.NoError(t, err)
	raw, err := io.ReadAll(content)
	require.NoError(t, err)
	assert.Equal(t, image.sbom, raw)
}

// TestSums prevents a file that nobody can check.
func TestSums(t *testing.T) {
	r, image, _ := written(t)
	require.NoError(t, r.files(r.platforms[0], image))
	require.NoError(t, run(t.Context(), []string{"sums", "-out", r.out}, io.Discard))
	raw, err := os.ReadFile(filepath.Join(r.out, sumsFile))
	require.NoError(t, err)
	var names []string
	for line := range strings.Lines(string(raw)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		require.True(t, ok, line)
		got, err := sha256File(filepath.Join(r.out, name))
		require.NoError(t, err)
		assert.Equal(t, got, sum)
		names = append(names, name)
	}
	base := "otelcol-mesh_" + r.version + "_linux_amd64"
	assert.Subset(t, names, []string{base + ".tar.gz", base + ".cdx.json", "otelcol-mesh-" + r.version + ".oci.tar", "linux_amd64/otelcol-mesh"})

	require.NoError(t, clean(r.out))
	assert.NoFileExists(t, filepath.Join(r.out, base+".tar.gz"))
	assert.FileExists(t, r.program(r.platforms[0], name))
}
