// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
)

// rendered is what comes out of an example.
type rendered struct {
	objects   []object
	workloads map[string]workload
}

func render(t *testing.T, example string, more ...string) rendered {
	t.Helper()
	r := rendered{objects: parse(t, charttest.Named(t, example).Render(t, more...)), workloads: map[string]workload{}}
	for _, w := range workloads(r.objects) {
		r.workloads[w.name] = w
	}
	return r
}

func (r rendered) config(t *testing.T, name string) object {
	t.Helper()
	return merged(t, r.workloads[name], configMaps(r.objects)[name])
}

// find returns an object by kind and name, or nil.
func (r rendered) find(id string) object {
	for _, o := range r.objects {
		if o.id() == id {
			return o
		}
	}
	return nil
}

func selected(component string) map[string]any {
	return map[string]any{"app.kubernetes.io/name": "otelcol-mesh", "app.kubernetes.io/component": component}
}

// TestMetricsTier holds the tier's parts to each other: what agents call is what the Service has and the policy lets in, and the
// certificates are those that either side believes.
func TestMetricsTier(t *testing.T) {
	r := render(t, "spoke-metrics-tier")
	tier, agent := r.config(t, "otelcol-mesh-metrics-tier"), r.config(t, "otelcol-mesh-agent")

	assert.Equal(t, "otelcol-mesh-metrics-tier.otelcol-mesh.svc:14327", agent.at("exporters", "otlp_grpc/tier", "endpoint"))
	for key, file := range map[string]string{"ca_file": "ca.crt", "cert_file": "tls.crt", "key_file": "tls.key"} {
		assert.Equal(t, "/etc/otelcol-mesh-tls/"+file, agent.at("exporters", "otlp_grpc/tier", "tls", key))
		assert.Equal(t, "/etc/otelcol-mesh-tls/"+file, tier.at("extensions", "cluster_identity", "exporter_tls", key))
		if key == "ca_file" {
			key = "client_ca_file"
		}
		assert.Equal(t, "/etc/otelcol-mesh-tls/"+file, tier.at("extensions", "cluster_identity", "receiver_tls", key))
	}
	assert.Equal(t, false, tier.at("extensions", "cluster_identity", "exporter_tls", "insecure"))
	assert.Equal(t, "hub.example.internal:14317", tier.at("exporters", "otlp_grpc/hub", "endpoint"))
	for name, pipeline := range agent.at("service", "pipelines").(map[string]any) {
		to := "otlp_grpc/hub"
		if strings.HasPrefix(name, "metrics") {
			to = "otlp_grpc/tier"
		}
		assert.Equal(t, []any{to}, pipeline.(map[string]any)["exporters"], name)
	}
	assert.Equal(t, "15s", agent.at("processors", "mesh_metrics", "interval"))
	assert.Equal(t, "1m", tier.at("processors", "mesh_metrics", "interval"))

	set := r.find("StatefulSet/otelcol-mesh-metrics-tier")
	assert.EqualValues(t, 1, set.at("spec", "replicas"), "two would each add up a part")
	claim := object(set.at("spec", "volumeClaimTemplates").([]any)[0].(map[string]any))
	assert.Equal(t, "4Gi", claim.at("spec", "resources", "requests", "storage"))
	assert.Equal(t, "managed-csi", claim.at("spec", "storageClassName"))
	assert.Equal(t, map[string]any{"secretName": "otelcol-mesh-metrics-tier", "defaultMode": 288.0},
		r.workloads["otelcol-mesh-metrics-tier"].volumes()["tls"]["secret"], "not the agents' certificate")

	service := r.find("Service/otelcol-mesh-metrics-tier")
	assert.Equal(t, selected("metrics-tier"), service.at("spec", "selector"))
	assert.EqualValues(t, 14327, service.at("spec", "ports").([]any)[0].(map[string]any)["port"])
	policy := r.find("NetworkPolicy/otelcol-mesh-metrics-tier")
	assert.Equal(t, []any{map[string]any{
		"from":  []any{map[string]any{"podSelector": map[string]any{"matchLabels": selected("agent")}}},
		"ports": []any{map[string]any{"protocol": "TCP", "port": "otlp-grpc"}},
	}}, policy.at("spec", "ingress"))
	assert.Equal(t, selected("metrics-tier"), policy.at("spec", "podSelector", "matchLabels"))
	assert.EqualValues(t, 1, r.find("PodDisruptionBudget/otelcol-mesh-metrics-tier").at("spec", "maxUnavailable"))
	for _, o := range r.objects {
		assert.False(t, strings.HasPrefix(o["apiVersion"].(string), "rbac.") && strings.HasSuffix(o.id(), "tier"), "it has no rights: %s", o.id())
	}

	without := render(t, "spoke-metrics-tier", "--set", "metricsTier.enabled=false,metricsTier.tls.secretName=")
	for _, o := range without.objects {
		assert.NotContains(t, o.id(), "tier")
	}
	assert.Equal(t, []any{"otlp_grpc/hub"}, without.config(t, "otelcol-mesh-agent").at("service", "pipelines", "metrics", "exporters"))
	assert.NotContains(t, without.workloads["otelcol-mesh-agent"].env, "MESH_TIER_ENDPOINT")
}

