// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestAClockThatWasAhead: the report goes on from what is now, and no byte is lost for the metrics.
func TestAClockThatWasAhead(t *testing.T) {
	const ahead = 365 * 24 * 60
	l := newLedger(t, Config{})
	for _, minute := range []int{ahead, ahead + 1, 0, 1, 2} {
		l.Add(minuteOf(minute, edge("westeurope", "shop", "northeurope", "shop", "reviews", gb, 0)))
	}
	r := l.Report()
	assert.EqualValues(t, 2*gb, r.Total.Bytes, "the completed minutes")
	assert.True(t, r.From.Equal(noon))
	var all uint64
	for _, row := range l.Take().rows {
		all += row.bytes
	}
	assert.EqualValues(t, 5*gb, all)
}
