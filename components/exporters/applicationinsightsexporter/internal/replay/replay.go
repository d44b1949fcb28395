// SPDX-License-Identifier: Apache-2.0

// Package replay sends dead letters to a destination again. What was accepted is marked at once, on the disk, and a file
// goes when all of its letters were accepted; so a crash at any moment loses no letter, and sends those of one request
// twice at most.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/delivery"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// Sender makes one attempt at delivering; a [*delivery.Sender] is one.
type Sender interface {
	Send(ctx context.Context, batch *items.Batch) delivery.Result
}

// The bounds and defaults of [Settings].
const (
	DefaultBatch    = 100
	MaxBatch        = 1000
	DefaultPatience = 2 * time.Minute
	maxBatchBytes   = 4 << 20
	minBackoff      = time.Second
	maxBackoff      = 30 * time.Second
)

// Settings say what to send again, and how.
type Settings struct {
	// Directory is where the letters are.
	Directory string
	// Filter selects letters; the others stay.
	Filter Filter
	// Sender delivers. Not needed for a dry run.
	Sender Sender
	// DryRun only counts what would be sent.
	DryRun bool
	// ShiftTime moves the time of items that the endpoint would refuse for their age to now, and keeps the real one as the
	// property [OriginalTime].
	ShiftTime bool
	// Batch is the number of letters in one request, 1 to [MaxBatch]; 0 for [DefaultBatch].
	Batch int
	// Rate is the number of letters to send a second at most; 0 for no limit.
	Rate float64
	// Patience is how long to go on while nothing is accepted; 0 for [DefaultPatience].
	Patience time.Duration
	// Now and Wait are the clock; nil for the real one. Wait ends early with the context, with its error.
	Now  func() time.Time
	Wait func(ctx context.Context, d time.Duration) error
}

// Validate returns an error that names the option and what to write.
func (s Settings) Validate() error {
	var errs []error
	if s.Directory == "" {
		errs = append(errs, errors.New("--directory is missing: give 'dead_letter::directory' of the exporter"))
	}
	if s.Batch < 0 || s.Batch > MaxBatch {
		errs = append(errs, fmt.Errorf("--batch %d: write 1 to %d", s.Batch, MaxBatch))
	}
	if s.Rate < 0 {
		errs = append(errs, fmt.Errorf("--rate %v: write a number of letters a second, or 0 for no limit", s.Rate))
	}
	if s.Patience < 0 {
		errs = append(errs, fmt.Errorf("--patience %s: write a positive duration", s.Patience))
	}
	if s.Sender == nil && !s.DryRun {
		errs = append(errs, errors.New("nothing to send with"))
	}
	return errors.Join(errs...)
}

