// SPDX-License-Identifier: Apache-2.0

package attr

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

func TestWriter(t *testing.T) {
	var tally Tally
	w := Writer{Map: pcommon.NewMap(), Limits: Limits{MaxValueLength: 5, MaxMapEntries: 1}, Tally: &tally}
	w.Str("empty", "")
	w.Strs("empty list", "")
	w.Int("zero", 0)
	require.Zero(t, w.Map.Len(), "what is empty is left out")

	w.Str("fits", "12345")
	require.Zero(t, tally.Truncated)
	w.Str("cut", "123456")
	w.Str("rune", "1234ä")
	w.Strs("list", "abcdefg")
	w.Int("n", -1)
	require.EqualValues(t, 3, tally.Truncated)
	require.Equal(t, map[string]any{
		"fits": "12345", "cut": "12345", "rune": "1234", "list": []any{"abcde"}, "n": int64(-1),
	}, w.Map.AsRaw())

	require.Nil(t, tally.Skipped)
	require.Equal(t, "a\uFFFD", w.Cut("a\xff"))
	require.Equal(t, map[string]int64{SkipText: 1}, tally.Skipped)
}

func TestLimitSmallerThanARune(t *testing.T) {
	var tally Tally
	w := Writer{Limits: Limits{MaxValueLength: 1}, Tally: &tally}
	require.Empty(t, w.Cut("ä"))
}
