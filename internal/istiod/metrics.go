// SPDX-License-Identifier: Apache-2.0

// Package istiod names the metrics that tell of Istio's control planes. Routers bring them to one replica of the hub, and the
// graph there makes records of them: both have to mean the same ones.
package istiod

import (
	"maps"
	"slices"
)

// metrics are the names in Istio 1.20 to 1.31; components/connectors/meshgraphconnector/internal/controlplane says where in its source
// each is from, and reads them. istio_build is on the pages of proxies and ztunnels, too.
var metrics = map[string]struct{}{
	"istio_build":                                {},
	"pilot_info":                                 {},
	"istiod_uptime_seconds":                      {},
	"pilot_xds":                                  {},
	"istiod_managed_clusters":                    {},
	"istiod_remote_cluster_sync_status":          {},
	"citadel_server_root_cert_expiry_timestamp":  {},
	"citadel_server_cert_chain_expiry_timestamp": {},
	"pilot_xds_cds_reject":                       {},
	"pilot_xds_eds_reject":                       {},
	"pilot_xds_lds_reject":                       {},
	"pilot_xds_rds_reject":                       {},
	"pilot_proxy_convergence_time":               {},
	"pilot_xds_pushes":                           {},
	"pilot_total_xds_rejects":                    {},
	"pilot_xds_write_timeout":                    {},
	"pilot_total_xds_internal_errors":            {},
	"pilot_xds_push_context_errors":              {},
	"pilot_sds_certificate_errors_total":         {},
	"citadel_server_csr_sign_err_count":          {},
	"remote_cluster_sync_timeouts_total":         {},
}

// IsMetric says whether a metric of this name tells of a control plane. It costs next to nothing for others, which are nearly all
// of a mesh's.
func IsMetric(name string) bool {
	if len(name) < len("pilot_xds") {
		return false
	}
	switch name[0] {
	case 'p', 'i', 'c', 'r':
		_, is := metrics[name]
		return is
	}
	return false
}

// Metrics returns all names, sorted.
func Metrics() []string { return slices.Sorted(maps.Keys(metrics)) }
