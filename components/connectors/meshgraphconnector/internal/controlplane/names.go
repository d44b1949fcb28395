// SPDX-License-Identifier: Apache-2.0

package controlplane

// kind says what a metric tells. The names, labels and types are those of Istio 1.20 to 1.31: pilot/pkg/xds/monitoring.go,
// pkg/xds/monitoring.go, pilot/pkg/bootstrap/monitoring.go, pkg/version/stats.go, security/pkg/server/ca/monitoring.go and
// pkg/kube/multicluster/secretcontroller.go. Istio's exporter adds neither units nor suffixes to them.
type kind uint8

const (
	kindNone kind = iota
	// kindBuild is istio_build{component,tag}, of istiod, proxies and ztunnel alike.
	kindBuild
	// Gauges of one istiod.
	kindInfo    // pilot_info{version}
	kindUptime  // istiod_uptime_seconds
	kindProxies // pilot_xds{version}
	kindManaged // istiod_managed_clusters{cluster_type}
	kindSync    // istiod_remote_cluster_sync_status{cluster,cluster_type,status}, from 1.29
	kindRoot    // citadel_server_root_cert_expiry_timestamp
	kindChain   // citadel_server_cert_chain_expiry_timestamp
	kindRefused // pilot_xds_{cds,eds,lds,rds}_reject{node,err}: 1 from then on
	// kindConvergence is pilot_proxy_convergence_time, a histogram in seconds.
	kindConvergence
	// Counters of one istiod.
	kindPushes            // pilot_xds_pushes{type}: cds, eds, … and cds_senderr, eds_senderr, …
	kindRejects           // pilot_total_xds_rejects{type}
	kindWriteTimeouts     // pilot_xds_write_timeout
	kindInternalErrors    // pilot_total_xds_internal_errors
	kindContextErrors     // pilot_xds_push_context_errors, until 1.24
	kindCertificateErrors // pilot_sds_certificate_errors_total
	kindSignErrors        // citadel_server_csr_sign_err_count{error}
	kindSyncTimeouts      // remote_cluster_sync_timeouts_total{cluster}
)

var kinds = map[string]kind{
	"istio_build":                                kindBuild,
	"pilot_info":                                 kindInfo,
	"istiod_uptime_seconds":                      kindUptime,
	"pilot_xds":                                  kindProxies,
	"istiod_managed_clusters":                    kindManaged,
	"istiod_remote_cluster_sync_status":          kindSync,
	"citadel_server_root_cert_expiry_timestamp":  kindRoot,
	"citadel_server_cert_chain_expiry_timestamp": kindChain,
	"pilot_xds_cds_reject":                       kindRefused,
	"pilot_xds_eds_reject":                       kindRefused,
	"pilot_xds_lds_reject":                       kindRefused,
	"pilot_xds_rds_reject":                       kindRefused,
	"pilot_proxy_convergence_time":               kindConvergence,
	"pilot_xds_pushes":                           kindPushes,
	"pilot_total_xds_rejects":                    kindRejects,
	"pilot_xds_write_timeout":                    kindWriteTimeouts,
	"pilot_total_xds_internal_errors":            kindInternalErrors,
	"pilot_xds_push_context_errors":              kindContextErrors,
	"pilot_sds_certificate_errors_total":         kindCertificateErrors,
	"citadel_server_csr_sign_err_count":          kindSignErrors,
	"remote_cluster_sync_timeouts_total":         kindSyncTimeouts,
}

// kindOf keeps the look-up away from most names: all metrics of the mesh come by.
func kindOf(name string) kind {
	if len(name) < len("pilot_xds") {
		return kindNone
	}
	switch name[0] {
	case 'p', 'i', 'c', 'r':
		return kinds[name]
	}
	return kindNone
}

// label is the name of the label that tells a kind's series apart; empty if it has only one.
func (k kind) label() string {
	switch k {
	case kindInfo, kindProxies:
		return "version"
	case kindPushes, kindRejects:
		return "type"
	case kindManaged:
		return "cluster_type"
	case kindRefused:
		return "node"
	case kindSyncTimeouts:
		return "cluster"
	}
	return ""
}
