// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"sync"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/pairing"
)

var entryPool = sync.Pool{New: func() any { return new([]*pairing.Entry) }}

// maxPooled is the longest list that is kept for the next batch.
const maxPooled = 1 << 16

// putEntries gives a list back, without what it points to.
func putEntries(entries *[]*pairing.Entry) {
	if cap(*entries) > maxPooled {
		return
	}
	clear(*entries)
	*entries = (*entries)[:0]
	entryPool.Put(entries)
}
