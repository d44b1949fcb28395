// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/queuestorageextension/internal/boltfile"
)

var (
	// valuesBucket is file_storage's only bucket, so that its files are ours.
	valuesBucket = []byte("default")
	// stateBucket is ours alone. It says, with sealedKey, that each value of the file has an envelope, so that one without
	// is damaged.
	stateBucket = []byte("queue_storage")
	sealedKey   = []byte("sealed")
)

const (
	salvageSuffix = ".salvage"
	compactSuffix = ".compact"
	// copySuffix is of the copy of a queue's bookkeeping: if a file loses its own, it tells how much is missing.
	copySuffix = ".copy"
	// openTimeout is how long to wait for another process that has the file of a queue open.
	openTimeout = time.Second
)

// crashError is what a panic within bbolt, or a fault in its memory map, becomes.
type crashError struct{ cause any }

func (e *crashError) Error() string { return fmt.Sprintf("reading the file failed: %v", e.cause) }

// guarded calls f and turns panics into errors, also the faults of a memory map whose disk or file went away.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = &crashError{cause}
		}
	}()
	return f()
}

func boltOptions(sync bool) *bbolt.Options {
	return &bbolt.Options{Timeout: openTimeout, NoSync: !sync, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType}
}

// content is what a file holds, found without reading all of it.
type content struct {
	index *index
	// metadata is the queue's bookkeeping, with its envelope if it has one; nil if there is none.
	metadata []byte
	// sealed says that each value has an envelope by the file's own word, unsealed counts those that have none.
	sealed   bool
	unsealed int
	// strange are keys of a queue that are neither an item's nor bookkeeping: items under a damaged key.
	strange []string
	// other are the keys of bookkeeping.
	other map[string]struct{}
}

// inspect checks a file and lists its content. It returns an error that wraps boltfile.ErrDamaged for a damaged one, and
// no content for one that does not exist yet.
func inspect(path string, queue bool, now time.Time) (c *content, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("%s is in use by another process: end it, or use another 'directory': %w", path, err)
	}
	c = &content{index: newIndex(), other: map[string]struct{}{}}
	return c, boltfile.Check(file, info.Size(), func(e *boltfile.Entry) error { return c.add(e, queue, now) })
}

func (c *content) add(e *boltfile.Entry, queue bool, now time.Time) error {
	switch e.Bucket {
	case string(stateBucket):
		c.sealed = c.sealed || string(e.Key) == string(sealedKey)
		return nil
	case string(valuesBucket):
	default:
		return nil
	}
	key := string(e.Key)
	if queue && key == metadataKey {
		value, err := e.Value()
		c.metadata = value
		return err
	}
	head, err := e.Prefix(envelopeSize)
	if err != nil {
		return err
	}
	if _, item := itemNumber(key); queue && !item {
		if slices.Contains([]string{legacyReadKey, legacyWriteKey, legacyDispatchKey}, key) {
			c.other[key] = struct{}{}
		} else {
			c.strange = append(c.strange, key)
		}
		return nil
	}
	if !isSealed(head) {
		c.unsealed++
		c.index.set(key, now, e.Size)
		return nil
	}
	c.index.set(key, plausible(sealedAt(head), now), e.Size-envelopeSize)
	return nil
}

// plausible replaces a time that cannot be one of a put, of a damaged envelope or a clock that went back.
func plausible(put, now time.Time) time.Time {
	if put.After(now) || put.Year() < 2020 {
		return now
	}
	return put
}

// openBolt opens a file that is known to be whole, or a new one.
func openBolt(path string, sync bool) (db *bbolt.DB, handle *os.File, err error) {
	options := boltOptions(sync)
	options.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		file, err := os.OpenFile(name, flag, mode)
		handle = file
		return file, err
	}
	err = guarded(func() (err error) {
		if db, err = bbolt.Open(path, 0o600, options); err != nil {
			return err
		}
		// bbolt tells how many pages of a file are free once a transaction that may write has ended. This one writes nothing:
		// a collector must start on a full disk, and then take what the file has room for.
		tx, err := db.Begin(true)
		if err != nil {
			return err
		}
		return tx.Rollback()
	})
	if err != nil {
		if handle != nil {
			unlock(handle)
		}
		return nil, nil, fmt.Errorf("%s cannot be opened: %w", path, err)
	}
	return db, handle, nil
}

// unlock closes the file of a database that cannot be closed itself. Its memory map keeps the file open, and with it the
// lock, unless that is given up. Errors are of a file that bbolt had closed already.
func unlock(handle *os.File) {
	_ = syscall.Flock(int(handle.Fd()), syscall.LOCK_UN)
	_ = handle.Close()
}

// prepare makes the buckets of a file, and notes whether all of its values have envelopes.
func prepare(db *bbolt.DB, sealed bool) error {
	return guarded(func() error {
		ready := false
		err := db.View(func(tx *bbolt.Tx) error {
			state := tx.Bucket(stateBucket)
			ready = tx.Bucket(valuesBucket) != nil && state != nil && (!sealed || state.Get(sealedKey) != nil)
			return nil
		})
		if err != nil || ready {
			// Nothing to write: a collector must start on a full disk.
			return err
		}
		return db.Update(func(tx *bbolt.Tx) error {
			if _, err := tx.CreateBucketIfNotExists(valuesBucket); err != nil {
				return err
			}
			state, err := tx.CreateBucketIfNotExists(stateBucket)
			if err != nil || !sealed {
				return err
			}
			return state.Put(sealedKey, []byte{envelopeVersion})
		})
	})
}

// draft is the path of the file that is to take the place of the one at path. It is short enough for any name.
func draft(path, suffix string) string {
	sum := sha256.Sum256([]byte(filepath.Base(path)))
	return filepath.Join(filepath.Dir(path), "queue_storage."+hex.EncodeToString(sum[:8])+suffix)
}

// syncDirectory brings the names of new files to the disk.
func syncDirectory(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
