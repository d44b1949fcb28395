// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Ceilings of what --former-uid walks through: an agent's queues have some hundred files, three folders deep.
const (
	maxEntries = 100_000
	maxDepth   = 16
)

const wantedMode = 0o700

// entry is a file or folder that is held by a descriptor: what is checked is what is changed, whoever renames meanwhile.
type entry struct {
	fd   int
	path string
	stat unix.Stat_t
}

func (e *entry) close() { _ = unix.Close(e.fd) }

func (e *entry) isDir() bool { return e.stat.Mode&unix.S_IFMT == unix.S_IFDIR }

// open takes an entry of a folder, a symbolic link as the link itself. O_PATH needs no right to read.
func open(parent int, name, path string) (*entry, error) {
	fd, err := unix.Openat(parent, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	e := &entry{fd: fd, path: path}
	if err := unix.Fstat(fd, &e.stat); err != nil {
		e.close()
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return e, nil
}

func (e *entry) chown(uid, gid uint32) error {
	if e.stat.Uid == uid && e.stat.Gid == gid {
		return nil
	}
	err := unix.Fchownat(e.fd, "", int(uid), int(gid), unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%s cannot be given to %d:%d: run as user 0 with the capability CHOWN (securityContext.runAsUser: 0, capabilities.add: [CHOWN])", e.path, uid, gid)
	}
	if err != nil {
		return &os.PathError{Op: "chown", Path: e.path, Err: err}
	}
	e.stat.Uid, e.stat.Gid = uid, gid
	return nil
}

// readable is the folder opened for reading. Only its owner may: there is no CAP_DAC_OVERRIDE.
func (e *entry) readable() (*os.File, error) {
	fd, err := unix.Openat(e.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: e.path, Err: err}
	}
	return os.NewFile(uintptr(fd), e.path), nil
}

// prepare says what it did.
func prepare(r request) (string, error) {
	dir, made, err := openOrMake(r.dir)
	if err != nil {
		return "", err
	}
	defer dir.close()
	p := &preparation{request: r, self: uint32(os.Geteuid()), device: dir.stat.Dev}
	if dir.stat.Uid == r.uid && dir.stat.Gid == r.gid && dir.stat.Mode&0o7777 == wantedMode && !p.alwaysWalks() {
		return fmt.Sprintf("%s is %d:%d's already", r.dir, r.uid, r.gid), nil
	}
	if err := p.giveOver(dir); err != nil {
		return "", err
	}
	what := "given"
	if made {
		what = "made and given"
	}
	return fmt.Sprintf("%s %s to %d:%d, mode 0700; %d entries in it changed", r.dir, what, r.uid, r.gid, p.changed), nil
}

// openOrMake walks from the root without following a link.
func openOrMake(path string) (_ *entry, made bool, _ error) {
	at, err := open(unix.AT_FDCWD, "/", "/")
	if err != nil {
		return nil, false, err
	}
	names := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, name := range names {
		here := filepath.Join(at.path, name)
		next, err := open(at.fd, name, here)
		if errors.Is(err, unix.ENOENT) && i == len(names)-1 {
			made = true
			if err = unix.Mkdirat(at.fd, name, wantedMode); err != nil {
				err = &os.PathError{Op: "mkdir", Path: here, Err: err}
			} else {
				next, err = open(at.fd, name, here)
			}
		}
		at.close()
		if err != nil {
			return nil, false, err
		}
		if !next.isDir() {
			next.close()
			return nil, false, fmt.Errorf("%s is %s: name a directory, with no symbolic link on the way", here, kind(next.stat.Mode))
		}
		at = next
	}
	return at, made, nil
}

// preparation is one run over a directory that is not as it should be.
type preparation struct {
	request
	self    uint32
	device  uint64
	seen    int
	changed int
}

// alwaysWalks is for an agent that is root now: the directory's owner does not tell whether an earlier run came to its end.
func (p *preparation) alwaysWalks() bool { return p.formerUID != noID && p.uid == p.self }

// giveOver ends with the directory's own owner: as long as that is not the wanted one, the next run does the rest.
func (p *preparation) giveOver(dir *entry) error {
	switch dir.stat.Uid {
	case p.self:
		// Still as it was found: nothing is changed before what is in it has been seen.
		if err := p.look(dir); err != nil {
			return err
		}
	case p.uid, p.formerUID:
	default:
		return fmt.Errorf("%s belongs to user %d: %s", dir.path, dir.stat.Uid, p.advice(dir.stat.Uid))
	}
	if err := p.takeOver(dir); err != nil {
		return err
	}
	if err := unix.Fchownat(dir.fd, "", int(p.uid), int(p.gid), unix.AT_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "chown", Path: dir.path, Err: err}
	}
	return nil
}

