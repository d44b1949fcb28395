// SPDX-License-Identifier: Apache-2.0

package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// page is a page's header and where its parts are. A page within a page, as small buckets have it, has no id.
type page struct {
	id       uint64
	flags    uint16
	count    uint16
	overflow uint32
	at, end  int64
	// elements are the count elements, read at once.
	elements []byte
}

func (f *file) bounds(id uint64, overflow uint32) error {
	last := id + uint64(overflow)
	if id < 2 || last < id || last >= f.high || int64(last+1) > f.size/f.pageSize {
		return damaged("page %d with %d more is beyond the end", id, overflow)
	}
	return nil
}

// page reads the header of a page and marks it as reached, with those that continue it.
func (f *file) page(id uint64) (*page, error) {
	if err := f.bounds(id, 0); err != nil {
		return nil, err
	}
	p, err := f.header(int64(id)*f.pageSize, f.pageSize)
	if err != nil {
		return nil, err
	}
	if p.id != id {
		return nil, damaged("page %d says that it is page %d", id, p.id)
	}
	if err := f.bounds(id, p.overflow); err != nil {
		return nil, err
	}
	p.end = p.at + (1+int64(p.overflow))*f.pageSize
	if _, twice := f.walked[id]; twice {
		return nil, damaged("page %d is in two places", id)
	}
	for i := id; i <= id+uint64(p.overflow); i++ {
		// While salvaging, a page that claims more than it has must not hide others.
		if _, twice := f.reached[i]; twice && f.found == nil {
			return nil, damaged("page %d is in two places", i)
		}
		f.reached[i] = struct{}{}
	}
	f.walked[id] = struct{}{}
	return p, f.elements(p)
}

func (f *file) header(at, size int64) (*page, error) {
	raw, err := f.read(at, headerSize)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	return &page{id: le.Uint64(raw), flags: le.Uint16(raw[8:]), count: le.Uint16(raw[10:]), overflow: le.Uint32(raw[12:]), at: at, end: at + size}, nil
}

// elements reads a page's elements.
func (f *file) elements(p *page) (err error) {
	switch p.flags {
	case branchFlag, leafFlag:
	case freelistFlag:
		return nil
	default:
		return damaged("the page at %d is of the unknown kind %#x", p.at, p.flags)
	}
	if int64(p.count)*elementSize > p.end-p.at-headerSize {
		return damaged("the page at %d has %d elements, more than fit", p.at, p.count)
	}
	p.elements, err = f.read(p.at+headerSize, int64(p.count)*elementSize)
	return err
}

type element struct {
	flags      uint32
	child      uint64
	key        []byte
	value      int64 // offset
	size, next int64
}

// element returns the i-th element of a branch or leaf page.
func (f *file) element(p *page, i int) (element, error) {
	raw, le := p.elements[i*elementSize:], binary.LittleEndian
	at := p.at + headerSize + int64(i)*elementSize
	var e element
	var position, keySize int64
	if p.flags == branchFlag {
		position, keySize, e.child = int64(le.Uint32(raw)), int64(le.Uint32(raw[4:])), le.Uint64(raw[8:])
	} else {
		e.flags = le.Uint32(raw)
		position, keySize, e.size = int64(le.Uint32(raw[4:])), int64(le.Uint32(raw[8:])), int64(le.Uint32(raw[12:]))
	}
	start := at + position
	if start < p.at+headerSize+int64(len(p.elements)) || keySize > maxKeySize || start+keySize+e.size > p.end {
		return e, damaged("element %d of the page at %d is beyond its end", i, p.at)
	}
	var err error
	e.key, err = f.read(start, keySize)
	e.value = start + keySize
	e.next = e.value + e.size
	return e, err
}

// failed ends the walk with an error, or notes it while salvaging.
func (f *file) failed(err error) error {
	if f.found == nil || !errors.Is(err, ErrDamaged) {
		return err
	}
	*f.found = append(*f.found, err)
	return nil
}

// tree walks the pages below a page; low and high are the bounds of its keys, nil for none.
func (f *file) tree(id uint64, bucket string, depth int, low, high []byte) error {
	if depth > maxDepth {
		return f.failed(damaged("the tree is deeper than %d pages", maxDepth))
	}
	p, err := f.page(id)
	if err != nil {
		return f.failed(err)
	}
	return f.walk(p, bucket, depth, low, high)
}

func (f *file) walk(p *page, bucket string, depth int, low, high []byte) error {
	if p.flags == freelistFlag || p.flags == branchFlag && p.count == 0 {
		return f.failed(damaged("the page at %d is part of no tree", p.at))
	}
	keys := make([][]byte, 0, p.count)
	elements := make([]element, 0, p.count)
	for i := range int(p.count) {
		e, err := f.element(p, i)
		if err == nil {
			err = f.ordered(p, e.key, keys, low, high)
		}
		if err != nil {
			if err := f.failed(err); err != nil {
				return err
			}
			continue
		}
		keys, elements = append(keys, e.key), append(elements, e)
	}
	for i, e := range elements {
		var err error
		if p.flags == branchFlag {
			to := high
			if i+1 < len(keys) {
				to = keys[i+1]
			}
			err = f.tree(e.child, bucket, depth+1, e.key, to)
		} else {
			err = f.leaf(&e, bucket, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ordered says whether a key may stand where it does.
func (f *file) ordered(p *page, key []byte, before [][]byte, low, high []byte) error {
	switch {
	case len(key) == 0 && p.flags == leafFlag:
		return damaged("the page at %d has an empty key", p.at)
	case f.found != nil:
		// Salvaged values are judged by their checksum, which covers the key.
		return nil
	case len(before) > 0 && bytes.Compare(before[len(before)-1], key) >= 0,
		low != nil && bytes.Compare(key, low) < 0,
		high != nil && bytes.Compare(key, high) >= 0:
		return damaged("the keys of the page at %d are out of order", p.at)
	}
	return nil
}

func (f *file) leaf(e *element, bucket string, depth int) error {
	switch {
	case e.flags == 0:
		if bucket == "" || f.visit == nil {
			return nil
		}
		return f.visit(&Entry{Bucket: bucket, Key: e.key, Size: e.size, file: f, value: e.value})
	case e.flags != bucketFlag || e.size < bucketSize || bucket != "":
		// Buckets within buckets are not made by any storage, and bbolt would take a flipped bit for one.
		if err := f.failed(damaged("the key %q is neither a value nor a bucket", e.key)); err != nil || f.visit == nil {
			return err
		}
		return f.visit(&Entry{Key: e.key, Size: e.size, file: f, value: e.value})
	}
	raw, err := f.read(e.value, bucketSize)
	if err != nil {
		return f.failed(err)
	}
	if root := binary.LittleEndian.Uint64(raw); root != 0 {
		return f.tree(root, string(e.key), depth+1, nil, nil)
	}
	p, err := f.header(e.value+bucketSize, e.size-bucketSize)
	if err == nil && (e.size < bucketSize+headerSize || p.flags != leafFlag) {
		err = damaged("the bucket %q has no page", e.key)
	}
	if err == nil {
		err = f.elements(p)
	}
	if err != nil {
		return f.failed(err)
	}
	return f.walk(p, string(e.key), depth+1, nil, nil)
}
