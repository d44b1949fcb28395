// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"strings"
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
		{"spoke-sidecar", "link.tls.volume.csi.driver=secrets-store.csi.k8s.io", "link.tls.secretName and link.tls.volume are set at once"},
		{"spoke-sidecar", "link.tls.spire=true,spire.helperImage=helper", "link.tls.secretName and link.tls.spire are set at once"},
		{"spoke-ambient", "spire.helperImage=", "spire.helperImage is empty, but link.tls.spire is true"},
		{lb, "hub.azure.connectionString.secretName=", "create secret generic application-insights"},
		{lb, "hub.tls.secretName=", "hub.insecure: true"},
		{lb, "hub.tls.volume.csi.driver=csi.spiffe.io", "hub.tls.secretName and hub.tls.volume are set at once"},
		{lb, "hub.tls.secretName=,hub.insecure=true", "needs TLS; set hub.tls.secretName"},
		{lb, "hub.tls.secretName=,hub.insecure=true", "set hub.identity.unverified: accept"},
		{lb, "hub.identity.unverified=accept", "take hub.identity.unverified away"},
		{lb, "hub.identity.rules[0].dns=agents.example", "hub.identity.rules[0] does not say for which cluster"},
		{lb, `hub.identity.rules=[{"dns":"{cluster}.example","clusters":["a"]}]`, "hub.identity.rules[0] has {cluster}"},
		{"one-cluster", `hub.identity.rules=[{"dns":"{cluster}.example"}]`, "hub.identity.rules are about certificates"},
		{"one-cluster", "link.insecure=false,link.tls.secretName=x", "hub.insecure is true and link.insecure is false"},
		{lb, "hub.insecure=true", "take one of the two away"},
		{lb, "hub.replicas=2", "router.enabled: true"},
		{lb, "hub.autoscaling.enabled=true", "router.enabled: true"},
		{lb, "hub.networkPolicyFrom=null", "hub.networkPolicyFrom is empty"},
		{lb, "monitoring.serviceMonitor.enabled=true", "networkPolicy.metricsFrom is empty"},
		{"hub-workload-identity", "hub.azure.workloadIdentity.clientId=", "system:serviceaccount:otelcol-mesh:otelcol-mesh-hub"},
		{"hub-workload-identity", "hub.azure.connectionString.secretName=", "hub.azure.connectionString.secretName is empty"},
		{"hub-otlp", "hub.azure.otlp.logs=", "hub.azure.otlp.logs is empty"},
		{"hub-otlp", "hub.azure.workloadIdentity.clientId=", "hub.azure.mode is otlp"},
		{"hub-scaled", "hub.autoscaling.minReplicas=9", "above maxReplicas"},
		{"hub-scaled", "router.autoscaling.minReplicas=11", "router.autoscaling.minReplicas is above maxReplicas"},
		{"hub-scaled", "router.tls.secretName=", "router.tls.secretName is empty"},
		{"hub-scaled", "router.tls.volume.csi.driver=csi.spiffe.io", "router.tls.secretName and router.tls.volume are set at once"},
		{"hub-scaled", "hub.enabled=false", "set hub.enabled: true"},
		{"hub-scaled", "hub.drainSeconds=110", "hub.terminationGracePeriodSeconds to stop in"},
		{"hub-scaled", "router.terminationGracePeriodSeconds=30", "router.terminationGracePeriodSeconds is below 35"},
		{"hub-scaled", "hub.insecure=true,hub.tls.secretName=,hub.identity.unverified=accept", "router.tls names a certificate that would not be used"},
		{"hub-scaled", "router.env.MESH_HUB_SERVICE=x", "router.env has MESH_HUB_SERVICE"},
		{"hub-scaled", "hub.env.MESH_DEBUG_HOST=0.0.0.0", "hub.env has MESH_DEBUG_HOST"},
		{"spoke-metrics-tier", "agent.enabled=false", "metricsTier.enabled is true, and agent.enabled is false"},
		{"spoke-metrics-tier", "link.insecure=true,link.tls.secretName=", "the tier takes nobody without a certificate"},
		{"spoke-metrics-tier", "metricsTier.tls.secretName=", "DNS name otelcol-mesh-metrics-tier.otelcol-mesh.svc"},
		{"spoke-metrics-tier", "metricsTier.tls.volume.csi.driver=csi.spiffe.io", "metricsTier.tls.secretName and metricsTier.tls.volume are set at once"},
		{"spoke-metrics-tier", "metricsTier.env.MESH_TIER_INTERVAL=5m", "metricsTier.env has MESH_TIER_INTERVAL"},
		{"spoke-metrics-tier", "agent.env.MESH_METRICS_INTERVAL=5m", "agent.env has MESH_METRICS_INTERVAL"},
		{"hub-analysis", "hub.analysis.token.secretName=", "create secret generic mesh-analysis"},
		{"hub-analysis", "hub.analysis.tls.secretName=", "DNS name otelcol-mesh-hub-analysis.otelcol-mesh.svc"},
		{"hub-analysis", "hub.analysis.tls.volume.csi.driver=csi.cert-manager.io", "hub.analysis.tls.secretName and hub.analysis.tls.volume are set at once"},
		{"hub-analysis", "hub.analysis.networkPolicyFrom=null", "hub.analysis.networkPolicyFrom is empty"},
		{"hub-analysis", "hub.config.service.extensions={health_check}", "add bearertokenauth to it"},
		{"hub-analysis", "hub.env.MESH_ANALYSIS_TOKEN_FILE=/x", "hub.env has MESH_ANALYSIS_TOKEN_FILE"},
		// By the schema.
		{"spoke-metrics-tier", "metricsTier.replicas=2", "additional properties 'replicas' not allowed"},
		{"spoke-metrics-tier", "metricsTier.interval=5s", "does not match pattern"},
		{"spoke-sidecar", "agent.metricsInterval=5s", "does not match pattern"},
		{"spoke-sidecar", "agent.enabeld=true", "additional properties 'enabeld' not allowed"},
		{"spoke-sidecar", "agent.resources.limits.memory=0.5Gi", "does not match pattern"},
		{"spoke-sidecar", "agent.maxUnavailable=0", "minimum: got 0"},
		{"spoke-sidecar", "agent.maxUnavailable=0%", "does not match pattern"},
		{"spoke-sidecar", "agent.logFiles.include=/etc/*", "does not match pattern"},
		{"hub-otlp", "hub.azure.otlp.logs=http://plain", "does not match pattern"},
		{lb, "hub.azure.mode=connectionstring", "value must be one of"},
		{lb, "hub.identity.rules[0].subject=x", "additional properties 'subject' not allowed"},
		{lb, `hub.identity.rules=[{"dns":"{cluster}.example","common_name":"{cluster}"}]`, "'oneOf' failed"},
		{"spoke-sidecar", "cluster.name=aks/west", "does not match pattern"},
		{"spoke-sidecar", "istio.revision=1.27", "does not match pattern"},
		{"spoke-sidecar", "agent.env.MESH_ISTIO_REVISION=1-27", "agent.env has MESH_ISTIO_REVISION"},
		{"spoke-sidecar", "ipFamily=ipv6", "value must be one of"},
	} {
		t.Run(c.example+"/"+c.set, func(t *testing.T) {
			args := append([]string{"template"}, charttest.Named(t, c.example).Args...)
			how := "--set"
			if strings.Contains(c.set, "=[") {
				how = "--set-json"
			}
			out, err := charttest.Helm(t, append(args, how, c.set)...)
			require.Error(t, err, out)
			assert.Contains(t, err.Error(), c.says)
		})
	}
}

