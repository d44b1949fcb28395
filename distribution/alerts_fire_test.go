// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// history is two and a half hours of pages of own metrics. The instance is named by what happened to it.
const history = `load 1m
  otelcol_exporter_application_insights_oldest_item_age{instance="late",destination="default",signal="logs"} 400x160
  otelcol_exporter_application_insights_oldest_item_age{instance="very_late",destination="default",signal="logs"} 140000x160
  otelcol_exporter_application_insights_oldest_item_age{instance="healthy",destination="default",signal="logs"} 1x160
  otelcol_exporter_application_insights_destination_blocked{instance="forbidden",destination="default",reason="forbidden"} 0x140 1 0 1 0 1 0 1 0 1 0 1 0
  otelcol_exporter_application_insights_destination_blocked{instance="network",destination="default",reason="network"} 1x160
  otelcol_exporter_queue_size{instance="full",exporter="application_insights",data_type="traces"} 90x160
  otelcol_exporter_queue_capacity{instance="full",exporter="application_insights",data_type="traces"} 100x160
  otelcol_exporter_queue_size{instance="healthy",exporter="application_insights",data_type="traces"} 9x160
  otelcol_exporter_queue_capacity{instance="healthy",exporter="application_insights",data_type="traces"} 100x160
  otelcol_receiver_refused_spans{instance="refuses_logs",receiver="otlp",transport="grpc"} 0x160
  otelcol_receiver_refused_log_records{instance="refuses_logs",receiver="otlp",transport="grpc"} 0+5x160
  otelcol_receiver_refused_spans{instance="healthy",receiver="otlp",transport="grpc"} 7x160
  otelcol_extension_queue_storage_free_space{instance="small_disk"} 1000000000x160
  otelcol_extension_queue_storage_free_space{instance="healthy"} 5000000000x160
  otelcol_exporter_application_insights_items_dead_lettered{instance="first_letters",destination="default",reason="invalid",signal="logs"} _x100 3x60
  otelcol_exporter_application_insights_items_dead_lettered{instance="more_letters",destination="default",reason="invalid",signal="logs"} 3x100 3+1x60
  otelcol_exporter_application_insights_items_dead_lettered{instance="old_letters",destination="default",reason="invalid",signal="logs"} 3x160
  otelcol_exporter_application_insights_items_lost{instance="lost",destination="default",reason="shutdown",signal="logs"} _x100 3x60
  otelcol_exporter_application_insights_items_lost{instance="old_loss",destination="default",reason="shutdown",signal="logs"} 3x160
  otelcol_exporter_application_insights_dead_letters_evicted{instance="evicted"} _x100 3x60
  otelcol_extension_queue_storage_damaged_files{instance="damaged",component="application_insights",signal="logs"} _x100 1x60
  otelcol_processor_cluster_identity_flagged_resources{instance="forged",signal="logs",reason="foreign_cluster",action="rejected"} _x100 1x60
  otelcol_processor_cluster_identity_flagged_resources{instance="one_machine",signal="logs",reason="unverified",action="accepted"} 0+9x160
  otelcol_extension_cluster_identity_refused_requests{instance="no_rule",authenticator="cluster_identity",transport="grpc",reason="no_rule"} 3x100 3+1x60
  otelcol_extension_cluster_identity_refused_requests{instance="renewed_late",authenticator="cluster_identity",transport="grpc",reason="expired"} _x100 1x60
  otelcol_extension_cluster_identity_refused_connections{instance="stranger",authenticator="cluster_identity",side="receiver",reason="unknown_authority"} _x100 1x60
  otelcol_extension_cluster_identity_refused_connections{instance="probed",authenticator="cluster_identity",side="receiver",reason="aborted"} 0+1x160
  otelcol_extension_cluster_identity_certificate_expiry{instance="short_life",authenticator="cluster_identity",file="tls.crt"} 3600-60x20 3600-60x20 3600-60x20 3600-60x20 3600-60x20 3600-60x20 3600-60x20 3600-60x3
  otelcol_extension_cluster_identity_certificate_expiry{instance="forgotten",authenticator="cluster_identity",file="tls.crt"} 11500-60x160
  otelcol_extension_cluster_identity_certificate_expiry{instance="forgotten",authenticator="cluster_identity",file="ca.crt"} 315360000-60x160
  otelcol_extension_cluster_identity_certificate_expiry{instance="ended",authenticator="cluster_identity",file="tls.crt"} 6000-60x160
  otelcol_extension_cluster_identity_certificate_file_errors{instance="no_file",authenticator="cluster_identity",file="tls.crt"} 0+1x160
  otelcol_extension_cluster_identity_reload_errors{instance="half_file",authenticator="cluster_identity",side="receiver"} _x100 1x60
  otelcol_extension_request_limits_refused_requests{instance="bombed",limiter="request_limits",transport="grpc",reason="expansion",peer="10.0.0.9"} _x100 1x60
  otelcol_extension_request_limits_refused_requests{instance="crowded",limiter="request_limits",transport="grpc",reason="concurrent_bytes",peer="10.0.0.9"} 0+1x160
  otelcol_extension_mesh_topology_cluster_stale{instance="silent",k8s_cluster_name="aks-westeurope"} 1x160
  otelcol_extension_mesh_topology_cluster_stale{instance="silent",k8s_cluster_name="aks-northeurope"} 0x160
  otelcol_connector_mesh_graph_failovers_active{instance="failing_over",kind="failover"} 0x149 2x10
  otelcol_connector_mesh_graph_failovers_active{instance="failing_over",kind="unexpected_shift"} 0x160
  otelcol_connector_mesh_graph_failovers_active{instance="failed_back",kind="failover"} 0x100 1x40 0x20
  otelcol_connector_mesh_graph_failovers_active{instance="shifted",kind="unexpected_shift"} 0x149 1x10
  otelcol_connector_mesh_graph_failovers_active{instance="shifted",kind="failover"} 0x160
  otelcol_connector_mesh_graph_edges{instance="many_edges",kind="own"} 50000x160
  otelcol_connector_mesh_graph_edges{instance="many_edges",kind="overflow"} 3x160
  otelcol_connector_mesh_graph_edges{instance="failing_over",kind="own"} 23x160
  otelcol_connector_mesh_graph_edges{instance="failing_over",kind="overflow"} 0x160
  otelcol_connector_mesh_graph_points{instance="cumulative",outcome="not_delta"} 7x100 7+1x60
  otelcol_connector_mesh_graph_points{instance="cumulative",outcome="taken"} 0+1x160
  otelcol_connector_mesh_graph_points{instance="failing_over",outcome="other_metric"} 0+1x160
  otelcol_connector_mesh_graph_points{instance="failing_over",outcome="not_delta"} 7x160
`

