// SPDX-License-Identifier: Apache-2.0

package mesh

// The values of mesh.traffic.locality.
const (
	// SameZone means both ends are in one availability zone.
	SameZone = "same_zone"
	// CrossZone means one region and two availability zones.
	CrossZone = "cross_zone"
	// CrossRegion means two regions.
	CrossRegion = "cross_region"
	// UnknownLocality means that a region, or a zone within one region, is not known.
	UnknownLocality = "unknown"
)

// The values of mesh.tls.
const (
	// TLSMutual means that both ends proved who they are.
	TLSMutual = "mutual"
	// TLSNone means that the call was in plain text.
	TLSNone = "none"
	// TLSUnknown means that nothing told.
	TLSUnknown = "unknown"
)

// Locality says how far apart the two ends of a call are, as one of [SameZone], [CrossZone], [CrossRegion] and
// [UnknownLocality]. Zones are compared only within one known region, because a bare zone name such as "1" exists in
// every region.
func Locality(source, destination *End) string {
	switch {
	case source.Region == "" || destination.Region == "":
		return UnknownLocality
	case source.Region != destination.Region:
		return CrossRegion
	case source.Zone == "" || destination.Zone == "":
		return UnknownLocality
	case source.Zone != destination.Zone:
		return CrossZone
	default:
		return SameZone
	}
}

// CrossCluster says whether the call went from one cluster to another. known is false when the cluster of an end is
// not known.
func CrossCluster(source, destination *End) (value, known bool) {
	if source.Cluster == "" || destination.Cluster == "" {
		return false, false
	}
	return source.Cluster != destination.Cluster, true
}
