// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One detector knows inventories, the other one goes through the same calls without.
func TestWhatAnotherDetectorTold(t *testing.T) {
	for name, tt := range map[string]struct {
		knows Endpoints
		flags uint64
		want  string
	}{
		"a failover that only the inventory shows": {Endpoints{Total: 4, Desired: -1}, 0, "mesh.failover.started "},
		"a deployment that looks like a failover":  {replacing, 300, "mesh.deployment_shift.started "},
		"a deployment that looks like nothing":     {replacing, 0, "mesh.deployment_shift.started "},
		"nothing that looks like a failover":       {Endpoints{Desired: 0}, 300, ""},
	} {
		t.Run(name, func(t *testing.T) {
			knows, goes := learned(t), learned(t)
			told := knows.with(tt.knows, 0, 1000, tt.flags)
			returned := goes.step(0, 1000, tt.flags)
			if tt.want != "" {
				require.Equal(t, []string{tt.want}, names(told))
			}
			goes.d.Adopt(returned, told)
			assert.Equal(t, knows.d.Active(), goes.d.Active())
			require.NotEqual(t, names(told), names(returned))
			for range 12 {
				told, returned = knows.with(Endpoints{Total: 4, Healthy: 4, Desired: -1}, 1000, 0, 0), goes.with(Endpoints{Total: 4, Healthy: 4, Desired: -1}, 1000, 0, 0)
				assert.Equal(t, told, returned)
			}
			assert.Empty(t, goes.d.Active())
		})
	}
}

// An end that was not told did not happen, and one that was told did.
func TestAnEndThatAnotherDetectorTold(t *testing.T) {
	s := learned(t)
	started := s.step(0, 1000, 300)
	require.Len(t, started, 1)
	before := s.d.Active()
	var ended []Event
	for len(ended) == 0 {
		ended = s.step(1000, 0, 0)
	}
	require.Empty(t, s.d.Active())
	s.d.Adopt(ended, nil)
	require.Equal(t, before, s.d.Active())
	whole := before[0]
	whole.Phase, whole.Scope = Updated, Whole
	s.d.Adopt(nil, []Event{whole})
	require.Equal(t, Whole, s.d.Active()[0].Scope)
	s.d.Adopt(nil, ended)
	require.Empty(t, s.d.Active())
	stranger := started[0]
	stranger.Service.Name = "nobody's"
	s.d.Adopt([]Event{stranger}, []Event{stranger})
	require.Empty(t, s.d.Active())
}
