// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// kill ends the sending of all signals at once and returns what a process that starts then finds on disk. What the old
// one still does goes to a disk that nobody reads.
func (r *running) kill(tb testing.TB, d *disk) *disk {
	tb.Helper()
	for _, outlets := range [][]*outlet{
		r.traces.(*tracesExporter).outlets, r.logs.(*logsExporter).outlets, r.metrics.(*metricsExporter).outlets,
	} {
		for _, o := range outlets {
			o.stop()
		}
	}
	found := d.kill()
	r.stop(tb)
	return found
}

// mishap returns a fault that comes once.
func mishap(random *rand.Rand) ingestiontest.Fault {
	switch random.IntN(7) {
	case 0:
		return ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: []int{401, 403, 429, 439, 500, 503}[random.IntN(6)]}
	case 1:
		return ingestiontest.Fault{Kind: ingestiontest.FaultClose}
	case 2:
		return ingestiontest.Fault{Kind: ingestiontest.FaultClose, Store: true}
	case 3:
		return ingestiontest.Fault{Kind: ingestiontest.FaultTruncate}
	case 4:
		return ingestiontest.Fault{Kind: ingestiontest.FaultBadIndex}
	case 5:
		return ingestiontest.Fault{Kind: ingestiontest.FaultHang}
	default:
		return ingestiontest.Fault{Kind: ingestiontest.FaultItems, Indexes: []int{0, 2, 5}, ItemStatus: []int{429, 500, 503}[random.IntN(3)]}
	}
}

// Whenever the process is killed, and whatever the endpoint does meanwhile: every item that was taken over arrives.
func TestNothingIsLostOverKills(t *testing.T) {
	const rounds, perRound, perBatch = 12, 10, 20
	random := rand.New(rand.NewPCG(7, 8))
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	stored := newDisk()
	// Long enough that no request runs into it on a busy machine: each would be stored and sent again.
	settings := []keys{quick, briefly, onDisk, to(endpoint), {"timeout": "2s", "sending_queue": keys{"num_consumers": 2}}}
	next := 0
	for range rounds {
		for range random.IntN(6) {
			require.NoError(t, endpoint.Fault(mishap(random)))
		}
		r := start(t, config(t, settings...), stored)
		asked := len(endpoint.Requests())
		for range perRound {
			require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(next, next+perBatch)))
			next += perBatch
		}
		enough := asked + random.IntN(12)
		require.Eventually(t, func() bool {
			return len(endpoint.Requests()) >= enough || r.books(t).accepted > 0
		}, patience, time.Millisecond)
		stored = r.kill(t, stored)
	}
	endpoint.ClearFaults()
	last := start(t, config(t, settings...), stored)
	require.Eventually(t, func() bool {
		return stored.each(func(raw []byte) []byte { return raw }) == 0
	}, patience, time.Millisecond)
	last.stop(t)
	unique, double := distinct(endpoint)
	assert.Equal(t, next, unique)
	t.Logf("%d of %d items arrived more than once, over %d kills", double, next, rounds)
	assert.Less(t, double, next/2)
}

// A full queue does not hold up a batch of which a part was accepted.
func TestAFullQueueDoesNotHoldUpTheRest(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, endpoint.Fault(
		ingestiontest.Fault{Kind: ingestiontest.FaultItems, Delay: 100 * time.Millisecond, Indexes: []int{3}, ItemStatus: 500}))
	r := start(t, config(t, quick, onDisk, to(endpoint), keys{"sending_queue": keys{
		"sizer": "requests", "queue_size": 1, "num_consumers": 1, "block_on_overflow": true,
	}}), newDisk())
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(10, 20)))
	assert.Equal(t, books{received: 20, accepted: 20}, r.settle(t))
	_, double := distinct(endpoint)
	assert.Zero(t, double)
}
