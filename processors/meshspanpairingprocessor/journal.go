// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/pairing"
)

// journal keeps what waits over a crash: one record for the spans of one batch. Records are numbered; first and next
// bound the numbers in use.
type journal struct {
	client storage.Client
	// mu orders the operations, so that what is stored as next never goes back.
	mu          sync.Mutex
	first, next uint64
	// live are the numbers of the records that are stored.
	live map[uint64]struct{}
	// spent are those of them that are wanted no more, and could not be deleted yet.
	spent []uint64
}

// record is a stored batch.
type record struct {
	number uint64
	// left is how many of its spans were not handed on yet.
	left atomic.Int64
}

// all stands for every span of the record at once.
func (r *record) all() []*record {
	if r == nil {
		return nil
	}
	r.left.Store(1)
	return []*record{r}
}

const (
	firstKey = "first"
	nextKey  = "next"
	// readAtOnce is how many records are read at a time.
	readAtOnce = 256
)

func recordKey(number uint64) string { return "spans/" + strconv.FormatUint(number, 36) }

func openJournal(ctx context.Context, host component.Host, extension, id component.ID) (*journal, error) {
	found, ok := host.GetExtensions()[extension]
	if !ok {
		return nil, fmt.Errorf("no extension %q; define it under extensions and list it under service::extensions", extension)
	}
	storing, ok := found.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("extension %q stores nothing: write the id of a storage extension, such as file_storage", extension)
	}
	client, err := storing.GetClient(ctx, component.KindProcessor, id, "held_spans")
	if err != nil {
		return nil, fmt.Errorf("opening %q (one processor cannot be in two pipelines, give each its own name): %w", extension, err)
	}
	j := &journal{client: client, live: map[uint64]struct{}{}}
	first, next := storage.GetOperation(firstKey), storage.GetOperation(nextKey)
	if err := client.Batch(ctx, first, next); err != nil {
		return nil, errors.Join(err, client.Close(ctx))
	}
	j.first, j.next = decodeNumber(first.Value), decodeNumber(next.Value)
	return j, nil
}

// decodeNumber reads what encodeNumber wrote, zero for nothing.
func decodeNumber(value []byte) uint64 {
	if len(value) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}

func encodeNumber(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// write stores spans before they wait.
func (j *journal) write(ctx context.Context, td ptrace.Traces, spans int) (*record, error) {
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	r := &record{number: j.next}
	r.left.Store(int64(spans))
	if err := j.client.Batch(ctx,
		storage.SetOperation(recordKey(r.number), data), storage.SetOperation(nextKey, encodeNumber(j.next+1))); err != nil {
		return nil, err
	}
	j.next++
	j.live[r.number] = struct{}{}
	return r, nil
}

// done notes for each element that one span of the record was handed on, and deletes the records that nothing is left
// of, with those that could not be deleted before.
func (j *journal) done(ctx context.Context, records []*record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range records {
		if r.left.Add(-1) == 0 {
			j.spent = append(j.spent, r.number)
		}
	}
	if len(j.spent) == 0 {
		return nil
	}
	ops := make([]*storage.Operation, 0, len(j.spent)+1)
	for _, number := range j.spent {
		delete(j.live, number)
		ops = append(ops, storage.DeleteOperation(recordKey(number)))
	}
	first := j.first
	for first < j.next {
		if _, ok := j.live[first]; ok {
			break
		}
		first++
	}
	if first != j.first {
		ops = append(ops, storage.SetOperation(firstKey, encodeNumber(first)))
	}
	if err := j.client.Batch(ctx, ops...); err != nil {
		for _, number := range j.spent {
			j.live[number] = struct{}{}
		}
		return err
	}
	j.first, j.spent = first, j.spent[:0]
	return nil
}

func (j *journal) close(ctx context.Context) error { return j.client.Close(ctx) }

// read calls each with every record that an earlier collector left. It marks them as live.
func (j *journal) read(ctx context.Context, each func(number uint64, data []byte)) error {
	for from := j.first; from < j.next; from += readAtOnce {
		to := min(from+readAtOnce, j.next)
		ops := make([]*storage.Operation, 0, readAtOnce)
		for number := from; number < to; number++ {
			ops = append(ops, storage.GetOperation(recordKey(number)))
		}
		if err := j.client.Batch(ctx, ops...); err != nil {
			return err
		}
		for i, op := range ops {
			if op.Value != nil {
				j.live[from+uint64(i)] = struct{}{}
				each(from+uint64(i), op.Value)
			}
		}
	}
	return nil
}

// forget deletes the records of spans that were handed on. If that fails they come again after the next start.
func (p *spanPairing) forget(ctx context.Context, records []*record) {
	if p.journal == nil || len(records) == 0 {
		return
	}
	// The spans are gone on; that the sender gave up must not bring them again.
	if err := p.journal.done(context.WithoutCancel(ctx), records); err != nil {
		p.storageFailed(ctx, "Spans that were handed on are still stored, and will be handed on again at the next start", deleteOption, err)
	}
}

func (p *spanPairing) storageFailed(ctx context.Context, message string, operation metric.AddOption, err error) {
	p.telemetry.ProcessorMeshSpanPairingStorageFailures.Add(ctx, 1, operation)
	p.logger.Error(message, zap.Stringer("storage", p.config.Storage), zap.Error(err))
}

// restore lets the spans wait anew that waited when an earlier collector ended.
func (p *spanPairing) restore(ctx context.Context) error {
	var b pairing.Batch
	var t tally
	restored := 0
	var unreadable []*record
	err := p.journal.read(ctx, func(number uint64, data []byte) {
		r := &record{number: number}
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
		if err != nil || td.SpanCount() == 0 {
			p.storageFailed(ctx, "A stored batch is not readable and is dropped", readOption, err)
			unreadable = append(unreadable, r)
			r.left.Store(1)
			return
		}
		r.left.Store(int64(td.SpanCount()))
		restored += td.SpanCount()
		p.holdAgain(td, r, &b)
	})
	// Only now: before all are read, it is not known which numbers are in use.
	p.forget(ctx, unreadable)
	p.outgoing.add(b.Released)
	count(ctx, p.telemetry, &b, &t)
	if restored > 0 {
		p.telemetry.ProcessorMeshSpanPairingRestoredSpans.Add(ctx, int64(restored))
		p.logger.Info("Restored spans that waited for their partner", zap.Int("spans", restored))
	}
	return err
}

// holdAgain lets the spans of a record wait, or go at once if there is no room or nothing to wait for.
func (p *spanPairing) holdAgain(td ptrace.Traces, r *record, b *pairing.Batch) {
	now := time.Now()
	entries := make([]*pairing.Entry, 0, td.SpanCount())
	p.remember(td, now, &entries, b)
	i := -1
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			from := origin{resource: rs, scope: ss}
			g := &group{resource: rs, scope: ss}
			for _, span := range ss.Spans().All() {
				i++
				pl := &payload{span: span, group: g, record: r}
				bytes := int64(sizer.SpanSize(span)) + spanOverhead + from.share()
				from.group = g
				if entries[i] != nil && p.store.Reserve(entries[i], bytes, b) {
					p.store.Hold(entries[i], &pairing.Held{Payload: pl, Bytes: bytes}, now, b)
					continue
				}
				released := pairing.Released{Payload: pl, Bytes: bytes}
				if entries[i] != nil {
					released.Own, released.Now, _ = p.store.Judge(entries[i])
				}
				b.Released = append(b.Released, released)
			}
		}
	}
}
