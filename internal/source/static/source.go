// SPDX-License-Identifier: Apache-2.0

// Package static reads the topology from a YAML file and reads it again when it changes.
//
//   - [Parse] reads and checks one file content, all of it or nothing.
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
	"sync/atomic"
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
	// Emit takes what each good reading says: one full delta for each cluster when the content is new, else one for each
	// that only confirms it. gone are the clusters that the file described before. It is called from one goroutine at a
	// time.
	Emit func(deltas []*topology.Delta, gone []string)
	// Report is called after each reading that brought news: with nil after a good content was emitted, else with the
	// error, the last good content staying in place. It is called from the same goroutine as Emit.
	Report func(error)
	// Now tells the time; [time.Now] if nil.
	Now func() time.Time
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
	// clusters are those of the last good content, holders who has which address by it, and confirmed when it was read.
	clusters  []string
	holders   map[place]objectOf
	confirmed time.Time
	// again says that the next reading emits all, whether it is new or not.
	again atomic.Bool
}

// New returns a source that has read nothing yet.
func New(settings Settings) *Source {
	if settings.Now == nil {
		settings.Now = time.Now
	}
	return &Source{settings: settings}
}

// Load reads the file and emits it. Unlike [Source.Run] it returns the error and does not report it: a collector that
// starts with a bad topology should not start.
func (s *Source) Load() error {
	data, hash, err := s.read()
	if err != nil {
		return err
	}
	if err := s.take(data); err != nil {
		return err
	}
	s.seen = hash
	return nil
}

// Run reads the file at each interval. It returns when the context ends.
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

// Again lets the next reading emit the whole content even if it did not change, for a writer that gave a cluster to
// another source and wants it back. Safe for concurrent use.
func (s *Source) Again() { s.again.Store(true) }

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
	if hash == s.seen && (s.judged != nil || !s.again.Load()) {
		if s.judged == nil {
			s.confirm()
		}
		if !readable {
			s.settings.Report(s.judged)
		}
		return
	}
	news := hash != s.seen || !readable
	s.seen = hash
	s.judged = s.take(data)
	if news || s.judged != nil {
		s.settings.Report(s.judged)
	}
}

// take emits the content if it is good.
func (s *Source) take(data []byte) error {
	d, err := read(data, s.settings.Limits)
	if err != nil {
		return fmt.Errorf("topology file %q: %w", s.settings.File, err)
	}
	s.again.Store(false)
	now := s.settings.Now()
	deltas, holders := d.deltas(now, s.confirmed, s.holders)
	clusters := make([]string, len(deltas))
	for i, delta := range deltas {
		clusters[i] = delta.Cluster
	}
	gone := missing(s.clusters, clusters)
	s.clusters, s.holders, s.confirmed = clusters, holders, now
	s.settings.Emit(deltas, gone)
	return nil
}

// confirm tells that the file still says the same.
func (s *Source) confirm() {
	s.confirmed = s.settings.Now()
	deltas := make([]*topology.Delta, len(s.clusters))
	for i, cluster := range s.clusters {
		deltas[i] = &topology.Delta{Cluster: cluster, At: s.confirmed}
	}
	s.settings.Emit(deltas, nil)
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
