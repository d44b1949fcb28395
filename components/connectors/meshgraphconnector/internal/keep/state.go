// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/internal/wire"
)

// stateMagic begins a state, and ends with the version of its format:
//
//	magic  version's byte  time  first journal file  count of parts  {length name  length bytes}  CRC-32C, little-endian
const (
	stateMagic = "OMGSTAT\x01"
	maxParts   = 64
	maxName    = 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrState means bytes that are no state, or a damaged one.
var ErrState = errors.New("not a state of the connector, or damaged")

// State is all that outlives the process, apart from what the journal holds from the file Begin on.
type State struct {
	At    time.Time
	Begin uint64
	// Parts are what each part of the connector said of itself.
	Parts map[string][]byte
}

// The files that a state is in. What is large and need not be exact has one of its own, which is written less often.
const (
	Main   = "state"
	Window = "window"
)

func (d *Directory) in(file string) string { return filepath.Join(d.path, file) }

// Load reads a state, that of a file; call it before the first Append. Without one it is empty. One that is damaged, where the error
// is an [ErrState], or that the disk does not give back is set aside: the journal is all that is left then.
func (d *Directory) Load(file string) (*State, error) {
	raw, err := os.ReadFile(d.in(file))
	if errors.Is(err, fs.ErrNotExist) {
		return &State{}, nil
	}
	if err != nil {
		aside, failed := disk.SetAside(d.in(file))
		return &State{}, errors.Join(fmt.Errorf("reading the state: %w; it is kept as %s", err, aside), failed)
	}
	state, err := decodeState(raw)
	if err != nil {
		aside, failed := disk.SetAside(d.in(file))
		return &State{}, errors.Join(fmt.Errorf("%w; it is kept as %s", err, aside), failed)
	}
	// A file with a lower number would be taken for one that the state covers.
	d.journal.From(state.Begin)
	return state, nil
}

// Save writes the state: a crash at any moment leaves the old one or this one. It returns its size. It waits for
// the disk for as long as that takes.
func (d *Directory) Save(file string, s *State) (int64, error) {
	return d.replace(d.in(file), func(w io.Writer) error {
		sum := crc32.New(castagnoli)
		both := io.MultiWriter(w, sum)
		head := append([]byte(nil), stateMagic...)
		head = binary.AppendVarint(head, s.At.UnixNano())
		head = binary.AppendUvarint(head, s.Begin)
		head = binary.AppendUvarint(head, uint64(len(s.Parts)))
		names := make([]string, 0, len(s.Parts))
		for name := range s.Parts {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			head = binary.AppendUvarint(head, uint64(len(name)))
			head = append(head, name...)
			head = binary.AppendUvarint(head, uint64(len(s.Parts[name])))
			if _, err := both.Write(head); err != nil {
				return err
			}
			if _, err := both.Write(s.Parts[name]); err != nil {
				return err
			}
			head = head[:0]
		}
		if _, err := both.Write(head); err != nil {
			return err
		}
		_, err := w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32()))
		return err
	})
}

func decodeState(raw []byte) (*State, error) {
	if len(raw) < len(stateMagic)+4 || string(raw[:len(stateMagic)]) != stateMagic {
		return nil, fmt.Errorf("%w: it does not begin as one of version 1", ErrState)
	}
	end := len(raw) - 4
	if binary.LittleEndian.Uint32(raw[end:]) != crc32.Checksum(raw[:end], castagnoli) {
		return nil, fmt.Errorf("%w: the checksum does not fit", ErrState)
	}
	r := wire.Reader{B: raw[len(stateMagic):end]}
	s := &State{At: r.Time(), Begin: r.Uvarint(), Parts: map[string][]byte{}}
	for range r.UpTo(maxParts) {
		name := string(r.Take(r.UpTo(maxName)))
		s.Parts[name] = r.Take(r.Uvarint())
	}
	if r.Bad || len(r.B) != 0 {
		return nil, fmt.Errorf("%w: it does not end where it should", ErrState)
	}
	return s, nil
}