// TestEverythingWrongIsSaidAtOnce spares users one attempt for each mistake.
func TestEverythingWrongIsSaidAtOnce(t *testing.T) {
	_, err := charttest.Helm(t, "template", "otelcol-mesh", ".", "--set", "agent.enabled=true,hub.enabled=true")
	require.Error(t, err)
	for _, key := range []string{"image.repository", "cluster.name", "link.endpoint", "link.tls.secretName", "hub.azure.connectionString.secretName", "hub.tls.secretName", "hub.networkPolicyFrom"} {
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
	for _, warning := range []string{"WARNING: link.insecure is true", "WARNING: hub.insecure is true, and hub.identity.unverified is accept", "WARNING: agent.storage.type is emptyDir"} {
		assert.Contains(t, open, warning)
	}
	assert.NotContains(t, notes("spoke-sidecar"), "WARNING")
	assert.NotContains(t, notes("hub-connection-string"), "WARNING")
	assert.Contains(t, notes("hub-connection-string", "--set", "hub.service.internal=false"), "WARNING: hub.service.internal is false")
	assert.Contains(t, notes("spoke-sidecar", "--namespace", "telemetry"), "change that to telemetry.svc")
	assert.Contains(t, notes("hub-scaled"), "that of the replicas the DNS name otelcol-mesh-hub.otelcol-mesh.svc.")
	assert.Contains(t, notes("spoke-sidecar"), "spiffe://otelcol-mesh/cluster/aks-westeurope/agent")
	assert.NotContains(t, notes("spoke-sidecar"), "metrics tier")
	assert.Contains(t, notes("spoke-metrics-tier"), "metrics tier of aks-westeurope: agents send it their metrics each 15s, and it sends the sums each 1m")
	assert.Contains(t, notes("hub-analysis"), "one of them has the control planes of all clusters: docs/graph.md, several replicas")
	assert.Contains(t, notes("hub-analysis"), "needs the DNS name otelcol-mesh-hub-analysis.otelcol-mesh.svc, and Argo Rollouts' controller has to trust its authority")
	assert.Contains(t, notes("hub-analysis"), "https://otelcol-mesh-hub-analysis.otelcol-mesh.svc:8443 with the token of the Secret mesh-analysis")
	assert.NotContains(t, notes("hub-scaled"), "Argo")
	assert.Contains(t, notes("hub-connection-string", "--set", "hub.identity.trustDomain=mesh.example"), "spiffe://mesh.example/cluster/<cluster>/")
}
