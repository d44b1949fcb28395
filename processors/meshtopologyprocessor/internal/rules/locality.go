// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
)

// Elsewhere says whether the locality that a proxy tells of itself is another than what the topology knows of its pod.
// An empty region or zone tells nothing, and neither does a zone that is none, such as the fault domain "0" on Azure. A
// zone without a region, as on Envoy's spans, is taken to be in the pod's.
func (n *Near) Elsewhere(region, zone string) bool {
	if n.Pod == nil {
		return false
	}
	region = known(region)
	if region != "" && n.End.Region != "" && !strings.EqualFold(region, n.End.Region) {
		return true
	}
	zone = envoy.NormalizeZone(first(region, n.End.Region), known(zone))
	return zone != "" && n.End.Zone != "" && !strings.EqualFold(zone, n.End.Zone)
}
