// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// A piece of a full description must not look like a snapshot: it would remove all that the other pieces mention.
func TestPieceIsNoSnapshot(t *testing.T) {
	e := NewEncoder("c", "u", 1)
	for _, d := range []*topology.Delta{
		{Full: true, More: true, Nodes: []topology.NodeSpec{{Name: "n"}}},
		{Full: true, Part: 1, Nodes: []topology.NodeSpec{{Name: "n"}}},
	} {
		n := 0
		for m := range e.Delta(d) {
			assert.Equal(t, KindDelta, m.Kind)
			n++
		}
		assert.Equal(t, 1, n)
	}
}
