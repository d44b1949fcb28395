// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"errors"
	"os"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/queuestorageextension/internal/boltfile"
)

// salvageChunk is how much a transaction of a salvage or a compaction takes, in bytes.
const salvageChunk = 8 * mib

// candidate is the best version of a value that was found.
type candidate struct {
	entry  *boltfile.Entry
	put    time.Time
	sealed bool
	// stray values are on a page that no tree leads to: they may have been deleted.
	stray bool
}

// salvage is the repair of one damaged file.
type salvage struct {
	queue  bool
	sealed bool // by the file's own word
	good   map[string]candidate
	bad    map[string]*boltfile.Entry
	// result
	found   []error
	kept    int
	missing int
	// known says whether a damaged value under a key is one that the queue misses.
	known  func(key string) bool
	broken int
}

// keeper is told what a salvage could not bring over.
type keeper interface {
	// keepFile sets the damaged file aside, before the new one takes its name.
	keepFile(path string)
	// keepValue sets a damaged value aside. It is counted unless it is under a key that the bookkeeping does not know: then
	// the one that the bookkeeping misses instead is.
	keepValue(key string, raw []byte, counted bool)
}

// consider takes note of a value that was found.
func (s *salvage) consider(e *boltfile.Entry) error {
	if e.Bucket != "" && e.Bucket != string(valuesBucket) {
		s.sealed = s.sealed || e.Bucket == string(stateBucket) && string(e.Key) == string(sealedKey)
		return nil
	}
	key, stray := string(e.Key), e.Bucket == ""
	value, err := e.Value()
	if err != nil {
		return nil //nolint:nilerr // what cannot be read is missing, and counted as such
	}
	_, put, err := open(key, value)
	had, any := s.good[key]
	switch {
	case err == nil:
		if !any || !had.sealed || put.After(had.put) || had.stray && !stray && put.Equal(had.put) {
			s.good[key] = candidate{entry: e, put: put, sealed: true, stray: stray}
		}
	case isSealed(value) || s.sealed:
		if !stray {
			s.bad[key] = e
		}
	case !stray && !any:
		// Without an envelope, of a file that file_storage wrote: the newest tree comes first.
		s.good[key] = candidate{entry: e}
	}
	return nil
}

// settle ends the search: what has no envelope in a file in which each value has one is damaged.
func (s *salvage) settle() {
	for key, c := range s.good {
		if s.sealed && !c.sealed {
			s.bad[key] = c.entry
			delete(s.good, key)
		} else {
			delete(s.bad, key)
		}
	}
}

// newest is the newest bookkeeping that is left, of the file or of its copy; nil if there is none. A damaged one is not
// brought over: it is made anew from the items.
func (s *salvage) newest(copied []byte) *bookkeeping {
	var b *bookkeeping
	if m, ok := s.good[metadataKey]; ok {
		value, err := m.entry.Value()
		if err == nil && m.sealed {
			value = value[envelopeSize:]
		}
		if err == nil {
			b, err = decodeBookkeeping(value)
		}
		if err != nil {
			delete(s.good, metadataKey)
		}
	}
	payload, put, err := open(metadataKey, copied)
	if err != nil || b != nil && put.Before(s.good[metadataKey].put) {
		return b
	}
	if newer, err := decodeBookkeeping(payload); err == nil {
		return newer
	}
	return b
}

// choose drops what was deleted, on pages that were not yet reused, and counts what is missing, both by the newest
// bookkeeping. Without any all of it stays, since a request twice is better than none.
func (s *salvage) choose(copied []byte) {
	s.known = func(key string) bool { return key != metadataKey }
	if !s.queue {
		return
	}
	b := s.newest(copied)
	if b == nil {
		return
	}
	s.known = func(key string) bool {
		number, item := itemNumber(key)
		return item && b.covers(number)
	}
	for key, c := range s.good {
		if number, item := itemNumber(key); item && c.stray && number < b.write && !b.covers(number) {
			delete(s.good, key)
		}
	}
	missing := func(number uint64) {
		key := itemKey(number)
		_, good := s.good[key]
		if _, bad := s.bad[key]; !good && !bad {
			s.missing++
		}
	}
	for number := b.read; number < b.write; number++ {
		missing(number)
	}
	for _, number := range b.dispatched {
		missing(number)
	}
}

