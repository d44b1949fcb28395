// SPDX-License-Identifier: Apache-2.0

package feed

import "strings"

// quantity is what a metric counts.
type quantity uint8

const (
	nothing quantity = iota
	requests
	duration
	requestBytes
	responseBytes
	opened
	closed
	failed
	// ejected is a gauge, and about no edge.
	ejected
)

// quantityOf reads the name of a metric. Istio's come from a Prometheus page as they are, without "_total" where a
// receiver or an exporter cuts it, and with "istiocustom." before them over Envoy's metrics service. A histogram of bytes
// may come as a counter of its sum.
//
// "Sent" and "received" in Istio's names for TCP are the words of a server about itself at every reporter (istio#32399),
// ztunnel included: received is what the caller sent.
func quantityOf(name string) (q quantity, tcp bool) {
	short, ok := strings.CutPrefix(strings.TrimPrefix(name, "istiocustom."), "istio_")
	if !ok {
		if name == "envoy_cluster_outlier_detection_ejections_active" || name == "cluster.outlier_detection.ejections_active" {
			return ejected, false
		}
		return nothing, false
	}
	short, tcp = strings.CutPrefix(strings.TrimSuffix(short, "_total"), "tcp_")
	return quantityOfShort(short, tcp), tcp
}

func quantityOfShort(short string, tcp bool) quantity {
	if tcp {
		switch short {
		case "received_bytes":
			return requestBytes
		case "sent_bytes":
			return responseBytes
		case "connections_opened":
			return opened
		case "connections_closed":
			return closed
		case "connections_failed":
			return failed
		}
		return nothing
	}
	switch short {
	case "requests":
		return requests
	case "request_duration_milliseconds", "request_duration":
		return duration
	case "request_bytes", "request_bytes_sum":
		return requestBytes
	case "response_bytes", "response_bytes_sum":
		return responseBytes
	}
	return nothing
}
