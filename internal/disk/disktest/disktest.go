// SPDX-License-Identifier: Apache-2.0

// Package disktest makes files that hang or fail as the real thing does not on demand.
package disktest

import (
	"io"
	"os"
	"sync"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk/journal"
)

// Disk is a layer over files of the operating system. Its zero value does what they do.
type Disk struct {
	mu     sync.Mutex
	answer chan struct{} // nil: at once
	faults map[Op]error
	began  chan struct{}
}

// Op is what is done to a file.
type Op string

// What may fail.
const (
	Create   Op = "create"
	Write    Op = "write"
	Truncate Op = "truncate"
	Sync     Op = "sync"
)

// Hang makes the disk answer nothing until release is called: then all that waits is done. began gets a value when something begins
// to wait, unless one is there.
func (d *Disk) Hang() (began <-chan struct{}, release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	answer := make(chan struct{})
	d.answer, d.began = answer, make(chan struct{}, 1)
	return d.began, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		close(answer)
		d.answer = nil
	}
}

// Fail makes something fail, nil for not any more. A write that fails has written half of what it should.
func (d *Disk) Fail(op Op, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults == nil {
		d.faults = map[Op]error{}
	}
	d.faults[op] = err
}

// wait waits for the disk and says what comes of it.
func (d *Disk) wait(op Op) error {
	d.mu.Lock()
	answer, began := d.answer, d.began
	d.mu.Unlock()
	if answer != nil {
		select {
		case began <- struct{}{}:
		default:
		}
		<-answer
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.faults[op]
}

// Replace replaces a file as [disk.Replace] does.
func (d *Disk) Replace(path string, write func(io.Writer) error) (int64, error) {
	if err := d.wait(Create); err != nil {
		return 0, err
	}
	return disk.Replace(path, write)
}

// Create makes a file, which must not exist.
func (d *Disk) Create(path string) (journal.File, error) {
	if err := d.wait(Create); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &file{File: f, disk: d}, nil
}

type file struct {
	*os.File
	disk *Disk
}

// WriteString hides the file's own: writes go through Write.
func (f *file) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

// Write implements [io.Writer].
func (f *file) Write(b []byte) (int, error) {
	if err := f.disk.wait(Write); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	return f.File.Write(b)
}

// Truncate implements [journal.File].
func (f *file) Truncate(size int64) error {
	if err := f.disk.wait(Truncate); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Sync implements [journal.File].
func (f *file) Sync() error {
	if err := f.disk.wait(Sync); err != nil {
		return err
	}
	return f.File.Sync()
}
