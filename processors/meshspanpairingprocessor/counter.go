// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/pairing"
)

// Attribute sets are made once: making one costs more than judging a span.
var (
	endOptions      = options("end", []string{"source", "destination"})
	conflictOptions = options("end", pairing.ConflictNames[:])
	reasonOptions   = options("reason", pairing.Reasons[:])
	backlogOption   = options("reason", []string{"backlog"})[0]
	storageOption   = options("reason", []string{"storage"})[0]
	refusedOption   = options("reason", []string{"refused"})[0]
	shutdownOption  = options("reason", []string{"shutdown"})[0]
	entriesOption   = options("reason", []string{"max_entries"})[0]
	crowdedOption   = options("reason", []string{"too_many_children"})[0]
	tooLongOption   = options("reason", []string{"too_long"})[0]
	writeOption     = options("operation", []string{"write"})[0]
	deleteOption    = options("operation", []string{"delete"})[0]
	readOption      = options("operation", []string{"read"})[0]
)

func options(name string, values []string) []metric.AddOption {
	all := make([]metric.AddOption, len(values))
	for i, value := range values {
		all[i] = metric.WithAttributeSet(attribute.NewSet(attribute.String(name, value)))
	}
	return all
}

// tally is what one call adds to the counters beside what the store's batch counts.
type tally struct {
	paired           [2]int64
	backlog, storage int64
}

// tell notes which ends of a span another one told.
func (t *tally) tell(own, now *pairing.State) {
	if now.TellsSource(own) {
		t.paired[0]++
	}
	if now.TellsDestination(own) {
		t.paired[1]++
	}
}

func addAll(ctx context.Context, counter metric.Int64Counter, counts []int64, options []metric.AddOption) {
	for i, n := range counts {
		if n > 0 {
			counter.Add(ctx, n, options[i])
		}
	}
}

func addOne(ctx context.Context, counter metric.Int64Counter, n int64, options ...metric.AddOption) {
	if n > 0 {
		counter.Add(ctx, n, options...)
	}
}

func count(ctx context.Context, tb *metadata.TelemetryBuilder, b *pairing.Batch, t *tally) {
	addAll(ctx, tb.ProcessorMeshSpanPairingReleasedSpans, b.Reasons[:], reasonOptions)
	addAll(ctx, tb.ProcessorMeshSpanPairingUnheldSpans, b.Unheld[:], reasonOptions)
	addAll(ctx, tb.ProcessorMeshSpanPairingConflicts, b.Conflicts[:], conflictOptions)
	addAll(ctx, tb.ProcessorMeshSpanPairingPairedSpans, t.paired[:], endOptions)
	addOne(ctx, tb.ProcessorMeshSpanPairingUnheldSpans, t.backlog, backlogOption)
	addOne(ctx, tb.ProcessorMeshSpanPairingUnheldSpans, t.storage, storageOption)
	addOne(ctx, tb.ProcessorMeshSpanPairingDuplicates, b.Duplicates)
	addOne(ctx, tb.ProcessorMeshSpanPairingForgottenEntries, b.Forgotten, entriesOption)
	addOne(ctx, tb.ProcessorMeshSpanPairingForgottenEntries, b.Crowded, crowdedOption)
	addOne(ctx, tb.ProcessorMeshSpanPairingForgottenEntries, b.TooLong, tooLongOption)
}