// TestMetricsIntervals is about the values that set how often metrics go on.
func TestMetricsIntervals(t *testing.T) {
	interval := func(example, name, set string) any {
		return render(t, example, "--set", set).config(t, name).at("processors", "mesh_metrics", "interval")
	}
	assert.Equal(t, "1m", interval("spoke-sidecar", "otelcol-mesh-agent", "agent.metricsInterval="))
	assert.Equal(t, "2m", interval("spoke-sidecar", "otelcol-mesh-agent", "agent.metricsInterval=2m"))
	assert.Equal(t, "30s", interval("spoke-metrics-tier", "otelcol-mesh-agent", "agent.metricsInterval=30s"))
	assert.Equal(t, "5m", interval("spoke-metrics-tier", "otelcol-mesh-metrics-tier", "metricsTier.interval=5m"))
}

// TestAnalysis holds the endpoint to what it may be reached by and to what is shown there, with and without more extensions.
func TestAnalysis(t *testing.T) {
	r := render(t, "hub-analysis")
	hub := r.config(t, "otelcol-mesh-hub")
	volumes := r.workloads["otelcol-mesh-hub"].volumes()
	assert.Equal(t, "/etc/otelcol-mesh-analysis-token/token", hub.at("extensions", "bearertokenauth", "filename"))
	assert.Equal(t, "mesh-analysis", object(volumes["analysis-token"]).at("secret", "secretName"))
	analysis := object(hub.at("connectors", "mesh_graph", "analysis").(map[string]any))
	assert.Equal(t, "/etc/otelcol-mesh-analysis-tls/tls.crt", analysis.at("tls", "cert_file"))
	assert.Equal(t, "/etc/otelcol-mesh-analysis-tls/tls.key", analysis.at("tls", "key_file"))
	assert.Equal(t, "otelcol-mesh-hub-analysis", object(volumes["analysis-tls"]).at("secret", "secretName"))
	assert.Equal(t, "bearertokenauth", analysis.at("auth", "authenticator"))
	assert.True(t, strings.HasSuffix(analysis["endpoint"].(string), ":8443"))

	service := r.find("Service/otelcol-mesh-hub-analysis")
	assert.Equal(t, selected("hub"), service.at("spec", "selector"), "not the routers")
	assert.Equal(t, "analysis", service.at("spec", "ports").([]any)[0].(map[string]any)["targetPort"])
	assert.Nil(t, service.at("spec", "type"), "this cluster alone")
	assert.Contains(t, r.workloads["otelcol-mesh-hub"].container["ports"], map[string]any{"name": "analysis", "containerPort": 8443.0})
	for _, o := range r.objects {
		if o["kind"] == "Service" && o.id() != "Service/otelcol-mesh-hub-analysis" {
			for _, p := range o.at("spec", "ports").([]any) {
				assert.NotEqualValues(t, 8443, p.(map[string]any)["port"], o.id())
			}
		}
	}
	rollouts := map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": "argo-rollouts"}}}
	replicas := map[string]any{"podSelector": map[string]any{"matchLabels": selected("hub")}}
	asks := func(r rendered) any {
		for _, rule := range r.find("NetworkPolicy/otelcol-mesh-hub").at("spec", "ingress").([]any) {
			if object(rule.(map[string]any))["ports"].([]any)[0].(map[string]any)["port"] == "analysis" {
				return rule.(map[string]any)["from"]
			}
		}
		return nil
	}
	assert.Equal(t, []any{rollouts, replicas}, asks(r))
	peers := object(hub.at("connectors", "mesh_graph", "analysis_peers").(map[string]any))
	assert.Equal(t, "https://otelcol-mesh-hub-replicas.otelcol-mesh.svc:8443", peers["endpoint"])
	assert.Equal(t, "otelcol-mesh-hub-analysis.otelcol-mesh.svc", peers.at("tls", "server_name_override"))
	assert.Equal(t, "/etc/otelcol-mesh-analysis-tls/ca.crt", peers.at("tls", "ca_file"))
	assert.Equal(t, "1m", peers.at("tls", "reload_interval"), "their authority may be replaced")
	assert.Equal(t, []any{"/etc/otelcol-mesh-analysis-tls/tls.crt"}, hub.at("extensions", "cluster_identity", "certificate_files"), "its end is a metric")
	require.NotNil(t, r.find("Service/otelcol-mesh-hub-replicas"))
	csi := render(t, "hub-analysis", "--set", "hub.analysis.tls.secretName=,hub.analysis.tls.volume.csi.driver=csi.cert-manager.io")
	assert.Equal(t, map[string]any{"name": "analysis-tls", "csi": map[string]any{"driver": "csi.cert-manager.io"}},
		csi.workloads["otelcol-mesh-hub"].volumes()["analysis-tls"])

	single := render(t, "hub-analysis", "--set", "router.enabled=false,hub.replicas=1")
	assert.Nil(t, single.config(t, "otelcol-mesh-hub").at("connectors", "mesh_graph", "analysis_peers"))
	assert.Equal(t, []any{rollouts}, asks(single))

	off := render(t, "hub-analysis", "--set", "hub.analysis.enabled=false")
	assert.Nil(t, off.config(t, "otelcol-mesh-hub").at("connectors", "mesh_graph", "analysis"))
	assert.Nil(t, off.find("Service/otelcol-mesh-hub-analysis"))
	assert.Nil(t, asks(off))
	assert.NotContains(t, off.workloads["otelcol-mesh-hub"].volumes(), "analysis-token")
}

