// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// A stronger source begins to describe a cluster, stops in the middle, and begins again.
func TestATakeoverInPieces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	replace(t, file, described)
	f, k := withFake(t, withKubernetes(withStatic(createDefaultConfig().(*Config), file)))
	assert.Equal(t, "west/static", f.holder("vnet-west", "10.0.0.1"))
	before := f.Snapshot().Stats().Pods
	piece := func(part int, more bool, at time.Time, pods ...topology.PodState) {
		d := fullOf(at, pods...)
		d.Part, d.More = part, more
		k.deltas <- d
	}
	piece(0, true, time.Time{}, podOf(1))
	f.eventually(func() bool { return f.holder("vnet-west", "10.0.0.2") == "west/p1" }, "a piece is visible")
	assert.Equal(t, "west/static", f.holder("vnet-west", "10.0.0.1"), "what is known stays until the last piece")
	assert.Equal(t, before+1, f.Snapshot().Stats().Pods)
	f.forward(100 * time.Second)
	assert.True(t, f.stale("west"), "nobody confirms it")

	piece(0, true, time.Time{}, podOf(0))
	piece(1, false, f.at(), podOf(2))
	f.eventually(func() bool { return f.holder("vnet-west", "10.0.0.1") == "west/p0" }, "the last piece")
	assert.Equal(t, "not_found", f.holder("vnet-west", "10.0.0.2"), "the interrupted description counts no more")
	f.eventually(func() bool { return !f.stale("west") }, "confirmed")
}