// takeOver makes the folder ours for the time that its mode is set and its entries are walked.
func (p *preparation) takeOver(dir *entry) error {
	formerly := dir.stat.Uid
	if err := dir.chown(p.self, p.gid); err != nil {
		return err
	}
	f, err := dir.readable()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := f.Chmod(wantedMode); err != nil {
		return err
	}
	if formerly == p.uid && !p.alwaysWalks() {
		return nil
	}
	return p.walk(f, dir, 1)
}

// look refuses a directory of ours, or one that the kubelet made, whose first level holds what is not the agent's.
func (p *preparation) look(dir *entry) error {
	f, err := dir.readable()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	err = each(f, func(name string) error {
		e, err := open(dir.fd, name, filepath.Join(dir.path, name))
		if err != nil {
			return err
		}
		defer e.close()
		return p.check(e)
	})
	p.seen = 0
	return err
}

func (p *preparation) walk(f *os.File, dir *entry, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s is more than %d folders deep: this is no agent's storage", dir.path, maxDepth)
	}
	return each(f, func(name string) error {
		e, err := open(dir.fd, name, filepath.Join(dir.path, name))
		if err != nil {
			return err
		}
		defer e.close()
		if err := p.check(e); err != nil {
			return err
		}
		return p.change(e, depth)
	})
}

func (p *preparation) change(e *entry, depth int) error {
	before := e.stat
	if e.isDir() {
		if err := e.chown(p.self, p.gid); err != nil {
			return err
		}
		f, err := e.readable()
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := p.walk(f, e, depth+1); err != nil {
			return err
		}
	}
	if before.Uid != p.uid || before.Gid != p.gid {
		p.changed++
	}
	return e.chown(p.uid, p.gid)
}

// check refuses what an agent does not make, and what belongs to nobody that was named.
func (p *preparation) check(e *entry) error {
	p.seen++
	if p.seen > maxEntries {
		return fmt.Errorf("%s has more than %d entries: this is no agent's storage; name another directory", p.dir, maxEntries)
	}
	switch mode := e.stat.Mode & unix.S_IFMT; {
	case e.stat.Dev != p.device:
		return fmt.Errorf("%s is another file system: unmount it, or name another directory", e.path)
	case mode != unix.S_IFREG && mode != unix.S_IFDIR:
		return fmt.Errorf("%s is %s, which no agent makes: remove it, or name another directory", e.path, kind(e.stat.Mode))
	case mode == unix.S_IFREG && e.stat.Nlink > 1:
		return fmt.Errorf("%s has %d names, and changing it would change the others: remove it, or name another directory", e.path, e.stat.Nlink)
	case e.stat.Uid == p.uid, p.formerUID != noID && e.stat.Uid == p.formerUID:
		return nil
	case mode == unix.S_IFDIR && p.formerUID != noID && e.stat.Uid == p.self && e.stat.Gid == p.gid:
		// A run that was ended in this folder.
		return nil
	}
	return fmt.Errorf("%s belongs to user %d: %s", e.path, e.stat.Uid, p.advice(e.stat.Uid))
}

func (p *preparation) advice(owner uint32) string {
	return fmt.Sprintf("if the agent ran as that user before, add --former-uid=%d (chart: agent.storage.prepare.formerUser); if not, name an empty directory", owner)
}

// each calls do for every name in the folder, in chunks: the folder may be large.
func each(f *os.File, do func(name string) error) error {
	for {
		names, err := f.Readdirnames(256)
		for _, name := range names {
			if err := do(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func kind(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFREG:
		return "a file"
	case unix.S_IFDIR:
		return "a directory"
	default:
		return "a device, socket or pipe"
	}
}
