// SPDX-License-Identifier: Apache-2.0

// Package callattr reads and writes the mesh.* attributes of a call. The entry points are [Call.Set] and [Call.Write].
package callattr

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// The attributes of a call beside those of its ends; the attribute reference (docs/attributes.md) has their values.
const (
	Locality              = "mesh.traffic.locality"
	CrossCluster          = "mesh.traffic.cross_cluster"
	Via                   = "mesh.via"
	TLS                   = "mesh.tls"
	SourceResolution      = "mesh.resolution.source"
	DestinationResolution = "mesh.resolution.destination"
	Stale                 = "mesh.topology.stale"
	// ViaDuration is the time, in seconds, that a call spent between its two proxies.
	ViaDuration = "mesh.via.duration"
)

// Call is what the attributes of an item say of the call.
type Call struct {
	Source, Destination     mesh.End
	SourceBy, DestinationBy mesh.Resolution
	// Via names the east/west gateway that carried the call; empty if none did or nothing tells.
	Via string
	// TLS is mesh.TLSMutual, mesh.TLSNone or mesh.TLSUnknown; empty if nothing was stamped.
	TLS string
	// Stale says that an end was told by what is known of a cluster that nobody confirms any more.
	Stale bool

	sourceStamped, destinationStamped bool
}

// Stamped says whether a mesh_topology processor judged the item: both resolutions are there and are words that
// [mesh.ParseResolution] knows.
func (c *Call) Stamped() bool { return c.sourceStamped && c.destinationStamped }

// Size returns how many bytes the texts of the call are.
func (c *Call) Size() int {
	size := len(c.Via) + len(c.TLS)
	for _, end := range [...]*mesh.End{&c.Source, &c.Destination} {
		for _, value := range valuesOf(end) {
			size += len(value)
		}
	}
	return size
}

const (
	prefix            = "mesh."
	sourcePrefix      = "mesh.source."
	destinationPrefix = "mesh.destination."
)

// Set takes one attribute. known is false for attributes that are not about the call, which is most of them.
func (c *Call) Set(key string, value pcommon.Value) (known bool) {
	if !strings.HasPrefix(key, prefix) {
		return false
	}
	if name, ok := strings.CutPrefix(key, sourcePrefix); ok {
		return setField(&c.Source, name, value)
	}
	if name, ok := strings.CutPrefix(key, destinationPrefix); ok {
		return setField(&c.Destination, name, value)
	}
	switch key {
	case SourceResolution:
		c.SourceBy, c.sourceStamped = mesh.ParseResolution(value.Str())
	case DestinationResolution:
		c.DestinationBy, c.destinationStamped = mesh.ParseResolution(value.Str())
	case Via:
		c.Via = value.Str()
	case TLS:
		c.TLS = value.Str()
	case Stale:
		c.Stale = value.Bool()
	case Locality, CrossCluster:
	default:
		return false
	}
	return true
}

func setField(e *mesh.End, name string, value pcommon.Value) bool {
	field := fieldOf(e, name)
	if field != nil {
		*field = value.Str()
	}
	return field != nil
}

func fieldOf(e *mesh.End, name string) *string {
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

func valuesOf(e *mesh.End) [9]string {
	return [9]string{e.Cluster, e.Region, e.Zone, e.Network, e.Namespace, e.Workload, e.Service, e.Version, e.Principal}
}

// Write makes the attributes of an item that said before say c. What did not change is not written again.
func (c *Call) Write(attrs pcommon.Map, before *Call) {
	attrs.EnsureCapacity(attrs.Len() + 12)
	writeEnd(attrs, &sourceKeys, &c.Source, &before.Source)
	writeEnd(attrs, &destinationKeys, &c.Destination, &before.Destination)
	if c.SourceBy != before.SourceBy {
		attrs.PutStr(SourceResolution, c.SourceBy.String())
	}
	if c.DestinationBy != before.DestinationBy {
		attrs.PutStr(DestinationResolution, c.DestinationBy.String())
	}
	if c.Via != before.Via {
		attrs.PutStr(Via, c.Via)
	}
	if c.TLS != before.TLS {
		attrs.PutStr(TLS, c.TLS)
	}
	if c.Stale && !before.Stale {
		attrs.PutBool(Stale, true)
	}
	if c.Source == before.Source && c.Destination == before.Destination {
		return
	}
	attrs.PutStr(Locality, mesh.Locality(&c.Source, &c.Destination))
	if cross, known := mesh.CrossCluster(&c.Source, &c.Destination); known {
		attrs.PutBool(CrossCluster, cross)
	} else {
		attrs.Remove(CrossCluster)
	}
}

func writeEnd(attrs pcommon.Map, keys *endKeys, end, before *mesh.End) {
	if *end == *before {
		return
	}
	old := valuesOf(before)
	for i, value := range valuesOf(end) {
		switch value {
		case old[i]:
		case "":
			attrs.Remove(keys[i])
		default:
			attrs.PutStr(keys[i], value)
		}
	}
}
