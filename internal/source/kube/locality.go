// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
)

// podLocality returns the locality that a pod's labels set, which goes before its node's. A label's value cannot hold
// slashes, so Istio takes dots for them unless there is one.
func podLocality(labels map[string]string) (region, zone string) {
	v := first(labels, labelLocality, labelOldLocality)
	if !strings.Contains(v, "/") {
		v = strings.ReplaceAll(v, ".", "/")
	}
	return splitLocality(v)
}

// splitLocality takes "region/zone/subzone". The subzone is ignored.
func splitLocality(v string) (region, zone string) {
	region, rest, _ := strings.Cut(v, "/")
	zone, _, _ = strings.Cut(rest, "/")
	return region, envoy.NormalizeZone(region, zone)
}

// nodeLocality returns the locality of a node's labels.
func nodeLocality(labels map[string]string) (region, zone string) {
	region = first(labels, labelRegion, labelOldRegion)
	return region, envoy.NormalizeZone(region, first(labels, labelZone, labelOldZone))
}
