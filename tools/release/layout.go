// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	imagename "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const refName = "org.opencontainers.image.ref.name"

// writeLayout writes the image index, what refers to it, and the same as one file. It returns the digest of the index: that
// of the image.
func (r *release) writeLayout(images []platformImage) (v1.Hash, error) {
	index, err := r.index(images)
	if err != nil {
		return v1.Hash{}, err
	}
	path, err := layout.Write(r.layoutDir(), empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{refName: r.version})); err != nil {
		return v1.Hash{}, err
	}
	for _, i := range images {
		about, err := referrer(i)
		if err != nil {
			return v1.Hash{}, err
		}
		if err := path.AppendImage(about); err != nil {
			return v1.Hash{}, err
		}
	}
	files, err := tree(r.layoutDir())
	if err != nil {
		return v1.Hash{}, err
	}
	archive, err := os.Create(r.layoutDir() + ".tar")
	if err != nil {
		return v1.Hash{}, err
	}
	if err := errors.Join(writeTar(archive, files), archive.Close()); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

// readLayout finds the image in a layout that writeLayout wrote, and the artifacts that refer to it.
func readLayout(dir string) (image v1.ImageIndex, artifacts []v1.Image, err error) {
	all, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, nil, err
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		return nil, nil, err
	}
	for _, m := range manifest.Manifests {
		if m.MediaType == types.OCIImageIndex {
			image, err = all.ImageIndex(m.Digest)
		} else {
			var artifact v1.Image
			artifact, err = all.Image(m.Digest)
			artifacts = append(artifacts, artifact)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if image == nil {
		return nil, nil, fmt.Errorf("%s has no image index: write the folder that the image command wrote", dir)
	}
	return image, artifacts, nil
}

func pushCommand(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("push", flag.ContinueOnError)
	if err := parse(flags, args, "LAYOUT", "REGISTRY/REPOSITORY:TAG"); err != nil {
		return err
	}
	return push(ctx, flags.Arg(0), flags.Arg(1), stdout)
}

// push takes whom to log in as from the configuration that `docker login` writes.
func push(ctx context.Context, dir, to string, stdout io.Writer) error {
	tag, err := imagename.NewTag(to, imagename.StrictValidation)
	if err != nil {
		return fmt.Errorf("%s: write REGISTRY/REPOSITORY:TAG: %w", to, err)
	}
	image, artifacts, err := readLayout(dir)
	if err != nil {
		return err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if err := remote.WriteIndex(tag, image, options...); err != nil {
		return err
	}
	for _, artifact := range artifacts {
		digest, err := artifact.Digest()
		if err != nil {
			return err
		}
		if err := remote.Write(tag.Context().Digest(digest.String()), artifact, options...); err != nil {
			return err
		}
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, tag.Context().Digest(digest.String()))
	return nil
}

func exportCommand(_ context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("export", flag.ContinueOnError)
	platform := flags.String("platform", "linux/amd64", "whose files")
	if err := parse(flags, args, "LAYOUT"); err != nil {
		return err
	}
	index, _, err := readLayout(flags.Arg(0))
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, m := range manifest.Manifests {
		if m.Platform == nil || m.Platform.String() != *platform {
			continue
		}
		image, err := index.Image(m.Digest)
		if err != nil {
			return err
		}
		files := mutate.Extract(image)
		_, err = io.Copy(stdout, files)
		return errors.Join(err, files.Close())
	}
	return fmt.Errorf("%s has no image of %s", flags.Arg(0), *platform)
}
