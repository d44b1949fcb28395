// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// file is an entry of an archive: a folder if its name ends with a slash, otherwise what `from` or `content` has.
type file struct {
	name    string
	from    string
	content []byte
	mode    int64
	// owner is user and group.
	owner int
}

// writeTar writes nothing that depends on when, where or by whom it is made: names in order, numbers for owners, 1970.
func writeTar(to io.Writer, files []file) error {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	w := tar.NewWriter(to)
	for _, f := range files {
		if err := writeFile(w, f); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return w.Close()
}

func writeFile(w *tar.Writer, f file) error {
	header := &tar.Header{
		Name: f.name, Mode: f.mode, Uid: f.owner, Gid: f.owner, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg,
		Size: int64(len(f.content)), Format: tar.FormatUSTAR,
	}
	if strings.HasSuffix(f.name, "/") {
		header.Typeflag = tar.TypeDir
		return w.WriteHeader(header)
	}
	var content io.Reader = bytes.NewReader(f.content)
	if f.from != "" {
		in, err := os.Open(f.from)
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		info, err := in.Stat()
		if err != nil {
			return err
		}
		header.Size, content = info.Size(), in
	}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(w, content)
	return err
}

func gzipped(files []file) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if err := errors.Join(writeTar(w, files), w.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// tree lists the files below a folder, without the folders themselves.
func tree(dir string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(dir, func(at string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		below, err := filepath.Rel(dir, at)
		files = append(files, file{name: filepath.ToSlash(below), from: at, mode: 0o644})
		return err
	})
	return files, err
}

// chartCommand: Helm writes the times of the files that a checkout happens to have.
func chartCommand(_ context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("chart", flag.ContinueOnError)
	out := flags.String("out", "build/release", "folder to write to")
	if err := parse(flags, args, "CHART.tgz"); err != nil {
		return err
	}
	in, err := os.Open(flags.Arg(0))
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	files, err := untar(in)
	if err != nil {
		return fmt.Errorf("%s: %w", flags.Arg(0), err)
	}
	raw, err := gzipped(files)
	if err != nil {
		return err
	}
	to := filepath.Join(*out, filepath.Base(flags.Arg(0)))
	fmt.Fprintln(stdout, to)
	return os.WriteFile(to, raw, 0o644)
}

func untar(in io.Reader) ([]file, error) {
	unzipped, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	var files []file
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg || path.Clean(header.Name) != header.Name {
			return nil, fmt.Errorf("entry %s is no file: a chart has files alone", header.Name)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: header.Name, content: content, mode: 0o644})
	}
}
