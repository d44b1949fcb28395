// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// What was scraped in the first second of a process has an uptime of 0, and is not from before the process.
func TestNoProcessIsYoungerThanItsPoints(t *testing.T) {
	const at = int64(1_763_903_746_123_456_789)
	for i := range int64(2000) {
		require.Equal(t, at+i*333_333, uptimeBegan(at+i*333_333, 0))
		require.Equal(t, at+i*333_333-5_000_000_000, uptimeBegan(at+i*333_333, 5))
	}
	for _, uptime := range []float64{-1, math.NaN(), math.Inf(1), 1e300} {
		require.Zero(t, uptimeBegan(at, uptime))
	}
	require.Zero(t, uptimeBegan(5, 60))
}
