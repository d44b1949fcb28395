// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// encoding is the form of requests on disk. The queue deletes what Unmarshal returns an error for, so what cannot be read
// is set aside here.
type encoding struct{ outlet *outlet }

var (
	// errNothingStored is of an entry that the storage refused to write, or lost: its sender was told then.
	errNothingStored = errors.New("nothing is stored under this entry of the queue")
	errUnreadable    = errors.New("nothing of a stored batch can be read; it was set aside")
)

// Marshal does not keep the context: it would only link the spans of the collector's own tracing.
func (encoding) Marshal(_ context.Context, r xexporterhelper.Request) ([]byte, error) {
	own, ok := r.(*request)
	if !ok {
		return nil, fmt.Errorf("a request of type %T is not of this exporter", r)
	}
	return own.batch.MarshalBinary()
}

// Unmarshal returns what can be read. It sets the rest aside and counts it, and returns an error only if nothing is left.
func (e encoding) Unmarshal(stored []byte) (context.Context, xexporterhelper.Request, error) {
	ctx := context.Background()
	if len(stored) == 0 {
		return ctx, nil, errNothingStored
	}
	batch, damages := items.Decode(stored)
	if len(damages) > 0 {
		e.outlet.setAside(ctx, damages)
	}
	if batch.Len() == 0 {
		return ctx, nil, errUnreadable
	}
	return ctx, &request{batch: batch}, nil
}

// setAside writes damaged parts of a stored batch to the dead letters.
func (o *outlet) setAside(ctx context.Context, damages []items.Damage) {
	o.counters.unreadableBatch(ctx)
	var letters []deadletter.Letter
	lost := 0
	for _, d := range damages {
		// How many items there were is not known if the head is damaged. One stands for some then.
		lost += max(d.Items, 1)
		letters = append(letters, o.damageLetters(d)...)
	}
	// The error says what was counted and logged.
	_ = o.bury(ctx, letters, deadletter.ReasonUnreadable, lost)
}

// damageLetters cuts a part so that each piece fits into a letter.
func (o *outlet) damageLetters(d items.Damage) []deadletter.Letter {
	var letters []deadletter.Letter
	pieces := max(1, (len(d.Raw)+deadletter.MaxItemBytes-1)/deadletter.MaxItemBytes)
	for i := range pieces {
		piece := d.Raw[i*deadletter.MaxItemBytes : min((i+1)*deadletter.MaxItemBytes, len(d.Raw))]
		letters = append(letters, deadletter.Letter{
			Destination: o.destination.name, Reason: deadletter.ReasonUnreadable,
			Message: fmt.Sprintf("stored %s, %d items, piece %d of %d: %v", o.signal, d.Items, i+1, pieces, d.Err),
			Damaged: piece,
		})
	}
	return letters
}
