// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is who the image runs as, a number because the image has no list of users, and because Kubernetes' runAsNonRoot
// can judge nothing else.
const user = 10001

const (
	source   = "https://" + ownModule
	sbomType = "application/vnd.cyclonedx+json"
)

// ports are those of distribution/config, for whoever looks at the image; nothing is opened by them.
var ports = []string{"4317/tcp", "4318/tcp", "18090/tcp", "14317/tcp", "14318/tcp", "13133/tcp", "8888/tcp"}

// platformImage is the image of one platform, and what it is made of.
type platformImage struct {
	platform v1.Platform
	image    v1.Image
	sbom     []byte
}

// layers go from what changes seldom to what changes always: a node that has the former release fetches the difference.
func (r *release) layers(p v1.Platform) ([][]file, error) {
	certificates, err := roots()
	if err != nil {
		return nil, err
	}
	base := []file{
		{name: "etc/", mode: 0o755},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: rootsPath, content: certificates, mode: 0o444},
		{name: "var/", mode: 0o755},
		{name: "var/lib/", mode: 0o755},
		// A volume that an engine makes here takes its owner from the image.
		{name: "var/lib/" + name + "/", mode: 0o700, owner: user},
	}
	var commands []file
	for _, program := range programs[1:] {
		commands = append(commands, file{name: program.name, from: r.program(p, program.name), mode: 0o555})
	}
	return [][]file{base, commands, {{name: name, from: r.program(p, name), mode: 0o555}}}, nil
}

func (r *release) imageOf(p v1.Platform) (v1.Image, error) {
	config := &v1.ConfigFile{
		Created: v1.Time{Time: r.created}, Architecture: p.Architecture, OS: p.OS,
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User:         fmt.Sprintf("%d:%d", user, user),
			Entrypoint:   []string{"/" + name},
			WorkingDir:   "/",
			ExposedPorts: map[string]struct{}{},
			Labels:       r.labels(),
		},
	}
	for _, port := range ports {
		config.Config.ExposedPorts[port] = struct{}{}
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, config)
	if err != nil {
		return nil, err
	}
	layers, err := r.layers(p)
	if err != nil {
		return nil, err
	}
	for i, files := range layers {
		layer, err := ociLayer(files)
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{
			Created: v1.Time{Time: r.created}, CreatedBy: []string{"authorities", "commands", "collector"}[i],
		}})
		if err != nil {
			return nil, err
		}
	}
	annotated, ok := mutate.Annotations(image, r.labels()).(v1.Image)
	if !ok {
		return nil, fmt.Errorf("annotated image is a %T", annotated)
	}
	return annotated, nil
}

func ociLayer(files []file) (v1.Layer, error) {
	var raw bytes.Buffer
	if err := writeTar(&raw, files); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(raw.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// labels stand in the configuration, where engines show them, and as annotations, where registries do.
func (r *release) labels() map[string]string {
	const prefix = "org.opencontainers.image."
	labels := map[string]string{
		prefix + "title":         name,
		prefix + "description":   r.description,
		prefix + "version":       r.version,
		prefix + "created":       r.created.Format(time.RFC3339),
		prefix + "licenses":      "Apache-2.0",
		prefix + "source":        source,
		prefix + "url":           source,
		prefix + "documentation": source + "/blob/v" + r.version + "/distribution/image/README.md",
	}
	if r.revision != "" {
		labels[prefix+"revision"] = r.revision
	}
	return labels
}

// platformEntry is an image without a type of artifact. The library names one in the index otherwise, and there are tools that
// take what has one for something else than an image, or drop the name and with it the digest.
type platformEntry struct{ v1.Image }

func (platformEntry) ArtifactType() (string, error) { return "", nil }

func (r *release) index(images []platformImage) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, i := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: platformEntry{i.image}, Descriptor: v1.Descriptor{Platform: &i.platform}})
	}
	annotated, ok := mutate.Annotations(index, r.labels()).(v1.ImageIndex)
	if !ok {
		return nil, fmt.Errorf("annotated index is a %T", annotated)
	}
	return annotated, nil
}

// referrer is the bill of materials as an artifact of the registry: its `subject` says which image it is of, and registries
// answer which artifacts an image has.
func referrer(i platformImage) (v1.Image, error) {
	subject, err := partial.Descriptor(i.image)
	if err != nil {
		return nil, err
	}
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), sbomType)
	artifact, err = mutate.Append(artifact, mutate.Addendum{Layer: static.NewLayer(i.sbom, sbomType)})
	if err != nil {
		return nil, err
	}
	subject.Platform = nil
	about, ok := mutate.Subject(artifact, *subject).(v1.Image)
	if !ok {
		return nil, fmt.Errorf("artifact with a subject is a %T", about)
	}
	return about, nil
}
