// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

func batchOf(from, to int) *items.Batch {
	b := &items.Batch{}
	for n := from; n < to; n++ {
		b.Append(items.Item{JSON: fmt.Appendf(nil, `{"n":%05d}`, n), Kind: items.KindEvent, Time: time.Unix(1, 0)})
	}
	return b
}

func textsOf(requests ...xexporterhelper.Request) []string {
	var list []string
	for _, r := range requests {
		b := r.(*request).batch
		for i := range b.Len() {
			list = append(list, string(b.Item(i).JSON))
		}
	}
	return list
}

// The contract of the interface: nothing is lost or changes its order, no part is larger than the limit, and the last one
// is not larger than another.
func TestMergeSplit(t *testing.T) {
	one := batchOf(0, 1).MemoryBytes()
	for name, sizer := range map[string]struct {
		kind  exporterhelper.RequestSizerType
		size  func(xexporterhelper.Request) int
		scale int
	}{
		"items":    {exporterhelper.RequestSizerTypeItems, xexporterhelper.Request.ItemsCount, 1},
		"bytes":    {exporterhelper.RequestSizerTypeBytes, xexporterhelper.Request.BytesSize, one},
		"requests": {exporterhelper.RequestSizerTypeRequests, func(xexporterhelper.Request) int { return 1 }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for first := range 12 {
				for second := range 30 {
					for limit := range 11 {
						a, b := &request{batch: batchOf(0, first)}, &request{batch: batchOf(first, first+second)}
						want := append(textsOf(a), textsOf(b)...)
						got, err := a.MergeSplit(t.Context(), limit*sizer.scale, sizer.kind, b)
						require.NoError(t, err)
						require.NotEmpty(t, got)
						require.Equal(t, want, textsOf(got...))
						last := sizer.size(got[len(got)-1])
						for _, r := range got {
							if limit > 0 {
								require.LessOrEqual(t, sizer.size(r), limit*sizer.scale)
							}
							require.GreaterOrEqual(t, sizer.size(r), last)
						}
						if limit == 0 {
							require.Len(t, got, 1)
						}
					}
				}
			}
		})
	}
}

type foreign struct{ xexporterhelper.Request }

func TestMergeSplitRefusesWhatIsNotItsOwn(t *testing.T) {
	r := &request{batch: batchOf(0, 3)}
	_, err := r.MergeSplit(t.Context(), 1, exporterhelper.RequestSizerTypeItems, foreign{})
	require.Error(t, err)
	_, err = r.MergeSplit(t.Context(), 1, exporterhelper.RequestSizerType{}, nil)
	require.Error(t, err)
	assert.Equal(t, 3, r.ItemsCount(), "an error changes nothing")
}

func TestARequestOfDerivedItemsCountsAsOne(t *testing.T) {
	b := batchOf(0, 5)
	assert.Equal(t, 5, (&request{batch: b}).ItemsCount())
	b.Derive()
	assert.Equal(t, 1, (&request{batch: b}).ItemsCount())
	assert.Zero(t, (&request{batch: &items.Batch{}}).ItemsCount())
}

func TestOnErrorNarrows(t *testing.T) {
	r := &request{batch: batchOf(0, 5)}
	assert.Same(t, r, r.OnError(errDisk))
	assert.Equal(t, 5, r.ItemsCount())
	r.rest = batchOf(1, 3)
	assert.Equal(t, 2, r.OnError(errDisk).ItemsCount())
}

func TestEncodingReadsBack(t *testing.T) {
	e := encoding{}
	r := &request{batch: batchOf(0, 100)}
	raw, err := e.Marshal(context.Background(), r)
	require.NoError(t, err)
	_, read, err := e.Unmarshal(raw)
	require.NoError(t, err)
	assert.Equal(t, textsOf(r), textsOf(read))
	_, _, err = e.Unmarshal(nil)
	require.ErrorIs(t, err, errNothingStored)
	_, err = e.Marshal(context.Background(), foreign{})
	require.Error(t, err)
}