func (s Settings) withDefaults() Settings {
	if s.Batch == 0 {
		s.Batch = DefaultBatch
	}
	if s.Patience == 0 {
		s.Patience = DefaultPatience
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Wait == nil {
		s.Wait = wait
	}
	return s
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run sends letters again, the oldest file first. An error says why it ended early; the report holds what was done until
// then.
func Run(ctx context.Context, settings Settings) (Report, error) {
	if err := settings.Validate(); err != nil {
		return Report{}, err
	}
	files, err := deadletter.Files(settings.Directory)
	if err != nil {
		return Report{}, err
	}
	r := &run{Settings: settings.withDefaults()}
	r.began = r.Now()
	r.progress = r.began
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return r.report, err
		}
		err := r.file(ctx, f)
		switch {
		case errors.Is(err, deadletter.ErrBusy):
			r.report.Busy = append(r.report.Busy, f.Name)
		case errors.Is(err, os.ErrNotExist):
			// It made room since it was listed.
		case err != nil:
			return r.report, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return r.report, nil
}

// run is one replay.
type run struct {
	Settings
	report          Report
	began, progress time.Time
	sent            int
}

// pending is a batch and where its letters stand.
type pending struct {
	batch   items.Batch
	offsets []int64
	// shifted are the offsets of those whose time was moved.
	shifted map[int64]bool
}

func (p *pending) reset() { *p = pending{} }

func (r *run) file(ctx context.Context, f deadletter.File) (err error) {
	// The marks keep the file from making room.
	marks, err := r.marks(f.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, marks.Close()) }()
	opened, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer opened.Close()
	r.report.Files++
	reader := deadletter.NewReader(opened)
	var next pending
	for {
		entry, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if !r.take(&next, entry, marks) {
			continue
		}
		if len(next.offsets) >= r.Batch || next.batch.TextBytes() >= maxBatchBytes {
			if err := r.deliver(ctx, &next, marks); err != nil {
				return err
			}
		}
	}
	r.report.Torn += reader.Damaged().Torn
	r.report.Unreadable += reader.Damaged().Unreadable
	if err := r.deliver(ctx, &next, marks); err != nil || r.DryRun {
		return err
	}
	removed, err := marks.RemoveIfDone()
	if removed {
		r.report.Removed++
	}
	return err
}

func (r *run) marks(path string) (*deadletter.Marks, error) {
	if r.DryRun {
		return deadletter.ReadMarks(path)
	}
	return deadletter.OpenMarks(path)
}

// take puts a letter into the batch, or counts why not.
func (r *run) take(next *pending, entry deadletter.Entry, marks *deadletter.Marks) bool {
	if !r.Filter.Matches(&entry.Letter) {
		return false
	}
	if marks.Done(entry.Offset) {
		r.report.Already++
		return false
	}
	r.report.Matched++
	item, shifted, why := prepare(&entry.Letter, r.Now(), r.ShiftTime)
	if why != "" {
		add(&r.report.PassedOver, why, 1)
		return false
	}
	before := next.batch.Len()
	next.batch.Append(item)
	if next.batch.Len() == before {
		add(&r.report.PassedOver, "no room for it in a request", 1)
		return false
	}
	next.offsets = append(next.offsets, entry.Offset)
	if shifted {
		if next.shifted == nil {
			next.shifted = map[int64]bool{}
		}
		next.shifted[entry.Offset] = true
	}
	return true
}

// deliver sends the batch until each of its letters has a fate, or patience or the context ends.
func (r *run) deliver(ctx context.Context, next *pending, marks *deadletter.Marks) error {
	defer next.reset()
	if len(next.offsets) == 0 {
		return nil
	}
	if r.DryRun {
		r.report.Delivered += len(next.offsets)
		r.report.Shifted += len(next.shifted)
		return nil
	}
	if err := r.pace(ctx, len(next.offsets)); err != nil {
		r.report.Left += len(next.offsets)
		return err
	}
	batch, offsets := &next.batch, next.offsets
	backoff := minBackoff
	for {
		result := r.Sender.Send(ctx, batch)
		if err := r.settle(&result, offsets, next.shifted, marks); err != nil {
			// What was accepted and is not marked is sent again by the next replay.
			r.report.Left += len(result.Left)
			return err
		}
		if len(result.Left) == 0 {
			return nil
		}
		batch, offsets = batch.Pick(result.Left), pick(offsets, result.Left)
		if err := r.pause(ctx, &result, &backoff); err != nil {
			r.report.Left += len(offsets)
			return err
		}
	}
}

// settle counts and marks what has a fate.
func (r *run) settle(result *delivery.Result, offsets []int64, shifted map[int64]bool, marks *deadletter.Marks) error {
	open := make(map[int]bool, len(result.Left)+len(result.Dead))
	for _, i := range result.Left {
		open[i] = true
	}
	for _, dead := range result.Dead {
		open[dead.Index] = true
		add(&r.report.Refused, refusal(dead), 1)
	}
	var done []int64
	for i, offset := range offsets {
		if !open[i] {
			done = append(done, offset)
			if shifted[offset] {
				r.report.Shifted++
			}
		}
	}
	r.report.Uncertain += result.Uncertain
	if len(done)+len(result.Dead) > 0 {
		r.progress = r.Now()
	}
	r.report.Delivered += len(done)
	return marks.Add(done)
}

func refusal(dead delivery.Dead) string {
	if dead.Status == 0 {
		return fmt.Sprintf("%s: %s", dead.Reason, dead.Message)
	}
	return fmt.Sprintf("%s (%d): %s", dead.Reason, dead.Status, dead.Message)
}

func pick(offsets []int64, indexes []int) []int64 {
	picked := make([]int64, 0, len(indexes))
	for _, i := range indexes {
		picked = append(picked, offsets[i])
	}
	return picked
}

// pause waits before the next attempt, or returns why there is none.
func (r *run) pause(ctx context.Context, result *delivery.Result, backoff *time.Duration) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var failure *delivery.Failure
	if errors.As(result.Err, &failure) && failure.Cause == delivery.CauseUnfinished {
		return nil // the search for the item that spoils a request goes on
	}
	d := max(result.Delay, *backoff)
	*backoff = min(2**backoff, maxBackoff)
	if waited := r.Now().Sub(r.progress); waited+d > r.Patience {
		return fmt.Errorf("nothing was accepted for %s, and the next attempt would be in %s: %w; try again later, or with a longer --patience",
			waited.Round(time.Second), d.Round(time.Second), result.Err)
	}
	return r.Wait(ctx, d)
}

// pace waits until so many letters more keep to the rate.
func (r *run) pace(ctx context.Context, letters int) error {
	if r.Rate > 0 && r.sent > 0 {
		due := r.began.Add(time.Duration(float64(r.sent) / r.Rate * float64(time.Second)))
		if d := due.Sub(r.Now()); d > 0 {
			if err := r.Wait(ctx, d); err != nil {
				return err
			}
			r.progress = r.progress.Add(d) // waiting for the rate is not waiting for the endpoint
		}
	}
	r.sent += letters
	return nil
}
