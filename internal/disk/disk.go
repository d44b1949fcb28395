// SPDX-License-Identifier: Apache-2.0

// Package disk has what components with a state need of files: [Replace] leaves the old or the new content of a file, whole, at
// whatever moment the process ends; [Lock] keeps two of them from using one directory.
package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// unfinished ends the name of a file that is being written. One that a crash left behind is written over.
const unfinished = ".tmp"

// setAside ends the name of a file that was found damaged, for people to look at. There is at most one.
const setAside = ".damaged"

// Replace writes a file: into a temporary one beside it, to the disk, renamed over the old one, and the directory to
// the disk. It returns how many bytes the file has. After an error the old file is as it was.
func Replace(path string, write func(io.Writer) error) (size int64, err error) {
	temporary := path + unfinished
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("creating the disk copy: %w", err)
	}
	size, err = fill(file, write)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		// What is left of it takes room on a disk that may be full.
		return 0, fmt.Errorf("writing the disk copy: %w", errors.Join(err, os.Remove(temporary)))
	}
	if err := SyncDirectory(filepath.Dir(path)); err != nil {
		return 0, fmt.Errorf("writing the directory of the disk copy: %w", err)
	}
	return size, nil
}

func fill(file *os.File, write func(io.Writer) error) (size int64, err error) {
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := write(file); err != nil {
		return 0, err
	}
	if err := file.Sync(); err != nil {
		return 0, err
	}
	return file.Seek(0, io.SeekCurrent)
}

// SetAside renames a damaged file, over one that was set aside before, and returns its new name.
func SetAside(path string) (string, error) {
	aside := path + setAside
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("setting the damaged disk copy aside: %w", err)
	}
	return aside, nil
}