// TestReplicasKnowThatTheyAreSeveral: behind routers each says that it has a part, and without them that it has all.
func TestReplicasKnowThatTheyAreSeveral(t *testing.T) {
	for _, e := range charttest.Examples(t) {
		r := render(t, e.Name)
		if _, hub := r.workloads["otelcol-mesh-hub"]; !hub {
			continue
		}
		_, routers := r.workloads["otelcol-mesh-router"]
		routed := r.config(t, "otelcol-mesh-hub").at("connectors", "mesh_graph", "replica", "routed")
		assert.Equal(t, routers, routed == true, e.Name)
	}
}

// TestAnalysisTakesNoExtensionAway: a list of extensions replaces another, so the chart's has to have what the overlays add.
func TestAnalysisTakesNoExtensionAway(t *testing.T) {
	for _, set := range []string{"router.enabled=false", "hub.azure.mode=workloadIdentity,hub.azure.workloadIdentity.clientId=x"} {
		list := func(more string) []any {
			return render(t, "hub-analysis", "--set", "hub.replicas=1,"+set+","+more).config(t, "otelcol-mesh-hub").at("service", "extensions").([]any)
		}
		assert.Equal(t, append(list("hub.analysis.enabled=false"), "bearertokenauth"), list("hub.analysis.enabled=true"), set)
	}
	own := render(t, "hub-analysis", "--set", "hub.config.service.extensions={bearertokenauth,mine}").config(t, "otelcol-mesh-hub")
	assert.Equal(t, []any{"bearertokenauth", "mine"}, own.at("service", "extensions"), "the user's own wins")
}

// TestWhatIsKeptIsOnAVolume: what the graph and mesh_metrics write has to outlive the pod, and what the graph shows on the
// loopback has no port.
func TestWhatIsKeptIsOnAVolume(t *testing.T) {
	kept := map[string]int{}
	for _, e := range charttest.Examples(t) {
		r := render(t, e.Name)
		for name, w := range r.workloads {
			config := r.config(t, name)
			for _, path := range [][]string{{"connectors", "mesh_graph"}, {"processors", "mesh_metrics"}, {"processors", "mesh_metrics/push"}} {
				part, ok := config.at(path...).(map[string]any)
				if !ok {
					continue
				}
				kept[path[1]]++
				directory, _ := part["directory"].(string)
				assert.True(t, strings.HasPrefix(directory, "/var/lib/otelcol-mesh/"), "%s of %s: %q", path[1], name, directory)
				assert.Contains(t, w.container["volumeMounts"], map[string]any{"name": "storage", "mountPath": "/var/lib/otelcol-mesh"})
				if admin := object(part).at("admin", "endpoint"); path[1] == "mesh_graph" {
					assert.Equal(t, "127.0.0.1:13135", admin)
				}
			}
			for _, p := range w.container["ports"].([]any) {
				assert.NotContains(t, []any{13134.0, 13135.0}, p.(map[string]any)["containerPort"], name)
			}
		}
	}
	for _, part := range []string{"mesh_graph", "mesh_metrics", "mesh_metrics/push"} {
		assert.NotZero(t, kept[part], part)
	}
}
