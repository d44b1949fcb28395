// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	name      = "otelcol-mesh"
	ownModule = "github.com/otelcol-mesh/otelcol-mesh"
)

// programs are what the image has, by the package they are built from; the first is what it runs.
var programs = []struct{ name, folder, pkg string }{
	{name, "build/distribution", "."},
	{name + "-doctor", ".", "./cmd/otelcol-mesh-doctor"},
	{name + "-explain", ".", "./cmd/otelcol-mesh-explain"},
	{name + "-init", ".", "./cmd/otelcol-mesh-init"},
}

// release is one run of the image command.
type release struct {
	// root is the repository, out where results go.
	root, out string
	version   string
	// description is what builder-config.yaml says of the distribution.
	description string
	revision    string
	// created is SOURCE_DATE_EPOCH, 1970 without. It is in the image's configuration alone: files have no time, so that a
	// layer that did not change has the same digest in the next release.
	created   time.Time
	platforms []v1.Platform
	pins      map[string]string
}

func newRelease(root, out, revision string, platforms []string) (*release, error) {
	r := &release{root: root, out: out, revision: revision}
	for _, p := range platforms {
		if p != "linux/amd64" && p != "linux/arm64" {
			return nil, fmt.Errorf("platform %q: write linux/amd64 or linux/arm64", p)
		}
		r.platforms = append(r.platforms, v1.Platform{OS: "linux", Architecture: strings.TrimPrefix(p, "linux/")})
	}
	manifest, err := os.ReadFile(filepath.Join(root, "builder-config.yaml"))
	if err != nil {
		return nil, fmt.Errorf("-root: %w", err)
	}
	if r.version, err = dist(manifest, "version"); err != nil {
		return nil, err
	}
	if r.description, err = dist(manifest, "description"); err != nil {
		return nil, err
	}
	if r.created, err = sourceDate(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return nil, err
	}
	if r.pins, err = readPins(filepath.Join(root, "go.mod")); err != nil {
		return nil, err
	}
	return r, nil
}

// dist reads a line of builder-config.yaml's `dist`, the one place of name and version.
func dist(manifest []byte, key string) (string, error) {
	found := regexp.MustCompile(`(?m)^  ` + key + `: *(.*?) *$`).FindSubmatch(manifest)
	if found == nil || len(found[1]) == 0 {
		return "", fmt.Errorf("builder-config.yaml has no dist.%s", key)
	}
	return string(found[1]), nil
}

func sourceDate(s string) (time.Time, error) {
	if s == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%q: write seconds since 1970, as `git log -1 --format=%%ct` prints them", s)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func (r *release) layoutDir() string {
	return filepath.Join(r.out, fmt.Sprintf("%s-%s.oci", name, r.version))
}

// program is the path of a built program.
func (r *release) program(p v1.Platform, program string) string {
	return filepath.Join(r.out, p.OS+"_"+p.Architecture, program)
}

// make returns the digest of the image index.
func (r *release) make(ctx context.Context) (v1.Hash, error) {
	if err := clean(r.out); err != nil {
		return v1.Hash{}, err
	}
	var images []platformImage
	for _, p := range r.platforms {
		if err := r.build(ctx, p); err != nil {
			return v1.Hash{}, err
		}
		image := platformImage{platform: p}
		var err error
		if image.sbom, err = r.sbom(p); err != nil {
			return v1.Hash{}, fmt.Errorf("bill of materials of %s: %w", p, err)
		}
		if image.image, err = r.imageOf(p); err != nil {
			return v1.Hash{}, fmt.Errorf("image of %s: %w", p, err)
		}
		images = append(images, image)
		if err := r.files(p, image); err != nil {
			return v1.Hash{}, err
		}
	}
	digest, err := r.writeLayout(images)
	if err != nil {
		return v1.Hash{}, err
	}
	return digest, writeSums(r.out)
}

// files are what a release has beside the image: an archive of the programs, and their bill of materials.
func (r *release) files(p v1.Platform, image platformImage) error {
	base := filepath.Join(r.out, fmt.Sprintf("%s_%s_%s_%s", name, r.version, p.OS, p.Architecture))
	archive := []file{{name: "LICENSE", from: filepath.Join(r.root, "LICENSE"), mode: 0o644}}
	for _, program := range programs {
		archive = append(archive, file{name: program.name, from: r.program(p, program.name), mode: 0o755})
	}
	raw, err := gzipped(archive)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(base+".tar.gz", raw, 0o644),
		os.WriteFile(base+".cdx.json", image.sbom, 0o644),
	)
}

// clean removes what an earlier run left: it would be in SHA256SUMS. The programs stay, as the linker keeps one that
// did not change. A folder that is not one of ours is refused.
func clean(out string) error {
	entries, err := os.ReadDir(out)
	if errors.Is(err, os.ErrNotExist) {
		return os.MkdirAll(out, 0o755)
	}
	if err != nil {
		return err
	}
	ours := regexp.MustCompile(`^(otelcol-mesh[-_].*|linux_(amd64|arm64)|SHA256SUMS)$`)
	for _, e := range entries {
		if !ours.MatchString(e.Name()) {
			return fmt.Errorf("-out %s has %s, which is not of a release: name a folder for the release alone", out, e.Name())
		}
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "linux_") {
			if err := os.RemoveAll(filepath.Join(out, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
