// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// testRuns is how often a random test runs: MESH_METRICS_RUNS, or few.
func testRuns(t *testing.T, few int) int {
	if many := os.Getenv("MESH_METRICS_RUNS"); many != "" {
		n, err := strconv.Atoi(many)
		require.NoError(t, err)
		return n
	}
	return few
}
