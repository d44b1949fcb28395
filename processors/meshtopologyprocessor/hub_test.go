// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/static"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadatatest"
)

// strangers is a mesh that has the addresses and the names of the shared topology's pods, all in one other cluster.
const strangers = `
clusters:
  - name: strangers
    region: nowhere
    network: vnet-nowhere
    trust_domain: west.mesh
    nodes:
      - {name: aks-pool-0, zone: nowhere-1, addresses: [127.1.0.250]}
    gateways:
      - {name: istio-eastwestgateway, namespace: istio-system, addresses: [127.2.0.15], port: 15443}
    workloads:
      - name: wrong
        namespace: bookinfo
        service: wrong
        pods:
          - {name: reviews-v1-1, addresses: [127.1.0.21], node: aks-pool-0}
          - {name: productpage-v1-1, addresses: [127.1.0.31], node: aks-pool-0}
          - {name: ratings-v1-0, addresses: [127.2.0.33], node: aks-pool-0}
      - name: istio-eastwestgateway
        namespace: istio-system
        pods:
          - {name: istio-eastwestgateway-1, addresses: [127.1.0.11]}
`

// A hub whose topology does not have the agent's clusters must not explain their telemetry with the addresses and pods
// of those it has.
func TestAHubOfOtherClustersChangesNothing(t *testing.T) {
	snapshot, err := static.Parse([]byte(strangers), topology.Limits{}, time.Unix(0, 0))
	require.NoError(t, err)
	held := &fakeTopology{}
	held.Set(snapshot)
	host := fakeHost{componenttest.NewNopHost(), map[component.ID]component.Component{component.MustNewID("mesh_topology"): held}}

	inputs, err := filepath.Glob(filepath.Join("testdata", "*", "input.yaml"))
	require.NoError(t, err)
	for _, input := range inputs {
		data, err := os.ReadFile(input)
		require.NoError(t, err)
		if !bytes.HasPrefix(data, []byte("resourceSpans")) {
			continue
		}
		t.Run(filepath.Base(filepath.Dir(input)), func(t *testing.T) {
			td, err := golden.ReadTraces(input)
			require.NoError(t, err)
			agent := passTraces(t, loadConfig(t, filepath.Dir(input)), td)
			want := ptrace.NewTraces()
			agent.CopyTo(want)
			sink := &consumertest.TracesSink{}
			p, err := NewFactory().CreateTraces(context.Background(),
				metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig(), sink)
			require.NoError(t, err)
			require.NoError(t, p.Start(context.Background(), host))
			require.NoError(t, p.ConsumeTraces(context.Background(), agent))
			require.NoError(t, p.Shutdown(context.Background()))
			require.NoError(t, ptracetest.CompareTraces(want, sink.AllTraces()[0]))
		})
	}
}
