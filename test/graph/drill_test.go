// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

const westeurope, northeurope = "westeurope", "northeurope"

// TestFailoverDrill kills real Envoys and counts the seconds until the event is at the Azure endpoint. OTELCOL_MESH_DRILL=full
// takes services and a whole region down, after a longer time without a false alarm; OTELCOL_MESH_DRILL=shipped does so with
// agents that scrape and report as seldom as the shipped ones. Figures in docs/graph.md are from both, on a machine that does
// nothing else.
func TestFailoverDrill(t *testing.T) {
	d := startDrill(t)
	d.learned()
	d.pause(d.calm)
	d.nothingElse()

	one := d.fail(west, "reviews")
	started := d.begins(&one, "reviews")
	assert.Equal(t, string(failover.Partial), started["mesh.failover.scope"])
	d.shows(true)
	d.heal(&one)
	d.ends()
	d.shows(false)
	if d.all {
		d.partial()
		d.wholeRegion()
	}
	d.handovers()
	d.stop()
	d.nothingElse()
	d.logged()
}

// partial is one of three services that the productpages of the other region call.
func (d *drill) partial() {
	d.rest()
	one := d.fail(north, "details")
	started := d.begins(&one, "details")
	assert.Equal(d.t, string(failover.Partial), started["mesh.failover.scope"])
	assert.Equal(d.t, northeurope, started["mesh.failover.from.region"])
	assert.Equal(d.t, westeurope, started["mesh.failover.to.region"])
	d.pause(15 * time.Second)
	assert.Empty(d.t, d.named("mesh.failover.updated"), "the others of the region answer")
	d.heal(&one)
	d.ends()
}

// wholeRegion takes down all services of a region, with productpage, which calls the others, at last.
func (d *drill) wholeRegion() {
	d.rest()
	all := d.fail(west, services...)
	d.begins(&all, "productpage")
	d.wait("the whole region", func() bool {
		return slices.ContainsFunc(d.events(), func(e map[string]string) bool {
			return e["mesh.failover.scope"] == string(failover.Whole) && e["mesh.failover.from.region"] == westeurope
		})
	})
	d.t.Logf("%s after the kill it is told that it is the whole region", time.Since(all.at).Round(time.Millisecond))
	d.heal(&all)
	d.ends()
}
