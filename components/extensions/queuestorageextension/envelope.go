// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// The envelope around each value: magic (8), version and zeros (4), CRC-32C (4), time of the put in nanoseconds (8), length of
// the payload (8), all little endian, then the payload. The checksum covers the key and all but itself, so that neither a
// value under a wrong key nor one cut short passes.
const (
	envelopeMagic   = "\xf5QSTOR\r\n"
	envelopeVersion = 1
	envelopeSize    = 32
	crcOffset       = 12
	timeOffset      = 16
	lengthOffset    = 24
)

var (
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
	errChecksum = errors.New("the value does not fit its checksum")
	errEnvelope = errors.New("the value has no readable envelope")
)

// seal appends the envelope and the payload to buf. A time is kept to the nanosecond.
func seal(buf []byte, key string, payload []byte, put time.Time) []byte {
	start := len(buf)
	buf = append(buf, envelopeMagic...)
	buf = append(buf, envelopeVersion, 0, 0, 0, 0, 0, 0, 0)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(put.UnixNano()))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(payload)))
	buf = append(buf, payload...)
	sealed := buf[start:]
	binary.LittleEndian.PutUint32(sealed[crcOffset:], checksum(key, sealed))
	return buf
}

func checksum(key string, sealed []byte) uint32 {
	crc := crc32.Update(0, castagnoli, []byte(key))
	crc = crc32.Update(crc, castagnoli, sealed[:crcOffset])
	return crc32.Update(crc, castagnoli, sealed[timeOffset:])
}

// isSealed says whether a value, or the beginning of one, has an envelope.
func isSealed(value []byte) bool {
	return len(value) >= envelopeSize && string(value[:len(envelopeMagic)]) == envelopeMagic
}

// sealedAt is the time of the put, unchecked. The value has an envelope.
func sealedAt(value []byte) time.Time {
	return time.Unix(0, int64(binary.LittleEndian.Uint64(value[timeOffset:])))
}

// open returns the payload, which is part of value, and the time of its put.
func open(key string, value []byte) ([]byte, time.Time, error) {
	if !isSealed(value) || value[len(envelopeMagic)] != envelopeVersion {
		return nil, time.Time{}, errEnvelope
	}
	if binary.LittleEndian.Uint64(value[lengthOffset:]) != uint64(len(value)-envelopeSize) ||
		binary.LittleEndian.Uint32(value[crcOffset:]) != checksum(key, value) {
		return nil, time.Time{}, errChecksum
	}
	return value[envelopeSize:], sealedAt(value), nil
}
