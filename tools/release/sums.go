// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const sumsFile = "SHA256SUMS"

func sumsCommand(_ context.Context, args []string, _ io.Writer) error {
	flags := flag.NewFlagSet("sums", flag.ContinueOnError)
	out := flags.String("out", "build/release", "folder whose files to write down")
	if err := parse(flags, args); err != nil {
		return err
	}
	return writeSums(*out)
}

// writeSums writes what `sha256sum --check` reads, over the files that are published and over the programs, for whoever
// has an image alone.
func writeSums(dir string) error {
	files, err := tree(dir)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, f := range files {
		// Inside a layout, a file's name is its sum.
		if f.name == sumsFile || strings.Contains(f.name, ".oci/") {
			continue
		}
		sum, err := sha256File(f.from)
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%s  %s\n", sum, f.name)
	}
	return os.WriteFile(filepath.Join(dir, sumsFile), []byte(lines.String()), 0o644)
}

func sha256File(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
