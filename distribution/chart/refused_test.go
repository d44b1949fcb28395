// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
)

// TestWhatCannotWorkIsRefused breaks an example that works by one value, and looks for the key to write in the answer.
func TestWhatCannotWorkIsRefused(t *testing.T) {
	const lb = "hub-connection-string"
	for _, c := range []struct{ example, set, says string }{
		{"spoke-sidecar", "agent.enabled=false,inventory.enabled=false", "nothing is enabled: set agent.enabled"},
		{"spoke-sidecar", "image.repository=", "image.repository is empty"},
		{"spoke-sidecar", "cluster.name=", "cluster.name is empty"},
		{"spoke-sidecar", "cluster.name=Kubernetes", "global.multiCluster.clusterName"},
		{"spoke-sidecar", "link.endpoint=", "link.endpoint is empty"},
		{"spoke-sidecar", "link.endpoint=http://hub:14317", "without a scheme"},
		{"spoke-sidecar", "link.endpoint=hub", "write host:port"},
		{"spoke-sidecar", "link.tls.secretName=", "link.insecure: true"},
		{"spoke-sidecar", "link.insecure=true", "take one of the two away"},
		{"spoke-sidecar", "link.tls.volume.csi.driver=csi.spiffe.io", "link.tls.volume are both set"},
		{"spoke-sidecar", "agent.storage.prepare.image=", "agent.storage.prepare.image is empty"},
		{lb, "hub.azure.connectionString.secretName=", "create secret generic application-insights"},
		{lb, "hub.tls.secretName=", "hub.insecure: true"},
		{lb, "hub.tls.volume.csi.driver=csi.spiffe.io", "hub.tls.volume are both set"},
		{lb, "hub.tls.secretName=,hub.insecure=true", "needs TLS; set hub.tls.secretName"},
		{lb, "hub.insecure=true", "take one of the two away"},
		{lb, "hub.replicas=2", "hub.routed: true"},
		{lb, "hub.autoscaling.enabled=true", "hub.routed: true"},
		{lb, "hub.networkPolicyFrom=null", "hub.networkPolicyFrom is empty"},
		{lb, "monitoring.serviceMonitor.enabled=true", "networkPolicy.metricsFrom is empty"},
		{"hub-workload-identity", "hub.azure.workloadIdentity.clientId=", "system:serviceaccount:otelcol-mesh:otelcol-mesh-hub"},
		{"hub-workload-identity", "hub.azure.connectionString.secretName=", "hub.azure.connectionString.secretName is empty"},
		{"hub-otlp", "hub.azure.otlp.logs=", "hub.azure.otlp.logs is empty"},
		{"hub-otlp", "hub.azure.workloadIdentity.clientId=", "hub.azure.mode is otlp"},
		{"hub-scaled", "hub.autoscaling.minReplicas=9", "above maxReplicas"},
		{"hub-scaled", "hub.env.MESH_DEBUG_HOST=0.0.0.0", "hub.env has MESH_DEBUG_HOST"},
		// By the schema.
		{"spoke-sidecar", "agent.enabeld=true", "additional properties 'enabeld' not allowed"},
		{"spoke-sidecar", "agent.resources.limits.memory=0.5Gi", "does not match pattern"},
		{"spoke-sidecar", "agent.logFiles.include=/etc/*", "does not match pattern"},
		{"hub-otlp", "hub.azure.otlp.logs=http://plain", "does not match pattern"},
		{lb, "hub.azure.mode=connectionstring", "value must be one of"},
	} {
		t.Run(c.example+"/"+c.set, func(t *testing.T) {
			args := append([]string{"template"}, charttest.Named(t, c.example).Args...)
			out, err := charttest.Helm(t, append(args, "--set", c.set)...)
			require.Error(t, err, out)
			assert.Contains(t, err.Error(), c.says)
		})
	}
}

// TestEverythingWrongIsSaidAtOnce spares users one attempt for each mistake.
func TestEverythingWrongIsSaidAtOnce(t *testing.T) {
	_, err := charttest.Helm(t, "template", "otelcol-mesh", ".", "--set", "agent.enabled=true,hub.enabled=true")
	require.Error(t, err)
	for _, key := range []string{"image.repository", "cluster.name", "link.endpoint", "link.tls.secretName", "agent.storage.prepare.image", "hub.azure.connectionString.secretName", "hub.tls.secretName", "hub.networkPolicyFrom"} {
		assert.Contains(t, err.Error(), "- "+key+" is empty")
	}
}

// TestNotesWarn looks at what users are told after an install.
func TestNotesWarn(t *testing.T) {
	notes := func(example string, more ...string) string {
		args := append([]string{"install", "--dry-run=client"}, charttest.Named(t, example).Args...)
		out, err := charttest.Helm(t, append(args, more...)...)
		require.NoError(t, err)
		return out
	}
	open := notes("one-cluster")
	for _, warning := range []string{"WARNING: link.insecure is true", "WARNING: hub.insecure is true", "WARNING: agent.storage.type is emptyDir"} {
		assert.Contains(t, open, warning)
	}
	assert.NotContains(t, notes("spoke-sidecar"), "WARNING")
	assert.NotContains(t, notes("hub-connection-string"), "WARNING")
	assert.Contains(t, notes("hub-connection-string", "--set", "hub.service.internal=false"), "WARNING: hub.service.internal is false")
	assert.Contains(t, notes("spoke-sidecar", "--namespace", "telemetry"), "change that to telemetry.svc")
}
