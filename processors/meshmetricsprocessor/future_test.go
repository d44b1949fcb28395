// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAClockThatIsAhead: a sender from the future does not keep others from beginning after it is forgotten.
func TestAClockThatIsAhead(t *testing.T) {
	f := newFixture(t, nil)
	for n := range int64(2) {
		f.now = f.now.Add(time.Second)
		require.NoError(t, f.p.ConsumeMetrics(t.Context(), pushed("ahead", "200", time.Time{}, f.now.AddDate(90, 0, 0), 100+7*n)))
	}
	require.EqualValues(t, 7, f.total())
	for range 70 {
		f.total()
	}
	require.Zero(t, f.p.store.Series(), "it is stale")
	f.push("honest", "200", f.now.Add(time.Millisecond), 5)
	require.EqualValues(t, 12, f.total(), "it began while we watched")
}
