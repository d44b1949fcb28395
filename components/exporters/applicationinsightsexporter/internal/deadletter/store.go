// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Observer is told what happens to letters. Its methods are called from [Store.Write], one at a time for one directory,
// and must not call the store.
type Observer interface {
	// LettersWritten says that letters of a destination and a reason were kept.
	LettersWritten(destination, reason string, letters int)
	// LettersEvicted says that the oldest file made room, and how many letters went with it that nobody had delivered.
	LettersEvicted(letters int, bytes int64)
	// LettersStored says what the directory holds, all processes together, as of the last look at it and what this process
	// wrote since.
	LettersStored(files int, bytes int64)
}

// ErrClosed is returned by a [Store] that was closed.
var ErrClosed = errors.New("the dead letters are closed")

// Store keeps letters. Its methods may be called at once from many goroutines. Stores of one process and directory write
// to one file.
type Store struct {
	observer Observer
	mu       sync.Mutex
	shared   *directory // nil when closed
}

// open directories of this process, by their absolute path.
var (
	directoriesMu sync.Mutex
	directories   = map[string]*directory{}
)

// Open makes the directory if needed and writes a first empty file to see that it can. An error names the key. The observer
// may be nil.
func Open(settings Settings, observer Observer) (*Store, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	if !settings.Enabled() {
		return nil, errors.New("'directory' is empty: write where dead letters go")
	}
	if observer == nil {
		observer = nobody{}
	}
	path, err := filepath.Abs(settings.Directory)
	if err != nil {
		return nil, fmt.Errorf("'directory' %q: %w", settings.Directory, err)
	}
	directoriesMu.Lock()
	defer directoriesMu.Unlock()
	shared := directories[path]
	if shared == nil {
		if shared, err = openDirectory(path, settings); err != nil {
			return nil, fmt.Errorf("'directory' %q cannot be written: %w; write a directory that the collector's user owns", settings.Directory, err)
		}
		directories[path] = shared
	} else if !shared.same(settings) {
		return nil, fmt.Errorf("'directory' %q has other limits in another exporter: write the same 'max_mib', 'max_file_mib' and 'fsync', or another directory",
			settings.Directory)
	}
	shared.users++
	return &Store{observer: observer, shared: shared}, nil
}

// Write keeps letters. After an error none of them counts as kept, and the caller keeps the items where they are: the disk
// is full, the directory is gone or not writable, or ctx ended before it began. Letters of a call that are more than one file
// takes may then stand in the files and come once more when the caller tries again.
func (s *Store) Write(ctx context.Context, letters []Letter) error {
	s.mu.Lock()
	shared := s.shared
	s.mu.Unlock()
	if shared == nil {
		return ErrClosed
	}
	if len(letters) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := shared.write(letters, s.observer); err != nil {
		return fmt.Errorf("keeping dead letters in %q: %w", shared.path, err)
	}
	return nil
}

// Close ends the store; the last one of a directory closes its file. It may be called more than once.
func (s *Store) Close() error {
	s.mu.Lock()
	shared := s.shared
	s.shared = nil
	s.mu.Unlock()
	if shared == nil {
		return nil
	}
	directoriesMu.Lock()
	defer directoriesMu.Unlock()
	if shared.users--; shared.users > 0 {
		return nil
	}
	delete(directories, shared.path)
	return shared.close()
}

type nobody struct{}

func (nobody) LettersWritten(string, string, int) {}
func (nobody) LettersEvicted(int, int64)          {}
func (nobody) LettersStored(int, int64)           {}

// file is what a directory needs of an [os.File]; tests put in disks that are full.
type file interface {
	Write([]byte) (int, error)
	Truncate(size int64) error
	Sync() error
	Stat() (os.FileInfo, error)
	Close() error
	Fd() uintptr
}

// directory is what the stores of one process share.
type directory struct {
	path                   string
	maxBytes, maxFileBytes int64
	fsync                  bool
	users                  int // guarded by directoriesMu

	create func(path string) (file, error)
	now    func() time.Time

	mu      sync.Mutex
	closed  bool
	current file // nil if the next letter begins one
	name    string
	size    int64
	// files and bytes are what the directory holds, as of the last look and what was written since.
	files int
	bytes int64
	line  []byte
}
