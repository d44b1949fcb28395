// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The new version runs in a place that has answered for long.
func TestBlueGreenAcrossRegions(t *testing.T) {
	for name, broken := range map[string]bool{"all is well": false, "the old place has failed": true} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 11, 15)
			s.run(15 * time.Minute)
			s.at["reviews"][north].versions = []weighted{{"v2", 1}}
			s.route["reviews@westeurope"] = map[Place]float64{north: 1}
			s.run(4 * time.Second)
			if broken {
				s.at["reviews"][west].healthy = 0
			}
			s.run(20 * time.Minute)
			if broken {
				assert.Len(t, of(s.events, Started, Failover), 1)
				return
			}
			require.Empty(t, s.events)
			// It is what is usual by now, and old.
			s.run(2 * time.Hour)
			require.Empty(t, s.events)
		})
	}
}

// A version that is new everywhere explains nothing.
func TestNewVersionEverywhereIsNoExcuse(t *testing.T) {
	s := newSim(t, 12, 15)
	s.run(15 * time.Minute)
	canary("reviews", "v2", 100)(s)
	s.run(10 * time.Minute)
	s.inventory = false
	s.kill(true, west, "reviews")
	s.run(5 * time.Second)
	s.notice(west, "reviews")
	s.run(2 * time.Minute)
	assert.Len(t, of(s.events, Started, Failover), 1)
}

// Three of five pods are not ready at a time: Envoy sends almost half elsewhere, for minutes.
func TestDeploymentThatSpills(t *testing.T) {
	for _, tt := range []struct {
		name     string
		failing  float64
		failover int
	}{{"and goes well", 0.003, 0}, {"and fails", 0.3, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t, 13, 15)
			s.run(15 * time.Minute)
			rollOut("ratings", west)(s)
			s.at["ratings"][west].healthy = 2
			s.at["ratings"][west].failing = tt.failing
			s.run(8 * time.Minute)
			rolledOut("ratings", west)(s)
			s.run(10 * time.Minute)
			assert.Len(t, of(s.events, Started, Failover), tt.failover)
			assert.Len(t, of(s.events, Ended, Failover), tt.failover)
			assert.Empty(t, of(s.events, Started, Unexpected))
		})
	}
}

// Two clusters of a region share its calls from one moment to the next.
func TestNewClusterWithoutAKnownBeginning(t *testing.T) {
	for name, since := range map[string]time.Duration{"new": 0, "old": -48 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 14, 15)
			s.run(15 * time.Minute)
			s.at["details"][west2] = &deployment{
				desired: 4, total: 4, healthy: 4, since: s.clock().Add(since), versions: []weighted{{"v1", 1}},
			}
			s.run(20 * time.Minute)
			assert.Empty(t, of(s.events, Started, Failover))
			assert.Len(t, of(s.events, Started, Unexpected), map[string]int{"new": 0, "old": 1}[name])
		})
	}
}
