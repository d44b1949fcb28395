// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// keepBytes is the largest buffer that goes back to the pool.
const keepBytes = 4 << 20

// stageBytes is how much is handed to the compressor at once, instead of three small pieces for each item.
const stageBytes = 16 << 10

// payload is a compressed body. Transports may read a body, and close it, even after they returned, so that its memory
// is used again only once nobody reads it.
type payload struct {
	bytes []byte
	refs  atomic.Int32
	home  *sync.Pool
	// taken says that some reader was read to its end: the endpoint may have all of it.
	taken atomic.Bool
}

// Write appends; it is the compressor that writes.
func (p *payload) Write(b []byte) (int, error) {
	p.bytes = append(p.bytes, b...)
	return len(b), nil
}

func (p *payload) release() {
	if p.refs.Add(-1) == 0 && cap(p.bytes) <= keepBytes {
		p.home.Put(p)
	}
}

var errBodyGone = errors.New("the body was closed")

// open returns a reader of the body, or an error once the body is gone.
func (p *payload) open() (io.ReadCloser, error) {
	for {
		refs := p.refs.Load()
		if refs == 0 {
			return nil, errBodyGone
		}
		if p.refs.CompareAndSwap(refs, refs+1) {
			return &payloadReader{payload: p}, nil
		}
	}
}

type payloadReader struct {
	mu      sync.Mutex
	payload *payload
	offset  int
}

// Read may be called while another goroutine calls Close.
func (r *payloadReader) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.payload == nil {
		return 0, errBodyGone
	}
	n := copy(b, r.payload.bytes[r.offset:])
	r.offset += n
	if r.offset == len(r.payload.bytes) {
		r.payload.taken.Store(true)
		if n == 0 {
			return 0, io.EOF
		}
	}
	return n, nil
}

// Close lets go of the body. It may be called more than once.
func (r *payloadReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.payload != nil {
		r.payload.release()
		r.payload = nil
	}
	return nil
}

// builder makes bodies. Its compressor and its memory are used again.
type builder struct {
	zip   *gzip.Writer
	stage []byte
}

// press holds what is used again for the bodies of a destination.
type press struct {
	builders sync.Pool
	payloads sync.Pool
}

func newPress(level int) *press {
	p := &press{}
	p.payloads.New = func() any { return &payload{home: &p.payloads} }
	p.builders.New = func() any {
		// The level was checked with the settings.
		zip, _ := gzip.NewWriterLevel(io.Discard, level)
		return &builder{zip: zip, stage: make([]byte, 0, stageBytes+4096)}
	}
	return p
}

// limits bound a body.
type limits struct{ items, bytes int }

// keyPrefix is what comes instead of the brace that begins an item.
func keyPrefix(key string) []byte {
	return append(append([]byte(`{"iKey":"`), key...), `",`...)
}

// sendable says whether an item is one line, an object, and not empty: a line break in it would shift the index of each
// item that follows.
func sendable(json []byte) bool {
	return len(json) > 2 && json[0] == '{' && json[1] != '}' && json[len(json)-1] == '}' && bytes.IndexByte(json, '\n') < 0
}

// pack makes a body of as many items, in this order, as the limits let in, but of one at least. It returns the number of
// items and the size before compression. The caller releases the payload.
func (p *press) pack(b *items.Batch, order []int32, prefix []byte, limit limits) (body *payload, count, size int) {
	work := p.builders.Get().(*builder)
	defer p.builders.Put(work)
	body = p.payloads.Get().(*payload)
	body.bytes = body.bytes[:0]
	body.taken.Store(false)
	body.refs.Store(1)
	work.zip.Reset(body)
	stage := work.stage[:0]
	for _, i := range order {
		json := b.Item(int(i)).JSON
		length := len(prefix) + len(json) // a brace less, a line break more
		if count > 0 && (count >= limit.items || size+length > limit.bytes) {
			break
		}
		if len(stage)+length > stageBytes {
			// Writing to memory does not fail.
			_, _ = work.zip.Write(stage)
			stage = stage[:0]
		}
		stage = append(stage, prefix...)
		stage = append(stage, json[1:]...)
		stage = append(stage, '\n')
		count++
		size += length
	}
	_, _ = work.zip.Write(stage)
	_ = work.zip.Close()
	if cap(stage) <= 4*stageBytes {
		work.stage = stage[:0]
	}
	return body, count, size
}
