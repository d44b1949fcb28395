// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// The disk copy is a header and frames. The header is the magic, the version, and how many clusters follow, with the
// checksum of all that; a frame is its length, the checksum of its bytes, and the bytes of a DiskFrame. All numbers are
// 4 bytes, little-endian; checksums are CRC-32C.
const (
	diskMagic   = "OCMTOPO\n"
	diskVersion = 1

	diskHeaderBytes = len(diskMagic) + 3*4
	frameHeadBytes  = 2 * 4
	// maxFrameBytes is the largest frame: a body and what is around it.
	maxFrameBytes = MaxBodyBytes + 8<<10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDisk is wrapped by the reason why a disk copy, or the rest of one, cannot be read.
var ErrDisk = errors.New("damaged disk copy of the inventory")

// Save writes the disk copy: what s knows of each cluster that has a position, its history included. positions must be
// the [Assembler.Positions] at a moment when all actions had been applied and published as s. Write to a new file and
// rename it, so that no half of one takes the place of a whole one.
func Save(w io.Writer, s *topology.Snapshot, positions []Position) error {
	out := bufio.NewWriterSize(w, 64<<10)
	known := make([]Position, 0, len(positions))
	for _, p := range positions {
		if _, ok := s.Cluster(p.Cluster); ok {
			known = append(known, p)
		}
	}
	if _, err := out.Write(diskHeader(len(known))); err != nil {
		return fmt.Errorf("cannot write the disk copy of the inventory: %w", err)
	}
	var frame []byte
	for i := range known {
		p := &known[i]
		// The time at which s was built is this process's, not the cluster's: the copy tells none.
		for m := range NewEncoder(p.Cluster, p.ClusterUID, max(p.Epoch, 1)).snapshot(s, p.At, time.Time{}) {
			frame = appendFrame(frame[:0], p, &m)
			if _, err := out.Write(frame); err != nil {
				return fmt.Errorf("cannot write the disk copy of the inventory: %w", err)
			}
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("cannot write the disk copy of the inventory: %w", err)
	}
	return nil
}

func diskHeader(clusters int) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(diskMagic), diskVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(clusters))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func appendFrame(b []byte, p *Position, m *Message) []byte {
	b = append(b, make([]byte, frameHeadBytes)...)
	b = appendString(b, frameCluster, p.Cluster)
	b = appendString(b, frameUID, p.ClusterUID)
	b = appendUint(b, frameEpoch, uint64(p.Epoch))
	b = appendUint(b, frameSequence, p.Sequence)
	if !p.At.IsZero() {
		b = appendUint(b, frameAt, uint64(p.At.UnixNano()))
	}
	b = appendBool(b, frameComplete, p.Complete)
	b = appendUint(b, framePart, uint64(m.Part))
	b = appendUint(b, frameParts, uint64(m.Parts))
	b = appendBytes(b, frameBody, m.Body)
	payload := b[frameHeadBytes:]
	binary.LittleEndian.PutUint32(b, uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(payload, castagnoli))
	return b
}

// Saved is one cluster of a disk copy.
type Saved struct {
	// Position is where the copy ends. Complete is false as well if some of the cluster is damaged.
	Position
	// Update describes the cluster. It is a full one, unless a part of it is damaged.
	Update *Update
}

// LoadLimits bounds what [Load] takes. A zero field stands for no limit.
type LoadLimits struct {
	// Clusters and Pods (of all clusters, running and past) are the most that are taken.
	Clusters, Pods int
}

// LoadReport says what a disk copy held.
type LoadReport struct {
	// Clusters and Pods (running and past) were handed out.
	Clusters, Pods int
	// LostClusters counts the clusters that are missing, or of which a part is.
	LostClusters int
	// LostBytes counts the bytes from the damage on, as far as they can be read.
	LostBytes int64
	// Err is why not all was loaded; nil if it was. It wraps [ErrDisk], or the error of the reader.
	Err error
}

// Load reads a disk copy and hands each cluster to take, for [Assembler.Restore]. It reads up to the first damage, and
// never fails altogether: the report says what is missing.
func Load(r io.Reader, limits LoadLimits, take func(*Saved)) LoadReport {
	in := &counted{r: bufio.NewReaderSize(r, 64<<10)}
	l := loader{in: in, limits: limits, take: take}
	expected, err := l.header()
	if err == nil {
		err = l.frames()
		l.hand()
		if missing := expected - l.report.Clusters; missing > 0 {
			l.report.LostClusters += missing
			if err == nil {
				err = fmt.Errorf("%w: it ends %d clusters early", ErrDisk, missing)
			}
		}
	}
	if err != nil {
		good := l.good
		_, _ = io.Copy(io.Discard, in)
		l.report.LostBytes = in.n - good
	}
	l.report.Err = err
	return l.report
}

// counted counts what was read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// loader reads the frames of a disk copy.
type loader struct {
	in     *counted
	limits LoadLimits
	take   func(*Saved)
	report LoadReport
	// good is up to where all was whole.
	good int64

	current *Saved
	part    int
	parts   int
}

func (l *loader) header() (clusters int, err error) {
	var b [diskHeaderBytes]byte
	if _, err := io.ReadFull(l.in, b[:]); err != nil {
		return 0, torn(err, "the header")
	}
	version := binary.LittleEndian.Uint32(b[len(diskMagic):])
	switch {
	case string(b[:len(diskMagic)]) != diskMagic:
		return 0, fmt.Errorf("%w: the file is something else", ErrDisk)
	case crc32.Checksum(b[:diskHeaderBytes-4], castagnoli) != binary.LittleEndian.Uint32(b[diskHeaderBytes-4:]):
		return 0, fmt.Errorf("%w: wrong checksum of the header", ErrDisk)
	case version != diskVersion:
		return 0, fmt.Errorf("%w: the file has version %d, this hub reads version %d", ErrDisk, version, diskVersion)
	}
	l.good = l.in.n
	return int(binary.LittleEndian.Uint32(b[len(diskMagic)+4:])), nil
}

// torn tells a file that ends early from one that cannot be read.
func torn(err error, where string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends within %s", ErrDisk, where)
	}
	return fmt.Errorf("cannot read the disk copy of the inventory: %w", err)
}