// write puts what was found into a new file.
func (s *salvage) write(path string) (err error) {
	db, _, err := openBolt(path, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	all := true
	keys := make([]string, 0, len(s.good))
	for key, c := range s.good {
		keys = append(keys, key)
		all = all && c.sealed
	}
	if err := prepare(db, all); err != nil {
		return err
	}
	for len(keys) > 0 {
		err := db.Update(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(valuesBucket)
			for size := 0; len(keys) > 0 && size < salvageChunk; keys = keys[1:] {
				value, err := s.good[keys[0]].entry.Value()
				if err != nil {
					return err
				}
				if err := bucket.Put([]byte(keys[0]), value); err != nil {
					return err
				}
				size += len(value)
				if _, item := itemNumber(keys[0]); item || !s.queue {
					s.kept++
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// salvageFile writes what is readable of a damaged file into a new one at its place, and sets the damaged one aside.
// Until the new one is complete the old one keeps its name, so that a crash in between changes nothing.
func salvageFile(path string, queue bool, keep keeper) (s *salvage, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	s = &salvage{queue: queue, good: map[string]candidate{}, bad: map[string]*boltfile.Entry{}}
	if s.found, err = boltfile.Salvage(file, info.Size(), s.consider); err != nil {
		return nil, err
	}
	s.settle()
	copied, err := os.ReadFile(draft(path, copySuffix))
	if ignoreMissing(err) != nil {
		return nil, err
	}
	s.choose(copied)
	next := draft(path, salvageSuffix)
	if err := ignoreMissing(os.Remove(next)); err != nil {
		return nil, err
	}
	if err := s.write(next); err != nil {
		return nil, errors.Join(err, ignoreMissing(os.Remove(next)))
	}
	keep.keepFile(path)
	if err := os.Rename(next, path); err != nil {
		return nil, err
	}
	for key, e := range s.bad {
		raw, _ := e.Value() // what cannot be read a second time is counted all the same
		if s.known(key) {
			s.broken++
		}
		keep.keepValue(key, raw, s.known(key))
	}
	return s, syncDirectory(path)
}

// repair salvages the client's file, and says and counts what came of it.
func (c *client) repair(damage error) error {
	logger := c.logger.With(zap.String("file", c.path))
	logger.Error("The file of a queue is damaged; what is readable of it goes into a new one", zap.Error(damage))
	s, err := salvageFile(c.path, c.queue, c)
	if errors.Is(err, syscall.ENOSPC) && c.ext.space.release() {
		s, err = salvageFile(c.path, c.queue, c)
	}
	if err != nil {
		return errors.Join(damage, err)
	}
	c.count.damagedFile()
	c.count.recovered(reasonSalvaged, s.kept)
	c.count.damaged(reasonMissing, s.missing)
	logger.Warn("The file of a queue was damaged; the requests that were readable are in it again",
		zap.Int("kept", s.kept), zap.Int("damaged", s.broken), zap.Int("missing", s.missing), zap.Errors("damage", firstFew(s.found)))
	return nil
}

func (c *client) keepFile(path string) {
	if kept, err := c.ext.aside.file(path); err != nil {
		c.logger.Warn("The damaged file of a queue is not kept", zap.String("file", path), zap.Error(err))
	} else {
		c.logger.Warn("The damaged file of a queue is set aside", zap.String("file", path), zap.String("kept", kept))
	}
}

func (c *client) keepValue(key string, raw []byte, counted bool) {
	if counted {
		c.count.damaged(reasonChecksum, 1)
	}
	c.setAside(key, raw, reasonChecksum)
}

func firstFew(errs []error) []error { return errs[:min(len(errs), 5)] }
