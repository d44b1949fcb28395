// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

// FailoverVersion is the version of the schema of /api/v1/failovers.
const FailoverVersion = 1

// FailoverReport are the shifts that last and those that ended last.
type FailoverReport struct {
	SchemaVersion int `json:"schema_version"`
	// Active are those that last, by their beginning.
	Active []failover.Event `json:"active"`
	// Ended are those that ended, the newest first. EndedBefore is how many more there were.
	Ended       []failover.Event `json:"ended"`
	EndedBefore uint64           `json:"ended_before"`
}

// Failovers keeps the ended shifts for readers. [Failovers.Published] may be called from anywhere, all else by one goroutine
// at a time.
type Failovers struct {
	keep   int
	ended  []failover.Event
	before uint64
	report atomic.Pointer[FailoverReport]
}

// NewFailovers keeps so many ended shifts, at least 1.
func NewFailovers(keep int) *Failovers {
	f := &Failovers{keep: max(1, keep)}
	f.publish(nil)
	return f
}

// Apply takes the events of an interval, and what is active after it.
func (f *Failovers) Apply(events, active []failover.Event) {
	for i := range events {
		if events[i].Phase == failover.Ended {
			f.ended = slices.Insert(f.ended, 0, events[i])
		}
	}
	f.cut()
	f.publish(active)
}

func (f *Failovers) cut() {
	if more := len(f.ended) - f.keep; more > 0 {
		f.before += uint64(more)
		f.ended = f.ended[:f.keep]
	}
}

func (f *Failovers) publish(active []failover.Event) {
	r := &FailoverReport{
		SchemaVersion: FailoverVersion, Active: append([]failover.Event{}, active...),
		Ended: append([]failover.Event{}, f.ended...), EndedBefore: f.before,
	}
	slices.SortStableFunc(r.Active, func(a, b failover.Event) int { return a.Start.Compare(b.Start) })
	f.report.Store(r)
}

// Published returns the report, never nil.
func (f *Failovers) Published() *FailoverReport { return f.report.Load() }

// Encode writes the report, [Failovers.Restore] reads it.
func (f *Failovers) Encode() []byte {
	b, err := json.Marshal(f.Published())
	if err != nil {
		return nil // A share that is no number cannot be written. What ended is lost then, and nothing else.
	}
	return b
}

// Restore puts an empty history in the place of the one that [Failovers.Encode] wrote. With an error nothing was changed.
func (f *Failovers) Restore(b []byte) error {
	if len(b) == 0 {
		return errors.New("the state of the ended failovers is empty")
	}
	var r FailoverReport
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("the state of the ended failovers is damaged: %w", err)
	}
	if r.SchemaVersion != FailoverVersion {
		return fmt.Errorf("the state of the ended failovers is of version %d, not %d", r.SchemaVersion, FailoverVersion)
	}
	f.ended, f.before = r.Ended, r.EndedBefore
	f.cut()
	f.publish(r.Active)
	return nil
}
