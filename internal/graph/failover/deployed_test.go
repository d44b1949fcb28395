// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// with is [steps.step] with an inventory of the west.
func (s *steps) with(e Endpoints, west1, north1, flagged uint64) []Event {
	e.Service, e.Place = svc("reviews"), west
	s.inventory = []Endpoints{e}
	return s.step(west1, north1, flagged)
}

func names(events []Event) (list []string) {
	for i := range events {
		list = append(list, events[i].Name()+" "+events[i].Reason)
	}
	return list
}

// replacing is a place in which a deployment has deleted all, and new endpoints are not ready yet.
var replacing = Endpoints{Total: 4, New: 4, Desired: -1, Rollout: true, Replaced: true}

func TestADeploymentThatLeavesNothingBetween(t *testing.T) {
	for name, tt := range map[string]struct {
		endpoints     Endpoints
		north, failed uint64
		want          []string
	}{
		"it is told as what it is":              {replacing, 900, 0, []string{"mesh.deployment_shift.started "}},
		"calls break off with the old ones":     {replacing, 900, 300, []string{"mesh.deployment_shift.started "}},
		"no new ones yet":                       {Endpoints{Desired: -1, Rollout: true}, 900, 300, []string{"mesh.deployment_shift.started "}},
		"few calls move":                        {replacing, 120, 0, nil},
		"it was over a minute ago":              {Endpoints{Total: 4, Healthy: 4, Desired: -1, Rolled: start.Add(14*time.Minute + 30*time.Second), Replaced: true}, 900, 300, []string{"mesh.deployment_shift.started "}},
		"it was over long ago":                  {Endpoints{Total: 4, Healthy: 4, Desired: -1, Rolled: start.Add(10 * time.Minute), Replaced: true}, 900, 300, []string{"mesh.failover.started "}},
		"there were others meanwhile":           {Endpoints{Total: 4, Healthy: 4, Desired: -1, Rolled: start.Add(14*time.Minute + 30*time.Second)}, 900, 300, []string{"mesh.failover.started "}},
		"the old ones failed":                   {Endpoints{Total: 4, Desired: -1, Rollout: true}, 900, 0, []string{"mesh.failover.started "}},
		"the new ones were ready, and failed":   {Endpoints{Total: 4, New: 1, Desired: -1, Rollout: true, Replaced: true}, 900, 0, []string{"mesh.failover.started "}},
		"some were ready and failed, afterward": {Endpoints{Total: 4, Healthy: 0, Desired: -1, Rolled: start.Add(14*time.Minute + 30*time.Second), Replaced: true}, 900, 0, []string{"mesh.failover.started "}},
	} {
		t.Run(name, func(t *testing.T) {
			s := learned(t)
			assert.Equal(t, tt.want, names(s.with(tt.endpoints, 1000-tt.north, tt.north, tt.failed)))
		})
	}
}

func TestWhatBecomesOfTheShiftOfADeployment(t *testing.T) {
	ready := Endpoints{Total: 4, Healthy: 4, Desired: -1}
	for name, tt := range map[string]struct {
		then  Endpoints
		north uint64
		flags uint64
		want  []string
	}{
		"calls come back": {ready, 0, 0, []string{"mesh.deployment_shift.ended recovered"}},
		"they do not":     {ready, 1000, 0, []string{"mesh.deployment_shift.ended deployment_over", "mesh.shift.started "}},
		"the new ones fail": {
			Endpoints{Total: 4, Desired: -1}, 1000, 0, []string{"mesh.deployment_shift.ended evidence_found", "mesh.failover.started "},
		},
		"the new ones never get ready": {replacing, 1000, 0, []string{"mesh.deployment_shift.ended evidence_found", "mesh.failover.started "}},
		"it is scaled to zero":         {Endpoints{Desired: 0}, 1000, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := learned(t)
			require.Len(t, s.with(replacing, 0, 1000, 0), 1)
			began := s.at
			s.events = nil
			for range 16 {
				s.with(replacing, 0, 1000, 0)
			}
			require.Empty(t, s.events)
			for range 40 {
				s.with(tt.then, 1000-tt.north, tt.north, tt.flags)
			}
			require.Equal(t, tt.want, names(s.events))
			if name == "the new ones never get ready" {
				assert.Greater(t, s.events[1].Start.Sub(began), DefaultConfig().Deploy)
				assert.Equal(t, "no endpoint in westeurope, west is ready 10m15s after calls went elsewhere for a deployment", s.events[1].Evidence[0].Detail)
			}
		})
	}
}

// A stray call does not make a failover of a deployment of which the agents still report.
func TestAStrayCallIsNoFailover(t *testing.T) {
	s := learned(t)
	s.with(replacing, 600, 400, 300)
	ready := Endpoints{Total: 4, Healthy: 4, Desired: -1}
	for range 12 {
		s.with(ready, 1000, 0, 0)
		s.with(ready, 0, 1, 0)
	}
	assert.Empty(t, of(s.events, Started, Failover))
}

// Pods that are being deleted break off a few calls, whether or not anybody knows of a deployment.
func TestDeletedOnPurpose(t *testing.T) {
	ends := Endpoints{Total: 3, Healthy: 3, Ending: 1, Desired: -1}
	for name, tt := range map[string]struct {
		endpoints Endpoints
		failed    uint64
		want      int
	}{
		"few":                     {ends, 15, 0},
		"many":                    {ends, 100, 1},
		"nobody deletes":          {Endpoints{Total: 3, Healthy: 3, Desired: -1}, 15, 1},
		"others failed meanwhile": {Endpoints{Total: 3, Healthy: 1, Ending: 1, Desired: -1}, 15, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := learned(t)
			assert.Len(t, s.with(tt.endpoints, 850, 150, tt.failed), tt.want)
		})
	}
}

// Few of the calls that moved without a sign of a failure are explained by pods that are being deleted.
func TestDeletedPodsExplainNoShiftByThemselves(t *testing.T) {
	s := learned(t)
	for range 14 {
		s.with(Endpoints{Total: 3, Healthy: 3, Ending: 1, Desired: -1}, 500, 500, 0)
	}
	assert.Equal(t, []string{"mesh.shift.started "}, names(s.events))
}
