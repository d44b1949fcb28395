// SPDX-License-Identifier: Apache-2.0

// Package image_test checks what `make image` makes. The tool's own tests are in tools/release.
package image_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// TestMain makes and removes the folder that the tests share.
func TestMain(m *testing.M) {
	var err error
	if shared.dir, err = os.MkdirTemp("", "image"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(shared.dir)
	os.Exit(code)
}

func version(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "builder-config.yaml"))
	require.NoError(t, err)
	var manifest struct {
		Dist struct {
			Version string `yaml:"version"`
		} `yaml:"dist"`
	}
	require.NoError(t, yaml.Unmarshal(raw, &manifest))
	require.Regexp(t, `^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`, manifest.Dist.Version, "dist.version of builder-config.yaml is a semantic version")
	return manifest.Dist.Version
}

// tool runs tools/release as `make` built it.
func tool(t *testing.T, args ...string) []byte {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, ".tools", "release"))
	require.NoError(t, err)
	require.FileExists(t, path, "the tool is not built: run 'make "+path+"'")
	cmd := exec.CommandContext(t.Context(), path, args...)
	// What a machine may have set, and what must not get into the image.
	cmd.Env = append(os.Environ(), "GOAMD64=v2", "GOARM64=v8.1", "CGO_ENABLED=1", "SOURCE_DATE_EPOCH=1700000000")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "release %s: %s", strings.Join(args, " "), stderr.String())
	return out
}

// checkout copies what the image is built from: the tree, and what ocb generated from its manifest.
func checkout(t *testing.T, root, to string) {
	t.Helper()
	for _, folder := range []string{"cmd", "components", "internal", "processors", "receivers"} {
		require.NoError(t, os.CopyFS(filepath.Join(to, folder), os.DirFS(filepath.Join(root, folder))))
	}
	generated, err := filepath.Glob(filepath.Join(root, "build", "distribution", "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, generated, "the distribution is not built: run 'make build'")
	files := []string{"go.mod", "go.sum", "LICENSE", "builder-config.yaml", "build/distribution/go.mod", "build/distribution/go.sum"}
	for _, path := range generated {
		files = append(files, "build/distribution/"+filepath.Base(path))
	}
	for _, file := range files {
		raw, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(to, file)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(to, file), raw, 0o600))
	}
}

var shared struct {
	once sync.Once
	dir  string
	// digests and folders of two images, built from two copies of the tree.
	digests, out [2]string
}

// platform is that of this machine: its packages are compiled already. The other one takes some minutes to compile; the
// release workflow builds both twice.
func platform() string { return "linux/" + runtime.GOARCH }

func build(t *testing.T) {
	t.Helper()
	shared.once.Do(func() {
		from := root
		for i, at := range []string{"one", "another/place"} {
			tree := filepath.Join(shared.dir, at)
			// The second is a copy of the first: the tree itself may be edited meanwhile.
			checkout(t, from, tree)
			from = tree
			shared.out[i] = filepath.Join(shared.dir, "out", at)
			line := tool(t, "image", "-root", tree, "-out", shared.out[i], "-platforms", platform(), "-revision", "0123abc")
			shared.digests[i], _, _ = strings.Cut(string(line), " ")
		}
	})
	require.Regexp(t, `^sha256:[0-9a-f]{64}$`, shared.digests[1], "both images are built")
}

func layout(t *testing.T) string {
	t.Helper()
	build(t)
	return filepath.Join(shared.out[0], "otelcol-mesh-"+version(t)+".oci")
}

// TestReproducible prevents that nobody can check whether an image is made from this source: built in two folders it is
// the same to the byte, with everything beside it.
func TestReproducible(t *testing.T) {
	build(t)
	assert.Equal(t, shared.digests[0], shared.digests[1])
	var sums [2]string
	for i, out := range shared.out {
		raw, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
		require.NoError(t, err)
		sums[i] = string(raw)
	}
	assert.Equal(t, sums[0], sums[1])
	for _, name := range []string{"/otelcol-mesh\n", "/otelcol-mesh-doctor\n", "/otelcol-mesh-explain\n", "/otelcol-mesh-init\n", ".oci.tar\n", ".tar.gz\n", ".cdx.json\n"} {
		assert.Contains(t, sums[0], name)
	}
	for _, name := range []string{"otelcol-mesh", "otelcol-mesh-init"} {
		raw, err := os.ReadFile(filepath.Join(shared.out[0], "linux_"+runtime.GOARCH, name))
		require.NoError(t, err)
		assert.False(t, bytes.Contains(raw, []byte(shared.dir)), "%s has the path it was built in", name)
	}
}

