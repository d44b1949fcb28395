// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAShiftWaitsForInventories(t *testing.T) {
	rolling := Endpoints{Total: 4, Healthy: 3, New: 1, Desired: -1, Rollout: true}
	dead := Endpoints{Total: 4, Desired: -1}
	for name, tt := range map[string]struct {
		pending string
		come    Endpoints
		// north are the calls that go there in the intervals after the first one, until the inventories are there and then.
		north []uint64
		flags uint64
		want  []string
	}{
		"a deployment explains it":    {west.Cluster, rolling, []uint64{200, 200, 200}, 15, nil},
		"a failure":                   {west.Cluster, dead, []uint64{900, 900, 900}, 0, []string{"mesh.failover.started "}},
		"a failure, by its flags":     {west.Cluster, Endpoints{Total: 4, Healthy: 4, Desired: -1}, []uint64{900, 900, 900}, 300, []string{"mesh.failover.started "}},
		"a failure that is over":      {west.Cluster, dead, []uint64{0, 0, 0}, 0, []string{"mesh.failover.started "}},
		"it goes to a place of which": {north.Cluster, dead, []uint64{900, 900, 900}, 0, []string{"mesh.failover.started "}},
		"another one is expected":     {"elsewhere", dead, []uint64{900, 900, 900}, 300, []string{"mesh.failover.started "}},
	} {
		t.Run(name, func(t *testing.T) {
			s := learned(t)
			s.pending = []string{"another", tt.pending}
			first := s.step(100, 900, tt.flags)
			if tt.pending == "elsewhere" {
				assert.Equal(t, tt.want, names(first))
				return
			}
			for _, n := range tt.north {
				s.step(1000-n, n, 0)
			}
			require.Empty(t, s.events)
			s.pending = nil
			if tt.north[0] == 0 {
				// Nobody calls in the interval in which it is decided.
				s.with(tt.come, 0, 0, 0)
			} else {
				s.with(tt.come, 1000-tt.north[0], tt.north[0], 0)
			}
			assert.Equal(t, tt.want, names(s.events))
			if len(s.events) > 0 && tt.north[0] > 0 {
				assert.Equal(t, uint64(4500), s.events[0].Moved, "all that moved meanwhile")
			}
			for range 12 {
				s.with(tt.come, 1000, 0, 0)
			}
			if tt.want != nil {
				assert.Equal(t, "mesh.failover.ended recovered", names(s.events)[1])
			}
			assert.Empty(t, s.d.Active())
		})
	}
}

// What began before goes on as it was while an inventory is expected.
func TestAnUnexpectedShiftWaits(t *testing.T) {
	s := learned(t)
	for range 14 {
		s.step(100, 900, 0)
	}
	require.Equal(t, []string{"mesh.shift.started "}, names(s.events))
	s.pending = []string{west.Cluster}
	s.step(100, 900, 300)
	s.step(100, 900, 300)
	require.Len(t, s.events, 1)
	s.pending = nil
	s.step(100, 900, 0)
	assert.Equal(t, []string{"mesh.shift.started ", "mesh.shift.ended evidence_found", "mesh.failover.started "}, names(s.events))
}

// Nothing that waits is learned as usual, and a state does not have it.
func TestAStateHasNothingThatWaits(t *testing.T) {
	s := learned(t)
	before, err := s.d.Encode()
	require.NoError(t, err)
	s.pending = []string{west.Cluster}
	s.step(0, 1000, 0)
	for range 3 {
		s.step(0, 1000, 0)
	}
	p := s.d.pairs[pairKey{west.Region, svc("reviews")}]
	require.NotNil(t, p.held)
	assert.InDelta(t, 1, shareOf(p.masses, west, sum(p.masses)), 0.001)
	require.NoError(t, s.d.Restore(before))
	assert.Nil(t, s.d.pairs[pairKey{west.Region, svc("reviews")}].held)
}

// Calls that went elsewhere in one interval are not lost among those that came back until the inventories were there.
func TestAShiftThatIsOverIsNotForgotten(t *testing.T) {
	s := learned(t)
	for range 60 {
		s.step(950, 50, 0)
	}
	require.Empty(t, s.events)
	s.pending = []string{west.Cluster}
	s.step(0, 1000, 0)
	for range 15 {
		s.step(950, 50, 0)
	}
	require.Empty(t, s.events)
	s.pending = nil
	s.with(Endpoints{Total: 4, Desired: -1}, 950, 50, 0)
	assert.Equal(t, []string{"mesh.failover.started "}, names(s.events))
}
