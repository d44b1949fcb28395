// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc"
)

// zstdWindow is the largest window that is decoded. RFC 8878, section 3.1.1.1.2, asks decoders for 8 MiB and lets them
// refuse more; the collector's own exporter writes 512 KiB. What a decoder allocates follows from this number in the
// request, however small the request is.
const zstdWindow = 8 << 20

// maxZstdDecoders bounds what all decoders together keep.
const maxZstdDecoders = 4

// boundedZstd decompresses messages with as many decoders as there are processors. A message is in memory by then, so that
// nobody waits for a sender here.
type boundedZstd struct {
	idle chan *zstd.Decoder
	most int64
}

// The interface is deprecated in favor of a registry for the whole process, exporters included; a server of its own has no
// other way to decompress within bounds.
var _ grpc.Decompressor = (*boundedZstd)(nil) //nolint:staticcheck // see above

func newBoundedZstd(most int64) (*boundedZstd, error) {
	count := min(runtime.GOMAXPROCS(0), maxZstdDecoders)
	z := &boundedZstd{idle: make(chan *zstd.Decoder, count), most: most}
	for range count {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow),
			zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		z.idle <- d
	}
	return z, nil
}

// Do decompresses a message, and no more than one byte over the limit.
func (z *boundedZstd) Do(r io.Reader) ([]byte, error) {
	d := <-z.idle
	defer func() {
		_ = d.Reset(nil)
		z.idle <- d
	}()
	if err := d.Reset(r); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(d, z.most+1))
}

// Type is the encoding's name in the header grpc-encoding.
func (*boundedZstd) Type() string { return "zstd" }
