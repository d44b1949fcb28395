// SPDX-License-Identifier: Apache-2.0

// Package static reads the topology from a YAML file and reads it again when it changes.
//
//   - [Parse] reads and checks one file content.
//   - [Source.Load] reads the file once, for the start.
//   - [Source.Run] reads it again at each interval until its context ends.
//
// The file is polled and compared by content. That is slower to notice a change than a file watch, and it is right for
// every way a file is replaced: a ConfigMap mount swaps a symbolic link two directories up, editors rename, and some
// network file systems report nothing.
package static

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// maxFileSize is the ceiling of the file, in bytes. A pod takes about 150 bytes, so it is far above any mesh; it keeps
// a wrong path, such as a device, from filling the memory.
const maxFileSize = 64 << 20

var errTooLarge = fmt.Errorf("larger than %d bytes", maxFileSize)

// Settings are what a [Source] needs.
type Settings struct {
	// File is the path of the file.
	File string
	// Interval is the time between two readings, above zero.
	Interval time.Duration
	// Limits of the snapshot.
	Limits topology.Limits
	// Publish takes each good snapshot. It is called from one goroutine at a time.
	Publish func(*topology.Snapshot)
	// Report is called after each reading that brought news: with nil after a good snapshot was published, else with
	// the error, the last good snapshot staying in place. It is called from the same goroutine as Publish.
	Report func(error)
}

// Source reads one file. Make it with [New]; call [Source.Load], then [Source.Run].
type Source struct {
	settings Settings
	// seen is the hash of the content that was judged last, good or bad, so that a bad file is reported once.
	seen [sha256.Size]byte
	// judged is what is wrong with that content; nil if it is good.
	judged error
	// lastError is the text of the last reading error, reported once too.
	lastError string
}

// New returns a source that has read nothing yet.
func New(settings Settings) *Source { return &Source{settings: settings} }

// Load reads the file and publishes it. Unlike [Source.Run] it returns the error and does not report it: a collector
// that starts with a bad topology should not start.
func (s *Source) Load() error {
	data, hash, err := s.read()
	if err != nil {
		return err
	}
	snapshot, err := s.parse(data)
	if err != nil {
		return err
	}
	s.seen = hash
	s.settings.Publish(snapshot)
	return nil
}

// Run reads the file at each interval and publishes it when its content changed. It returns when the context ends.
func (s *Source) Run(ctx context.Context) {
	ticker := time.NewTicker(s.settings.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.reload()
		}
	}
}

func (s *Source) reload() {
	data, hash, err := s.read()
	if err != nil {
		if text := err.Error(); text != s.lastError {
			s.lastError = text
			s.settings.Report(err)
		}
		return
	}
	readable := s.lastError == ""
	s.lastError = ""
	if hash == s.seen {
		if !readable {
			s.settings.Report(s.judged)
		}
		return
	}
	s.seen = hash
	snapshot, err := s.parse(data)
	s.judged = err
	if err == nil {
		s.settings.Publish(snapshot)
	}
	s.settings.Report(err)
}

func (s *Source) parse(data []byte) (*topology.Snapshot, error) {
	snapshot, err := Parse(data, s.settings.Limits, time.Now())
	if err != nil {
		return nil, fmt.Errorf("topology file %q: %w", s.settings.File, err)
	}
	return snapshot, nil
}

func (s *Source) read() (data []byte, hash [sha256.Size]byte, err error) {
	// Opening a pipe would wait for a writer, and the collector with it.
	if info, err := os.Stat(s.settings.File); err == nil && !info.Mode().IsRegular() {
		return nil, hash, fmt.Errorf("the topology file %q is no regular file", s.settings.File)
	}
	file, err := os.Open(s.settings.File)
	if err != nil {
		return nil, hash, fmt.Errorf("opening the topology file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	data, err = io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err == nil && len(data) > maxFileSize {
		err = errTooLarge
	}
	if err != nil {
		return nil, hash, fmt.Errorf("reading the topology file %q: %w", s.settings.File, err)
	}
	return data, sha256.Sum256(data), nil
}
