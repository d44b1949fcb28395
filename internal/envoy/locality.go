// SPDX-License-Identifier: Apache-2.0

package envoy

import "strings"

// NormalizeZone returns an availability zone in the spelling of the Kubernetes node label, "westeurope-1". On Azure,
// Envoy takes its zone from the instance metadata service, which says "1", while nodes are labeled "westeurope-1".
// "0" is a fault domain of a node pool without zones, so it gives "", as do "", "-", and a bare number whose region is
// not known. Zones of other clouds stay as they are.
func NormalizeZone(region, zone string) string {
	switch {
	case zone == "-" || strings.Trim(zone, "0") == "":
		return ""
	case !isNumber(zone):
		return zone
	case region == "":
		return ""
	}
	return region + "-" + zone
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
