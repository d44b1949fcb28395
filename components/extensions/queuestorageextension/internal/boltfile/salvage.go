// SPDX-License-Identifier: Apache-2.0

package boltfile

import "io"

// Salvage calls visit for each key of a damaged file of the given size: first for those that a tree still leads to, the
// newest version of the tree first, then for those on any other page that looks like a leaf, with an empty
// [Entry.Bucket]. These may have been deleted long ago, and nothing but their content tells whether they are whole. It
// returns what is wrong with the file; the error is of visit, or of reading.
func Salvage(r io.ReaderAt, size int64, visit func(*Entry) error) (found []error, err error) {
	f := &file{r: r, size: size, reached: map[uint64]struct{}{}, walked: map[uint64]struct{}{}, visit: visit, found: &found}
	metas, errs := f.metas()
	found = append(found, errs...)
	if f.pageSize == 0 {
		// Both meta pages are gone. Systems have pages of 4 KiB nearly everywhere; leaf pages are looked for in smaller
		// steps than that anyway.
		f.pageSize = 4096
	}
	pages := uint64(size / f.pageSize)
	// A torn end: pages are read as far as the file goes.
	f.high = pages
	for _, m := range metas {
		if m.high > pages {
			found = append(found, damaged("it ends after %d of %d pages", pages, m.high))
		}
		before := len(found)
		if err := f.tree(m.root, "", 0, nil, nil); err != nil {
			return found, err
		}
		if len(found) == before {
			// The tree is whole: the version before it has nothing to add.
			break
		}
	}
	return found, f.strays(pages)
}

// strays visits the leaf pages that no tree leads to.
func (f *file) strays(pages uint64) error {
	for id := uint64(2); id < pages; id++ {
		if _, walked := f.walked[id]; walked {
			continue
		}
		p, err := f.header(int64(id)*f.pageSize, f.pageSize)
		if err != nil || p.flags != leafFlag || p.count == 0 || f.bounds(id, p.overflow) != nil {
			continue
		}
		p.end = p.at + (1+int64(p.overflow))*f.pageSize
		if f.elements(p) != nil {
			continue
		}
		if err := f.stray(p); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) stray(p *page) error {
	for i := range int(p.count) {
		e, err := f.element(p, i)
		if err != nil || len(e.key) == 0 {
			continue
		}
		if e.flags == bucketFlag {
			if err := f.strayBucket(&e); err != nil {
				return err
			}
		}
		// A flipped bit makes a bucket of a value: whoever is called tells by the content.
		if err := f.visit(&Entry{Key: e.key, Size: e.size, file: f, value: e.value}); err != nil {
			return err
		}
	}
	return nil
}

// strayBucket visits what is in a small bucket within a stray page.
func (f *file) strayBucket(e *element) error {
	if e.size < bucketSize+headerSize {
		return nil
	}
	p, err := f.header(e.value+bucketSize, e.size-bucketSize)
	if err != nil || p.flags != leafFlag || f.elements(p) != nil {
		return nil
	}
	return f.stray(p)
}
