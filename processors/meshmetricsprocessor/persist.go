// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/keep"
)

// identityVersion changes when a series is known by another key than before.
const identityVersion = 1

// repeatedWithin is for how long a delta is known at least, should its sender repeat it.
const repeatedWithin = 5 * time.Minute

// batchInFlight is a batch from before a restart that may not have been taken, in the encoding of OTLP.
type batchInFlight struct {
	number int
	raw    []byte
}

// pastJournal is a journal of which all was taken.
type pastJournal struct {
	number uint64
	ended  int64
}

// restore reads what the directory keeps. Damage is no error: it is counted, set aside, and all begins anew.
func (p *meshMetrics) restore(ctx context.Context) error {
	if p.config.Directory == "" {
		return nil
	}
	// Names of components have a slash.
	keeper, state, err := keep.Open(p.config.Directory, url.PathEscape(p.id.String()))
	result := "none"
	switch {
	case errors.Is(err, keep.ErrDamaged):
		result = "damaged"
		p.logger.Error("What was known of series is lost: what they count until their next point is missing",
			zap.String("directory", p.config.Directory), zap.Error(err))
	case errors.As(err, new(*disk.InUseError)):
		return fmt.Errorf("'directory' %s is %w: in each pipeline use a %s of another name, and one collector for each directory",
			p.config.Directory, err, p.id.Type())
	case err != nil:
		return fmt.Errorf("'directory' cannot be used: %w", err)
	case state != nil:
		result = p.restoreState(state)
	}
	p.keeper = keeper
	if err = p.replay(ctx, state); err != nil {
		return fmt.Errorf("'directory' cannot be used: %w", err)
	}
	p.telemetry.ProcessorMeshMetricsStateLoads.Add(ctx, 1, withWord("result", result))
	return nil
}

func (p *meshMetrics) restoreState(state *keep.State) (result string) {
	p.inState = state.Journal
	for i, raw := range state.Batches {
		p.inFlight = append(p.inFlight, batchInFlight{state.Numbers[i], raw})
	}
	const head = seedsSize + 8
	if len(state.Known) < head {
		p.logger.Error("What was known of series cannot be read: what they count until their next point is missing")
		return "damaged"
	}
	leftOut, err := p.store.Restore(state.Known[head:], state.Saved)
	if err != nil {
		p.logger.Error("What was known of series cannot be read: what they count until their next point is missing", zap.Error(err))
		p.open()
		return "damaged"
	}
	p.seeds = readSeeds(state.Known)
	if leftOut > 0 {
		p.logger.Warn("Series are beyond 'max_state_mib' or 'max_series_per_process' and were forgotten", zap.Int64("series", leftOut))
	}
	if binary.LittleEndian.Uint64(state.Known[seedsSize:]) != p.fingerprint() {
		p.store.Doubt(p.now().UnixNano())
		return "renamed"
	}
	return "restored"
}

// fingerprint is of all that a series' key depends on.
func (p *meshMetrics) fingerprint() uint64 {
	hash := fnv.New64a()
	fmt.Fprint(hash, identityVersion)
	for _, m := range p.config.Metrics {
		fmt.Fprintf(hash, "%q %s\n", m.Names, m.Buckets)
	}
	return hash.Sum64()
}

// image is all that is known of series. No batch may be being read.
func (p *meshMetrics) image() []byte {
	image := p.seeds.encode(make([]byte, 0, p.imageSize))
	image = binary.LittleEndian.AppendUint64(image, p.fingerprint())
	image = p.store.Encode(image)
	p.imageSize = len(image) + len(image)/8
	return image
}

// save writes down the image and the batches that go with it. An error says that the batches must not be handed over: a
// restart would find what was known before them, and count them again.
func (p *meshMetrics) save(ctx context.Context, now int64, image []byte, batches []pmetric.Metrics) error {
	journal, _ := p.keeper.Journal()
	state := keep.State{Saved: now, Journal: journal, Known: image, Batches: make([][]byte, len(batches))}
	var err error
	for i, md := range batches {
		if state.Batches[i], err = (&pmetric.ProtoMarshaler{}).MarshalMetrics(md); err != nil {
			return fmt.Errorf("encoding metrics: %w", err)
		}
	}
	if err = p.keeper.Save(&state); err == nil {
		p.inState = state.Journal
		p.telemetry.ProcessorMeshMetricsStateSaves.Add(ctx, 1, withWord("result", "success"))
		// Their deltas are still known for a while, should a sender repeat them. What cannot be removed is removed the next time.
		for len(p.journals) > 0 && now-p.journals[0].ended > repeatedWithin.Nanoseconds() {
			p.journals = p.journals[1:]
		}
		if len(p.journals) > 0 {
			journal = p.journals[0].number
		}
		_ = p.keeper.Forget(journal)
		return nil
	}
	p.failed(ctx, err)
	// Without a state a restart begins anew, and counts nothing twice.
	if gone := p.takeAway(journal); gone != nil {
		return errors.Join(err, gone)
	}
	return nil
}

