// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultInterval is the time between two looks at a file.
const DefaultInterval = 10 * time.Second

// Observer is told what becomes of a file. Its methods are called one after the other, on the source's goroutine.
type Observer interface {
	// ConnectionReloaded says that the file has a new content, which is used from now on; before is the one until now.
	// It is also called when a file that could not be used has its old content back; both are then the same.
	ConnectionReloaded(before, now *Info)
	// ConnectionKept says that the file cannot be used, and why; what was read last stays in use. It is called once for
	// each reason, not at each look. The error holds no value of the file.
	ConnectionKept(current *Info, err error)
}

// Settings say where the connection string is. One of Text and File must be there.
type Settings struct {
	// Text is the connection string itself.
	Text string
	// File is the path of a file with nothing else in it, at most [MaxLength] bytes. It may be a symbolic link that is
	// swapped, as in a mounted Kubernetes secret.
	File string
	// Interval is the time between two looks at the file; 0 for [DefaultInterval].
	Interval time.Duration
	// Options are the parser's.
	Options Options
	// Observer is told about changes; nil for nobody.
	Observer Observer
}

// Source has the connection string that is to be used now. All methods are safe for concurrent use.
type Source struct {
	settings Settings
	current  atomic.Pointer[Info]
	failure  atomic.Pointer[string]

	// mu guards what looks at the file share.
	mu     sync.Mutex
	cancel context.CancelFunc
	done   sync.WaitGroup
	text   string
}

var errWhere = errors.New("either a connection string or the path of a file with one is needed, and not both")

// New reads the string or the file once; an error names what is wrong with it. Call [Source.Start] to follow the file.
func New(settings Settings) (*Source, error) {
	if (settings.Text == "") == (settings.File == "") {
		if settings.Text == "" {
			return nil, errEmpty
		}
		return nil, errWhere
	}
	if settings.Interval <= 0 {
		settings.Interval = DefaultInterval
	}
	s := &Source{settings: settings, text: settings.Text}
	if settings.File != "" {
		text, err := read(settings.File)
		if err != nil {
			return nil, err
		}
		s.text = text
	}
	info, err := Parse(s.text, settings.Options)
	if err != nil {
		return nil, s.inFile(err)
	}
	s.current.Store(info)
	return s, nil
}

// Current returns what is to be used now, never nil. It neither locks nor allocates.
func (s *Source) Current() *Info { return s.current.Load() }

// Failure says why the file cannot be used at the moment; empty while it can.
func (s *Source) Failure() string {
	if f := s.failure.Load(); f != nil {
		return *f
	}
	return ""
}

// Start follows the file until [Source.Shutdown]. It does nothing if the string came as a text, or at a second call.
func (s *Source) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settings.File == "" || s.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.done.Go(func() { s.follow(ctx) })
}

// Shutdown stops following the file and waits for it. [Source.Current] stays as it is.
func (s *Source) Shutdown() {
	s.mu.Lock()
	cancel := s.cancel
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	s.done.Wait()
}

func (s *Source) follow(ctx context.Context) {
	ticker := time.NewTicker(s.settings.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// The observer and Failure tell what came of it.
			_ = s.Look()
		}
	}
}

// Look reads the file now. It compares contents, not times: a swapped link may have any time. The error is why the last
// good content stays.
func (s *Source) Look() error {
	if s.settings.File == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := read(s.settings.File)
	before := s.current.Load()
	now := before
	if err == nil && text != s.text {
		if now, err = Parse(text, s.settings.Options); err != nil {
			err = s.inFile(err)
		}
	}
	failed := s.Failure()
	if err != nil {
		if reason := err.Error(); reason != failed {
			s.failure.Store(&reason)
			if s.settings.Observer != nil {
				s.settings.Observer.ConnectionKept(before, err)
			}
		}
		return err
	}
	changed := text != s.text
	s.text = text
	s.current.Store(now)
	s.failure.Store(nil)
	if (changed || failed != "") && s.settings.Observer != nil {
		s.settings.Observer.ConnectionReloaded(before, now)
	}
	return nil
}

func (s *Source) inFile(err error) error {
	if s.settings.File == "" {
		return err
	}
	return fmt.Errorf("file %s: %w", s.settings.File, err)
}

// read reads a file that should have one line. A byte order mark, as some editors write, is no part of it.
func read(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the file of the connection string cannot be read: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxLength+16))
	if err != nil {
		return "", fmt.Errorf("the file of the connection string cannot be read: %w", err)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(data), "\ufeff")), nil
}
