// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// inPieces cuts a whole cluster in two.
func inPieces(d topology.Delta) (one, two *topology.Delta) {
	one, two = &topology.Delta{}, &topology.Delta{}
	*one = d
	half := len(d.Pods) / 2
	one.Pods, one.At, one.More = d.Pods[:half], time.Time{}, true
	*two = topology.Delta{Cluster: d.Cluster, At: d.At, Full: true, Part: 1, Pods: d.Pods[half:]}
	return one, two
}

func TestSnapshotWaitsForTheLastPiece(t *testing.T) {
	at := time.Now().Add(-time.Minute)
	c := newCluster(&Config{Cluster: "east", MaxPods: 100, History: time.Hour}, func(topology.Finding) {})
	one, two := inPieces(full(10, at))
	c.apply(one)
	_, ok := c.take(causeBegin)
	assert.False(t, ok, "half of a cluster is none")
	assert.False(t, c.look().synced)
	assert.True(t, c.look().confirmed.IsZero())
	c.apply(two)
	w, ok := c.take("")
	require.True(t, ok)
	assert.Equal(t, causeBegin, w.cause)
	assert.Equal(t, 10, w.snapshot.Stats().Pods)
	assert.True(t, at.Equal(w.confirmed))

	// The source describes it anew, and somebody looks in between.
	next := full(8, at.Add(time.Second))
	next.Pods[0].Version = "v2"
	one, two = inPieces(next)
	c.apply(one)
	w, ok = c.take("")
	require.True(t, ok)
	assert.Empty(t, w.cause)
	require.Len(t, w.deltas, 1, "what is new is told as changes")
	assert.False(t, w.deltas[0].Full)
	assert.True(t, at.Equal(w.confirmed))
	c.apply(two)
	w, ok = c.take("")
	require.True(t, ok)
	assert.Equal(t, causeRelist, w.cause)
	assert.Equal(t, 8, w.snapshot.Stats().Pods)
}
