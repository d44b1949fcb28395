// SPDX-License-Identifier: Apache-2.0

package items

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// TestTimesBeyondNanoseconds: an availability result or a dead letter can tell any year. The time that is kept for the age
// of an item must not come out on the other side.
func TestTimesBeyondNanoseconds(t *testing.T) {
	b := &Batch{}
	for _, at := range []time.Time{
		time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2262, 4, 11, 23, 47, 15, 0, time.UTC), time.Date(1970, 1, 1, 0, 0, 0, 7, time.UTC),
	} {
		b.Append(Item{JSON: []byte(`{"a":1}`), Time: at, Kind: KindMessage})
	}
	assert.Equal(t, 2262, b.Item(0).Time.UTC().Year())
	assert.Equal(t, 1677, b.Item(1).Time.UTC().Year())
	assert.Equal(t, time.Date(2262, 4, 11, 23, 47, 15, 0, time.UTC), b.Item(2).Time.UTC())
	assert.Equal(t, int64(7), b.Item(3).Time.UnixNano())
}

func TestEncoderNumbersAndTimes(t *testing.T) {
	for _, f := range []float64{0, 1, -1, 0.1, 1e15, 1e21, -1e300, 5e-324, math.MaxFloat64, 1<<53 + 1} {
		got := appendNumber(nil, f)
		var back float64
		require.NoError(t, json.Unmarshal(got, &back))
		assert.Equal(t, f, back)
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		var e Encoder
		var b Batch
		item := requestWith(&e, &b, func() { assert.False(t, e.Number("value", f)) })
		assert.True(t, json.Valid(item.JSON))
	}
	for _, d := range []time.Duration{-1, 0, 1, time.Microsecond, time.Hour*24*99 + 59*time.Minute, ai.MaxDuration - 1, ai.MaxDuration, math.MaxInt64} {
		assert.Equal(t, ai.FormatDuration(d), string(appendDuration(nil, d)))
	}
	var e Encoder
	for _, at := range []time.Time{
		encodeTime, encodeTime.Add(time.Microsecond), encodeTime.Add(time.Second), time.Unix(0, 0), time.Unix(0, -1),
		time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64),
	} {
		e.buf = e.buf[:0]
		e.appendTime(at)
		want, _ := ai.NewTime(at).MarshalText()
		assert.Equal(t, string(want), string(e.buf))
	}
}
