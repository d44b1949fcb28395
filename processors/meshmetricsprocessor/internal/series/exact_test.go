// SPDX-License-Identifier: Apache-2.0

package series

import (
	"math/big"
	"testing"
	"testing/quick"

	"github.com/stretchr/testify/require"
)

// TestExact adds up whole cumulative values in fractions, and holds what was taken and what is left against the sum of
// big numbers.
func TestExact(t *testing.T) {
	require.NoError(t, quick.Check(func(steps []uint32, take []bool) bool {
		var e Exact
		taken, last, now := new(big.Float).SetPrec(400), 0.0, 0.0
		for i, step := range steps {
			now += float64(step) / 10
			e.AddDifference(now, last)
			last = now
			if i < len(take) && take[i] {
				taken.Add(taken, big.NewFloat(e.Take()))
			}
		}
		taken.Add(taken, big.NewFloat(e.Hi))
		taken.Add(taken, big.NewFloat(e.Lo))
		return taken.Cmp(new(big.Float).SetPrec(400).SetFloat64(now)) == 0
	}, &quick.Config{MaxCount: 300}))
}
