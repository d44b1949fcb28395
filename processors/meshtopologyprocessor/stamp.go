// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// The attributes of a call beside those of its ends.
const (
	localityKey              = "mesh.traffic.locality"
	crossClusterKey          = "mesh.traffic.cross_cluster"
	viaKey                   = "mesh.via"
	tlsKey                   = "mesh.tls"
	sourceResolutionKey      = "mesh.resolution.source"
	destinationResolutionKey = "mesh.resolution.destination"
	staleKey                 = "mesh.topology.stale"
	sourcePrefix             = "mesh.source."
	destinationPrefix        = "mesh.destination."
)

// endKeys are the nine attributes of an end, in the order of endValues.
type endKeys [9]string

func keysOf(prefix string) endKeys {
	keys := endKeys{"cluster", "region", "zone", "network", "namespace", "workload", "service", "version", "principal"}
	for i := range keys {
		keys[i] = prefix + keys[i]
	}
	return keys
}

var (
	sourceKeys      = keysOf(sourcePrefix)
	destinationKeys = keysOf(destinationPrefix)
)

func endValues(e *mesh.End) [9]string {
	return [9]string{e.Cluster, e.Region, e.Zone, e.Network, e.Namespace, e.Workload, e.Service, e.Version, e.Principal}
}

// endField returns the field of the end that the last part of a key names, nil for another name.
func endField(e *mesh.End, name string) *string {
	switch name {
	case "cluster":
		return &e.Cluster
	case "region":
		return &e.Region
	case "zone":
		return &e.Zone
	case "network":
		return &e.Network
	case "namespace":
		return &e.Namespace
	case "workload":
		return &e.Workload
	case "service":
		return &e.Service
	case "version":
		return &e.Version
	case "principal":
		return &e.Principal
	}
	return nil
}

// stamp writes the verdict on an item. before is what the item said already; what did not change is not written again.
func stamp(attrs pcommon.Map, v, before *rules.Verdict) {
	attrs.EnsureCapacity(attrs.Len() + 24)
	stampEnd(attrs, &sourceKeys, &v.Source, &before.Source)
	stampEnd(attrs, &destinationKeys, &v.Destination, &before.Destination)
	attrs.PutStr(sourceResolutionKey, v.SourceBy.String())
	attrs.PutStr(destinationResolutionKey, v.DestinationBy.String())
	attrs.PutStr(localityKey, mesh.Locality(&v.Source, &v.Destination))
	if cross, known := mesh.CrossCluster(&v.Source, &v.Destination); known {
		attrs.PutBool(crossClusterKey, cross)
	} else if before.TLS != "" {
		attrs.Remove(crossClusterKey)
	}
	if v.Via != before.Via {
		attrs.PutStr(viaKey, v.Via)
	}
	attrs.PutStr(tlsKey, v.TLS)
}

// stampStale marks an item of which an end was told by what is known of a cluster that nobody confirms any more. Metric
// points are counted but not marked: an attribute that comes and goes would begin a new series, and a cumulative sum
// would be counted twice.
func stampStale(attrs pcommon.Map, v, before *rules.Verdict) {
	if v.Stale && !before.Stale {
		attrs.PutBool(staleKey, true)
	}
}

func stampEnd(attrs pcommon.Map, keys *endKeys, end, before *mesh.End) {
	if *end == *before {
		return
	}
	values, old := endValues(end), endValues(before)
	for i, value := range values {
		switch value {
		case old[i]:
		case "":
			attrs.Remove(keys[i])
		default:
			attrs.PutStr(keys[i], value)
		}
	}
}
