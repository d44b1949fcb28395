// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// request is what the sending queue carries: items that are ready to be sent.
type request struct {
	batch *items.Batch
	// rest are the items that the last attempt left, if those are not all.
	rest *items.Batch
	// first is when the first attempt began.
	first time.Time
}

var (
	_ xexporterhelper.Request             = (*request)(nil)
	_ xexporterhelper.RequestErrorHandler = (*request)(nil)
)

// ItemsCount returns the number of spans, records and points. It is at least one if there is anything to send: the queue
// takes a request of none for nothing.
func (r *request) ItemsCount() int {
	if n := r.batch.Sources(); n > 0 {
		return n
	}
	return min(1, r.batch.Len())
}

// BytesSize returns what the items take in memory.
func (r *request) BytesSize() int { return r.batch.MemoryBytes() }

// OnError leaves what was accepted behind, so that it is not sent again.
func (r *request) OnError(error) xexporterhelper.Request {
	if r.rest != nil {
		r.batch, r.rest = r.rest, nil
	}
	return r
}

// MergeSplit appends the items of other and cuts the whole into requests that are not larger than limit, unless a single
// item is; such an item is sent alone and never refused. A limit of 0 cuts nothing.
func (r *request) MergeSplit(
	_ context.Context, limit int, sizer exporterhelper.RequestSizerType, other xexporterhelper.Request,
) ([]xexporterhelper.Request, error) {
	var second *request
	if other != nil {
		var ok bool
		if second, ok = other.(*request); !ok {
			return nil, fmt.Errorf("a request of type %T is not of this exporter", other)
		}
		if r.batch.Fits(second.batch) {
			r.batch.Join(second.batch)
			second = nil
		}
	}
	parts, err := r.split(limit, sizer)
	if err != nil || second == nil {
		return parts, err
	}
	more, err := second.split(limit, sizer)
	return append(parts, more...), err
}

func (r *request) split(limit int, sizer exporterhelper.RequestSizerType) ([]xexporterhelper.Request, error) {
	var parts []*items.Batch
	switch sizer {
	case exporterhelper.RequestSizerTypeItems:
		parts = r.batch.SplitItems(limit)
	case exporterhelper.RequestSizerTypeBytes:
		parts = r.batch.SplitBytes(limit)
	case exporterhelper.RequestSizerTypeRequests:
		// One request is one request, however large.
		return []xexporterhelper.Request{r}, nil
	default:
		return nil, fmt.Errorf("sizer %q is not known", sizer.String())
	}
	if len(parts) == 1 {
		return []xexporterhelper.Request{r}, nil
	}
	requests := make([]xexporterhelper.Request, len(parts))
	for i, part := range parts {
		requests[i] = &request{batch: part}
	}
	return requests, nil
}
