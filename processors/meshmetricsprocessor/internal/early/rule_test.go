// SPDX-License-Identifier: Apache-2.0

package early

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

func TestLimit(t *testing.T) {
	for _, c := range []struct {
		what     string
		kind     Kind
		usual    uint64
		told     Strength
		at       uint64
		want     uint64
		strength Strength
	}{
		{"the first call elsewhere", Elsewhere, 0, Calm, 0, 1, Weak},
		{"more of them", Elsewhere, 0, Weak, 1, 5, Strong},
		{"a second of it was told, and now there is all of it", Elsewhere, 0, Strong, 6, 24, Strong},
		{"it goes on", Elsewhere, 360, Strong, 90, 725, Strong},
		{"strays are usual", Elsewhere, 2, Calm, 0, 9, Strong},
		{"a part is usual", Elsewhere, 100, Calm, 0, 205, Strong},
		{"fewer failures are no evidence", Failed, 0, Calm, 0, 3, Weak},
		{"it goes on failing", Failed, 0, Weak, 7, 28, Weak},
		{"some failures are usual", Failed, 10, Calm, 0, 25, Weak},
		{"calls that stay", Usual, 0, Calm, 0, never, Calm},
	} {
		n, strength := limit(c.kind, c.usual, c.told, c.at)
		require.Equal(t, c.want, n, c.what)
		require.Equal(t, c.strength, strength, c.what)
	}
}

// TestWhatTheHubJudgesBy compares the rule with that of the hub: what is no evidence there need not be early.
func TestWhatTheHubJudgesBy(t *testing.T) {
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for _, flag := range []string{string([]rune{a, b}), string([]rune{a, b, 'X'}), string([]rune{a, b, 'R'})} {
				require.Equal(t, failover.EvidenceFlag(flag), FailureFlag(flag), flag)
			}
		}
	}
	require.False(t, FailureFlag("-"))
	require.False(t, FailureFlag(""))
	require.EqualValues(t, failover.DefaultConfig().MinMoved, enough)
}