func (l *loader) frames() error {
	var head [frameHeadBytes]byte
	var payload []byte
	for n := 1; ; n++ {
		if _, err := io.ReadFull(l.in, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return torn(err, fmt.Sprintf("the head of frame %d", n))
		}
		length := binary.LittleEndian.Uint32(head[:])
		if length > maxFrameBytes {
			return fmt.Errorf("%w: frame %d claims %d bytes", ErrDisk, n, length)
		}
		if cap(payload) < int(length) {
			payload = make([]byte, length)
		}
		payload = payload[:length]
		if _, err := io.ReadFull(l.in, payload); err != nil {
			return torn(err, fmt.Sprintf("frame %d", n))
		}
		if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return fmt.Errorf("%w: wrong checksum of frame %d", ErrDisk, n)
		}
		if err := l.frame(payload); err != nil {
			return fmt.Errorf("frame %d: %w", n, err)
		}
		l.good = l.in.n
	}
}

// frame reads one frame into the cluster at hand.
func (l *loader) frame(payload []byte) error {
	p, m, err := parseFrame(payload)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	u, _, err := Decode(m)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	if m.Part == 1 {
		l.hand()
		if l.limits.Clusters > 0 && l.report.Clusters >= l.limits.Clusters {
			return fmt.Errorf("%w: more than %d clusters", ErrDisk, l.limits.Clusters)
		}
	}
	pods := len(u.Pods) + len(u.Past)
	if l.limits.Pods > 0 && l.report.Pods+pods > l.limits.Pods {
		return fmt.Errorf("%w: more than %d pods", ErrDisk, l.limits.Pods)
	}
	switch {
	case m.Part == 1:
		l.current, l.parts = &Saved{Position: *p, Update: u}, m.Parts
	case l.current == nil || m.Part != l.part+1 || m.Parts != l.parts || m.Cluster != l.current.Cluster:
		return fmt.Errorf("%w: part %d of cluster %q is out of place", ErrDisk, m.Part, clip(m.Cluster))
	default:
		merge(l.current.Update, u)
	}
	l.part = m.Part
	l.report.Pods += pods
	return nil
}

// hand passes the cluster at hand on. What lacks a part says nothing of what it does not mention.
func (l *loader) hand() {
	s := l.current
	if s == nil {
		return
	}
	l.current = nil
	if l.part < l.parts {
		s.Complete, s.Update.Full, s.Update.At = false, false, time.Time{}
		l.report.LostClusters++
	}
	l.report.Clusters++
	l.take(s)
}

func parseFrame(payload []byte) (*Position, *Message, error) {
	var p Position
	m := &Message{Header: Header{Schema: SchemaVersion, Kind: KindSnapshot}}
	var at int64
	err := fields(payload, func(f field) error {
		switch f.num {
		case frameCluster:
			return f.text(&p.Cluster, "cluster")
		case frameUID:
			return f.text(&p.ClusterUID, "uid")
		case frameComplete:
			return f.bool(&p.Complete)
		case frameBody:
			m.Body = f.bytes
		}
		if f.typ != protowire.VarintType {
			return nil
		}
		switch f.num {
		case frameEpoch:
			p.Epoch = int64(f.value)
		case frameSequence:
			p.Sequence = f.value
		case frameAt:
			at = int64(f.value)
		case framePart:
			m.Part = int(uint32(f.value))
		case frameParts:
			m.Parts = int(uint32(f.value))
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if at != 0 {
		p.At = time.Unix(0, at).UTC()
	}
	m.Cluster, m.ClusterUID, m.At = p.Cluster, p.ClusterUID, p.At
	m.Epoch, m.Sequence = max(p.Epoch, 1), uint64(max(m.Part, 1))
	return &p, m, nil
}
