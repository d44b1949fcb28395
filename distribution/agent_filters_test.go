// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAgentScrapesEveryProxy prevents that a kind of proxy is left out of the scrape: ztunnel names its port in its own way.
func TestAgentScrapesEveryProxy(t *testing.T) {
	raw, err := os.ReadFile("config/agent.yaml")
	require.NoError(t, err)
	var shipped struct {
		Receivers struct {
			Prometheus struct {
				Config struct {
					Jobs []struct {
						Relabel []struct {
							Source []string `yaml:"source_labels"`
							Action string
							Regex  string
						} `yaml:"relabel_configs"`
					} `yaml:"scrape_configs"`
				}
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(raw, &shipped))
	rule := shipped.Receivers.Prometheus.Config.Jobs[0].Relabel[0]
	require.Equal(t, "keep", rule.Action)
	// Prometheus joins the values with a semicolon and anchors the expression.
	kept := regexp.MustCompile("^(?:" + rule.Regex + ")$")
	for _, tt := range []struct {
		port, app, number string
		want              bool
	}{
		{"http-envoy-prom", "productpage", "15090", true},
		{"http-envoy-prom", "", "15090", true},
		{"ztunnel-stats", "ztunnel", "15020", true},
		{"", "ztunnel", "15020", true},
		{"readiness", "ztunnel", "15021", false},
		{"http", "productpage", "9080", false},
		{"metrics", "productpage", "15020", false},
	} {
		labels := map[string]string{
			"__meta_kubernetes_pod_container_port_name": tt.port, "__meta_kubernetes_pod_label_app": tt.app,
			"__meta_kubernetes_pod_container_port_number": tt.number,
		}
		var values []string
		for _, name := range rule.Source {
			require.Contains(t, labels, name)
			values = append(values, labels[name])
		}
		assert.Equal(t, tt.want, kept.MatchString(strings.Join(values, ";")), "%+v", tt)
	}
}

// TestAgentKeepsWhatTheMeshIsJudgedBy prevents that the agent drops metrics that the processors behind it are made for.
func TestAgentKeepsWhatTheMeshIsJudgedBy(t *testing.T) {
	raw, err := os.ReadFile("config/agent.yaml")
	require.NoError(t, err)
	found := regexp.MustCompile(`IsMatch\(metric\.name, "(.*)"\)\)`).FindSubmatch(raw)
	require.NotNil(t, found, "the condition of filter/proxy_metrics")
	// In a condition a backslash is written twice.
	kept := regexp.MustCompile(strings.ReplaceAll(string(found[1]), `\\`, `\`))
	for name, want := range map[string]bool{
		"istio_requests_total": true, "istio_tcp_sent_bytes_total": true, "istiocustom.istio_requests_total": true,
		"envoy_cluster_upstream_rq_total": true, "cluster.upstream_cx_active": true, "envoy_cluster_outlier_detection_ejections_active": true,
		"envoy_cluster_lb_healthy_panic": true, "cluster.zone.upstream_rq_2xx": true,
		"envoy_cluster_zone_westeurope_1_northeurope_1_upstream_rq_200": true,
		"envoy_server_uptime": true, "envoy_server_uptimes": false, "envoy_server_live": false, "cluster.assignment_stale": false, "envoy_cluster_zones": false, "xistio_requests_total": false,
	} {
		assert.Equal(t, want, kept.MatchString(name), name)
	}
}
