// SPDX-License-Identifier: Apache-2.0

package inventorybroadcastexporter

import (
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/inventorybroadcastexporter/internal/metadata"
)

func TestConfig(t *testing.T) {
	const static = "resolver: {static: {hostnames: ['10.0.0.1:14317']}}"
	for _, test := range []struct{ name, yaml, refused string }{
		{"a list", static, ""},
		{"a service", "resolver: {k8s: {service: hub.mesh, ports: [14317]}}", ""},
		{"a service that an overlay took out", "resolver: {k8s: null, static: {hostnames: ['h:1']}}", ""},
		{"as load_balancing needs it", static + "\nprotocol: {otlp: {sending_queue: {enabled: false}, retry_on_failure: {enabled: false}}}", ""},
		{"none", "{}", "write exactly one of k8s and static"},
		{"both", "resolver: {k8s: {service: hub.mesh, ports: [1]}, static: {hostnames: ['h:1']}}", "write exactly one of k8s and static"},
		{"no namespace", "resolver: {k8s: {service: hub, ports: [1]}}", `resolver::k8s::service: "hub": write <name>.<namespace>`},
		{"no service", "resolver: {k8s: {service: '', ports: [1]}}", "resolver::k8s::service"},
		{"a domain", "resolver: {k8s: {service: hub.mesh.svc, ports: [1]}}", "resolver::k8s::service"},
		{"no port", "resolver: {k8s: {service: hub.mesh}}", "resolver::k8s::ports: []: write one port"},
		{"two ports", "resolver: {k8s: {service: hub.mesh, ports: [1, 2]}}", "resolver::k8s::ports"},
		{"nobody", "resolver: {static: {hostnames: []}}", "resolver::static::hostnames"},
		{"no port of a host", "resolver: {static: {hostnames: [h]}}", `resolver::static::hostnames: "h": write host:port`},
		{"a queue", static + "\nprotocol: {otlp: {sending_queue: {queue_size: 5}}}", "protocol::otlp::sending_queue: write enabled: false"},
		{"retries", static + "\nprotocol: {otlp: {retry_on_failure: {enabled: true}}}", "protocol::otlp::retry_on_failure::enabled: write false"},
		{"no timeout", static + "\ntimeout: 0s", "timeout: 0s"},
		{"no patience", static + "\ngive_up_after: 10ms", "give_up_after: 10ms: write 1s to 1h"},
		{"nothing kept", static + "\nmax_held_mib: 0", "max_held_mib: 0: write 1 to 4096"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var raw map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(test.yaml), &raw))
			c := createDefaultConfig()
			require.NoError(t, confmap.NewFromStringMap(raw).Unmarshal(c))
			err := confmap.Validate(c)
			if test.refused != "" {
				require.ErrorContains(t, err, test.refused)
				return
			}
			require.NoError(t, err)
		})
	}
}

// TestNoCredentials: outside of a pod and without a kubeconfig the start says so.
func TestNoCredentials(t *testing.T) {
	t.Setenv("KUBECONFIG", t.TempDir()+"/none")
	t.Setenv("HOME", t.TempDir())
	c := createDefaultConfig().(*Config)
	c.Resolver.K8s.GetOrInsertDefault().Service = "hub.mesh"
	c.Resolver.K8s.Get().Ports = []int32{14317}
	b, err := newBroadcaster(exportertest.NewNopSettings(metadata.Type), c)
	require.NoError(t, err)
	require.ErrorContains(t, b.start(t.Context(), componenttest.NewNopHost()), "endpoints of hub.mesh")
	require.NoError(t, b.shutdown(t.Context()))
}