// TestAlertsFire prevents the bugs of rules that ask for what is there and yet never fire, or always do: a counter that begins
// with its first event has no increase, and "or" takes the series of one signal for those of another.
func TestAlertsFire(t *testing.T) {
	fires := map[string][]string{
		"MeshDeliveryLate":        {"late", "very_late"},
		"MeshDeliveryTooLateSoon": {"very_late"},
		"MeshDestinationBlocked":  {"forbidden"},
		"MeshQueueFilling":        {"full"},
		"MeshRefused":             {"refuses_logs"},
		"MeshQueueDiskLow":        {"small_disk"},
		"MeshDeadLetters":         {"first_letters", "more_letters"},
		"MeshItemsLost":           {"evicted", "lost"},
		"MeshQueueDamaged":        {"damaged"},
		// What a hub without TLS lets pass, health checks, and a certificate that is renewed as it should be tell nothing.
		"MeshForeignCluster":        {"forged"},
		"MeshSenderRefused":         {"no_rule"},
		"MeshConnectionRefused":     {"stranger"},
		"MeshCertificateExpires":    {"ended", "forgotten"},
		"MeshCertificateExpired":    {"ended"},
		"MeshCertificateUnreadable": {"half_file", "no_file"},
		"MeshRequestsOverLimit":     {"bombed"},
		"MeshSendersHeldUp":         {"crowded"},
		"MeshClusterStale":          {"silent"},
		// One is told as soon as it is seen, and no longer than it lasts.
		"MeshFailover":        {"failing_over"},
		"MeshUnexpectedShift": {"shifted"},
		// What happened hours ago is over.
		"MeshGraphIncomplete": {"cumulative", "many_edges"},
	}
	storage := promqltest.LoadedStorage(t, history)
	t.Cleanup(func() { assert.NoError(t, storage.Close()) })
	engine := promqltest.NewTestEngine(t, false, 5*time.Minute, promqltest.DefaultMaxSamplesPerQuery)
	rules := alertRules(t)
	assert.Len(t, rules, len(fires))
	for _, rule := range rules {
		query, err := engine.NewInstantQuery(t.Context(), storage, promql.NewPrometheusQueryOpts(false, 0), rule.Expr, time.Unix(0, 0).Add(150*time.Minute))
		require.NoError(t, err, rule.Alert)
		result, err := query.Exec(t.Context()).Vector()
		require.NoError(t, err, rule.Alert)
		var instances []string
		for _, sample := range result {
			instances = append(instances, sample.Metric.Get("instance"))
		}
		slices.Sort(instances)
		assert.Equal(t, fires[rule.Alert], instances, rule.Alert)
	}
}
