// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import "strings"

// directionKey says which way the bytes or messages went that a point counts.
const directionKey = "mesh.traffic.direction"

// The values of mesh.traffic.direction. They are about the two ends, not about the reporter.
const (
	// toDestination is what the source sent to the destination.
	toDestination = "request"
	// toSource is what the destination sent back.
	toSource = "response"
)

const (
	istioPrefix = "istio_"
	// statsNamespace stands before the names where nothing strips it: in what Envoy pushes.
	statsNamespace = "istiocustom."
)

// istioName returns the name of one of Istio's metrics without what stands before "istio_" and without it; ok is false
// for any other metric.
func istioName(name string) (short string, ok bool) {
	return strings.CutPrefix(strings.TrimPrefix(name, statsNamespace), istioPrefix)
}

// directionOf says which way the bytes or messages went that a metric counts, empty for any other metric.
//
// "Sent" and "received" in Istio's names for TCP are the words of a server about itself, and stay so when the reporter is
// the caller: there received is what the caller sent (istio#32399, closed without a change). It is so at every reporter
// and in every version: in the stats filter of istio/proxy, which counts the bytes on the side of the caller (the wasm
// plug-in from Istio 1.5 on, the native filter from 1.17 on, waypoints too), and in ztunnel from 1.18 on, which follows
// it on purpose.
func directionOf(short string) string {
	switch strings.TrimSuffix(short, "_total") {
	case "tcp_received_bytes", "request_bytes", "request_messages":
		return toDestination
	case "tcp_sent_bytes", "response_bytes", "response_messages":
		return toSource
	}
	return ""
}

// isUpstreamMetric says whether a metric is one of Envoy's about an upstream cluster, as its Prometheus page or its
// metrics service names it.
func isUpstreamMetric(name string) bool {
	return strings.HasPrefix(name, "envoy_cluster_") || strings.HasPrefix(name, "cluster.")
}
