// SPDX-License-Identifier: Apache-2.0

package router

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/grpc"

	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// cpu is the time that the router has run on a processor, which does not depend on what else runs on the machine.
func (p *process) cpu(t *testing.T) time.Duration {
	t.Helper()
	sum, err := collectortest.CPU(p.process.PID())
	require.NoError(t, err)
	return sum
}

// TestLargeReportsAreRoutedInProportion: a point of the largest batches of an agent costs what one of a small batch costs. If
// each point cost as much as the batch has services or series, the agent would give up waiting for the largest ones.
func TestLargeReportsAreRoutedInProportion(t *testing.T) {
	options := grpc.MaxRecvMsgSize(128 << 20)
	startReplica(t, "127.12.2.25", options)
	startReplica(t, "127.12.2.26", options)
	p := start(t, "127.12.2.24", []string{"../../../distribution/examples/router-static.yaml"}, "MESH_HUB_REPLICAS=[127.12.2.25:14317, 127.12.2.26:14317]")
	conn := p.dial(t)
	const small, large = 60, 200
	deliver(t, conn, reports("west", "source", small)) // what is done once, such as connecting
	// The least of several is a batch's own: collecting garbage falls into some.
	least := func(n int) time.Duration {
		best := time.Hour
		md := reports("west", "destination", n)
		for range 3 {
			before := p.cpu(t)
			deliver(t, conn, md)
			best = min(best, p.cpu(t)-before)
		}
		a := best / time.Duration(n*n)
		t.Logf("%d points of calls of %d workloads, %d KiB: %v of a processor, %v a point", n*n, n, (&pmetric.ProtoMarshaler{}).MetricsSize(md)>>10, best.Round(time.Millisecond), a)
		return a
	}
	of := least(small)
	require.Less(t, least(large), 3*of, "of a batch with three times the workloads and eleven times the points")
}