type imageConfig struct {
	Created string `json:"created"`
	Config  struct {
		User         string              `json:"User"`
		Entrypoint   []string            `json:"Entrypoint"`
		Cmd          []string            `json:"Cmd"`
		ExposedPorts map[string]struct{} `json:"ExposedPorts"`
		WorkingDir   string              `json:"WorkingDir"`
		Labels       map[string]string   `json:"Labels"`
	} `json:"config"`
}

// configOf follows the layout's digests as an engine does.
func configOf(t *testing.T) imageConfig {
	t.Helper()
	type manifest struct {
		Manifests []struct{ Digest string } `json:"manifests"`
		Config    struct{ Digest string }   `json:"config"`
	}
	read := func(path string, into any) {
		raw, err := os.ReadFile(filepath.Join(layout(t), path))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, into))
	}
	blob := func(digest string) string { return filepath.Join("blobs", strings.Replace(digest, ":", "/", 1)) }
	var all, index, image manifest
	read("index.json", &all)
	require.Equal(t, shared.digests[0], all.Manifests[0].Digest)
	read(blob(all.Manifests[0].Digest), &index)
	require.Len(t, index.Manifests, 1)
	read(blob(index.Manifests[0].Digest), &image)
	var config imageConfig
	read(blob(image.Config.Digest), &config)
	return config
}

// TestConfiguration holds the image's user, entry point, labels, and the one time that is in it.
func TestConfiguration(t *testing.T) {
	config := configOf(t)
	assert.Equal(t, "2023-11-14T22:13:20Z", config.Created, "SOURCE_DATE_EPOCH")
	assert.Equal(t, "10001:10001", config.Config.User)
	assert.Equal(t, []string{"/otelcol-mesh"}, config.Config.Entrypoint)
	assert.Empty(t, config.Config.Cmd, "no role is guessed")
	assert.Equal(t, version(t), config.Config.Labels["org.opencontainers.image.version"])
	assert.Equal(t, "0123abc", config.Config.Labels["org.opencontainers.image.revision"])
}

// TestDockerfile prevents that the image of the Dockerfile runs otherwise than the one that is tested.
func TestDockerfile(t *testing.T) {
	raw, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	_, final, ok := strings.Cut(string(raw), "\nFROM scratch\n")
	require.True(t, ok)
	instruction := func(name string) string {
		found := regexp.MustCompile(`(?m)^` + name + ` (.*)$`).FindStringSubmatch(final)
		require.NotNil(t, found, name)
		return found[1]
	}
	config := configOf(t).Config
	assert.Equal(t, config.User, instruction("USER"))
	assert.Equal(t, config.WorkingDir, instruction("WORKDIR"))
	var entrypoint []string
	require.NoError(t, json.Unmarshal([]byte(instruction("ENTRYPOINT")), &entrypoint))
	assert.Equal(t, config.Entrypoint, entrypoint)
	var ports []string
	for port := range config.ExposedPorts {
		ports = append(ports, strings.TrimSuffix(port, "/tcp"))
	}
	assert.ElementsMatch(t, ports, strings.Fields(instruction("EXPOSE")))

	copied := regexp.MustCompile(`/image/\S+`).FindAllString(final, -1)
	dir := files(t)
	for _, path := range copied {
		_, err := os.Stat(filepath.Join(dir, strings.TrimPrefix(path, "/image")))
		require.NoError(t, err, "the Dockerfile copies what the image does not have")
	}
	var there []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			there = append(there, strings.TrimPrefix(path, dir))
		}
		return err
	}))
	for _, path := range there {
		assert.True(t, strings.Contains(final, "/image"+path) || strings.HasPrefix(path, "/etc/"), "%s is not copied", path)
	}
}
