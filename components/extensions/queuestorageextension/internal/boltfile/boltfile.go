// SPDX-License-Identifier: Apache-2.0

// Package boltfile reads the files of bbolt without trusting a single byte of them: no memory map, no panic, no
// assumption that a page is what another one says it is. The entry points are [Check], which tells whether bbolt can open
// a file without an accident, and [Salvage], which finds what is left in one that it cannot.
//
// The format is that of bbolt's internal/common, version 2: pages of which the first two are copies of the meta page,
// branch and leaf pages of a B+ tree for each bucket, and small buckets within the page of their parent.
package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

const (
	magic   = 0xED0CDAED
	version = 2

	headerSize  = 16
	elementSize = 16
	bucketSize  = 16

	branchFlag   = 0x01
	leafFlag     = 0x02
	metaFlag     = 0x04
	freelistFlag = 0x10
	bucketFlag   = 0x01

	metaChecked = 56 // bytes of the meta that its checksum covers
	noFreelist  = ^uint64(0)

	minPageSize, maxPageSize = 1 << 10, 1 << 16
	// maxDepth of the tree: with two keys a page, more than any file has.
	maxDepth = 64
	// maxKeySize is bbolt's own limit.
	maxKeySize = 32768
)

// ErrDamaged is wrapped by all errors about the file's content.
var ErrDamaged = errors.New("the file is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
}

// Entry is a key and its value, and where they are.
type Entry struct {
	// Bucket is the name of the bucket of the first level, empty if the page belongs to no tree any more.
	Bucket string
	Key    []byte
	// Size of the value, in bytes.
	Size  int64
	file  *file
	value int64
}

// Prefix reads up to n bytes of the beginning of the value.
func (e *Entry) Prefix(n int) ([]byte, error) { return e.file.read(e.value, min(int64(n), e.Size)) }

// Value reads the value.
func (e *Entry) Value() ([]byte, error) { return e.file.read(e.value, e.Size) }

type meta struct {
	root, freelist, high, txid uint64
}

type file struct {
	r        io.ReaderAt
	size     int64
	pageSize int64
	reached  map[uint64]struct{}
	visit    func(*Entry) error
	// found collects the damage while salvaging; nil means that the first damage ends the walk.
	found *[]error
	// walked are the pages whose elements were looked at; reached are also those that continue a page.
	walked map[uint64]struct{}
	high   uint64
}

func (f *file) read(at, n int64) ([]byte, error) {
	if at < 0 || n < 0 || at > f.size || n > f.size-at {
		return nil, damaged("%d bytes at %d are beyond its end at %d", n, at, f.size)
	}
	buf := make([]byte, n)
	if _, err := f.r.ReadAt(buf, at); err != nil && (!errors.Is(err, io.EOF) || n > 0) {
		return nil, fmt.Errorf("%w: %d bytes at %d cannot be read: %w", ErrDamaged, n, at, err)
	}
	return buf, nil
}

// readMeta reads the meta page at an offset.
func (f *file) readMeta(at int64) (meta, int64, error) {
	page, err := f.read(at, headerSize+metaChecked+8)
	if err != nil {
		return meta{}, 0, err
	}
	m, le := page[headerSize:], binary.LittleEndian
	sum := fnv.New64a()
	sum.Write(m[:metaChecked])
	size := int64(le.Uint32(m[8:]))
	switch {
	case le.Uint32(m) != magic || le.Uint32(m[4:]) != version:
		return meta{}, 0, damaged("the meta page at %d is not one of bbolt", at)
	case le.Uint64(m[metaChecked:]) != sum.Sum64():
		return meta{}, 0, damaged("the meta page at %d does not fit its checksum", at)
	case size < minPageSize || size > maxPageSize || size&(size-1) != 0:
		return meta{}, 0, damaged("the meta page at %d tells a page size of %d", at, size)
	case le.Uint16(page[8:])&metaFlag == 0:
		return meta{}, 0, damaged("the meta page at %d is marked as something else", at)
	}
	return meta{root: le.Uint64(m[16:]), freelist: le.Uint64(m[32:]), high: le.Uint64(m[40:]), txid: le.Uint64(m[48:])}, size, nil
}

// metas returns the readable meta pages, the newest first, and what is wrong with the others. It finds the page size on
// its way.
func (f *file) metas() (metas []meta, errs []error) {
	first, size, err := f.readMeta(0)
	if err == nil {
		f.pageSize = size
		metas = append(metas, first)
	} else {
		errs = append(errs, err)
	}
	sizes := []int64{f.pageSize}
	if f.pageSize == 0 {
		// The first page is gone: the second tells its own size, wherever it is.
		sizes = sizes[:0]
		for size := int64(minPageSize); size <= maxPageSize; size *= 2 {
			sizes = append(sizes, size)
		}
	}
	for _, at := range sizes {
		second, size, err := f.readMeta(at)
		if err == nil && size == at {
			f.pageSize = size
			if len(metas) == 1 && metas[0].txid > second.txid {
				return append(metas, second), errs
			}
			return append([]meta{second}, metas...), errs
		}
	}
	return metas, append(errs, damaged("the second meta page is not readable"))
}

// Check walks the whole tree of a file of the given size and calls visit, which may be nil, for each key. It returns an
// error that wraps [ErrDamaged] if bbolt could stumble over the file: then it must be salvaged. It reads the pages'
// structure and keys, and of the values nothing.
func Check(r io.ReaderAt, size int64, visit func(*Entry) error) error {
	f := &file{r: r, size: size, reached: map[uint64]struct{}{}, walked: map[uint64]struct{}{}, visit: visit}
	metas, errs := f.metas()
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	m := metas[0]
	f.high = m.high
	if err := f.bounds(m.root, 0); err != nil {
		return err
	}
	if err := f.tree(m.root, "", 0, nil, nil); err != nil {
		return err
	}
	if m.freelist == noFreelist {
		return nil
	}
	return f.freelist(m.freelist)
}

// freelist checks the list of free pages: a page that is in use and on it would be overwritten.
func (f *file) freelist(id uint64) error {
	p, err := f.page(id)
	if err != nil {
		return err
	}
	if p.flags != freelistFlag {
		return damaged("page %d should be the list of free pages", id)
	}
	count, at := int64(p.count), p.at+headerSize
	if count == 0xFFFF {
		raw, err := f.read(at, 8)
		if err != nil {
			return err
		}
		count, at = int64(binary.LittleEndian.Uint64(raw)), at+8
	}
	if count < 0 || count > (p.end-at)/8 {
		return damaged("the list of free pages is longer than its page")
	}
	raw, err := f.read(at, count*8)
	if err != nil {
		return err
	}
	for ; len(raw) > 0; raw = raw[8:] {
		free := binary.LittleEndian.Uint64(raw)
		if _, used := f.reached[free]; used || free < 2 || free >= f.high {
			return damaged("page %d is listed as free", free)
		}
	}
	return nil
}