// takeAway takes the state away, and the journals before a number. A kill may come at any time: journals that the state knows
// go before it, as without it their deltas would be new ones; and the others after it, as they are not in it.
func (p *meshMetrics) takeAway(before uint64) error {
	if err := p.keeper.Forget(p.inState); err != nil {
		return err
	}
	if err := p.keeper.Remove(); err != nil {
		return err
	}
	return p.keeper.Forget(before)
}

func (p *meshMetrics) failed(ctx context.Context, err error) {
	p.telemetry.ProcessorMeshMetricsStateSaves.Add(ctx, 1, withWord("result", "failure"))
	p.warn.unsaved(p.logger, err)
}

// writeDown puts a batch with deltas into the journal: they come once, and the sender forgets them when they are
// acknowledged. If it cannot, they are refused, and not added up.
func (b *batch) writeDown(ctx context.Context, md pmetric.Metrics) error {
	if b.keeper == nil || !b.hasDelta || b.refused {
		return nil
	}
	raw, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	if err == nil {
		err = b.keeper.Append(raw)
	}
	if err != nil {
		b.refused = true
		b.failed(ctx, err)
		return fmt.Errorf("deltas are not taken, as they cannot be written down: %w", err)
	}
	return nil
}

// replay adds up what came after the state was saved, and remembers what came in the interval before.
func (p *meshMetrics) replay(ctx context.Context, state *keep.State) error {
	numbers, err := p.keeper.Journals()
	if err != nil {
		return err
	}
	for _, number := range numbers {
		entries, torn, err := p.keeper.Entries(number)
		if err != nil {
			return err
		}
		if torn {
			p.logger.Warn("The last entry of a journal is not whole: its sender keeps it, unless the disk is damaged", zap.Uint64("journal", number))
		}
		p.journals = append(p.journals, pastJournal{number, p.now().UnixNano()})
		for _, entry := range entries {
			p.replayEntry(ctx, entry, state != nil && number < state.Journal)
		}
	}
	p.keeper.Begin()
	return nil
}

func (p *meshMetrics) replayEntry(ctx context.Context, entry []byte, known bool) {
	md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(entry)
	if err != nil {
		// The checksum was right, so this is none that we wrote.
		p.logger.Error("A batch of deltas from before the restart cannot be read and is lost", zap.Error(err))
		return
	}
	b := batch{meshMetrics: p, known: known}
	if rest, handled := b.split(md); handled {
		// The configuration handles them no more.
		b.dropped += int64(rest.DataPointCount())
		b.readAll(md)
	}
	b.count(ctx)
}

// forgetRecent forgets the deltas of some minutes ago.
func (p *meshMetrics) forgetRecent() {
	now := p.now().UnixNano()
	if now-p.turned < repeatedWithin.Nanoseconds() {
		return
	}
	p.turned = now
	if early := p.store.Recent.Turn(); early > 0 {
		p.logger.Warn("Deltas that a sender repeats may count twice: they are remembered for less than five minutes. Raise 'max_state_mib'")
	}
}

// resend hands over what was in flight at the end of the process before, as it was. It returns how many points were
// refused; nothing else is handed over before these.
func (p *meshMetrics) resend(ctx context.Context) (refused int) {
	for len(p.inFlight) > 0 {
		first := p.inFlight[0]
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(first.raw)
		if err != nil {
			// The checksum was right, so this is none that we wrote.
			p.logger.Error("A batch from before the restart cannot be read and is lost", zap.Error(err))
		} else {
			points := md.DataPointCount()
			if err = p.next.ConsumeMetrics(ctx, md); err != nil {
				p.warn.refused(p.logger, err)
				p.telemetry.ProcessorMeshMetricsRefusedPoints.Add(ctx, int64(points))
				return points
			}
			p.telemetry.ProcessorMeshMetricsResentPoints.Add(ctx, int64(points))
		}
		p.keeper.Mark(first.number)
		p.inFlight = p.inFlight[1:]
	}
	return 0
}

func withWord(key, value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))
}
