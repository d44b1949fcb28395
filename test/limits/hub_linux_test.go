// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// TestHub attacks a hub, which takes larger requests: bombs of 4 and of 32 MiB, and requests that are never whole.
func TestHub(t *testing.T) {
	azure, err := ingestiontest.Listen("127.14.0.43:8080", ingestiontest.Config{Light: true, MaxRequests: 1 << 20})
	require.NoError(t, err)
	t.Cleanup(func() {
		azure.DropConnections()
		assert.NoError(t, azure.Shutdown(t.Context()))
	})
	r := startRole(t, "hub", "127.14.0.42", hubMemory, nil,
		"APPLICATION_INSIGHTS_CONNECTION_STRING="+azure.ConnectionString(), "MESH_HUB_UNVERIFIED=accept")
	target := r.host + ":14317"
	bombs := append(protoBombs(4*mib), protoBombs(32*mib)...)
	start := r.memory("VmRSS")
	var mu sync.Mutex
	var taken []string
	peak := r.peak(func() {
		var fired sync.WaitGroup
		for i := range parallel {
			conn := dialGRPC(t, fmt.Sprintf("127.14.7.%d", 1+i%4), target)
			fired.Go(func() {
				for j := i; j < len(bombs); j += parallel {
					b := bombs[j]
					// Long texts and many buckets are within what a hub takes, up to a size.
					err := export(t.Context(), conn, b.method, b.body, grpc.MaxCallSendMsgSize(64*mib))
					if err == nil {
						mu.Lock()
						taken = append(taken, b.name)
						mu.Unlock()
						continue
					}
					assert.Contains(t, status.Convert(err).Message(), "request_limits", b.name)
				}
			})
		}
		fired.Wait()
	})
	require.Less(t, len(taken), 8, taken)
	t.Logf("%d bombs of 4 and 32 MiB, 16 at a time: memory %d MiB before, %d MiB at the peak", len(bombs), start/mib, peak/mib)
	require.Less(t, peak, int64(hubContainer*mib))

	began := time.Now()
	peak = r.peak(func() {
		sent := unfinished(t, target, tracesMethod, 8, 4, 16<<10, 32*mib, 32*mib-1, patience)
		t.Logf("%d MiB of unfinished requests in %v", sent/mib, time.Since(began).Round(time.Millisecond))
	})
	t.Logf("memory %d MiB at the peak; refused %v", peak/mib, r.metric(refusedMetric, "reason"))
	require.Less(t, peak, int64(hubContainer*mib))
	require.Zero(t, r.process.Restarts())
}
