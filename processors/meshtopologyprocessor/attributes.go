// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
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

// An attribute is known by its index. Those of the source come first, then those of the destination, each in the order
// of endValues; then what else is text, then the booleans, and last what is no part of a verdict.
const (
	sourceIndex           = 0
	destinationIndex      = sourceIndex + endAttributes
	sourceResolutionIndex = destinationIndex + endAttributes - 2 + iota
	destinationResolutionIndex
	localityIndex
	viaIndex
	tlsIndex
	crossClusterIndex
	staleIndex
	directionIndex
	attributeCount

	endAttributes  = 9
	textAttributes = crossClusterIndex
)

// attributeNames are the attributes by their indexes.
var attributeNames = func() (names [attributeCount]string) {
	for i, field := range [endAttributes]string{"cluster", "region", "zone", "network", "namespace", "workload", "service", "version", "principal"} {
		names[sourceIndex+i], names[destinationIndex+i] = sourcePrefix+field, destinationPrefix+field
	}
	names[sourceResolutionIndex], names[destinationResolutionIndex] = sourceResolutionKey, destinationResolutionKey
	names[localityIndex], names[viaIndex], names[tlsIndex] = localityKey, viaKey, tlsKey
	names[crossClusterIndex], names[staleIndex], names[directionIndex] = crossClusterKey, staleKey, directionKey
	return names
}()

// attributeIndex returns the index of an attribute; ok is false for any other key.
func attributeIndex(key string) (index int, ok bool) {
	if name, found := strings.CutPrefix(key, sourcePrefix); found {
		return fieldIndex(name)
	}
	if name, found := strings.CutPrefix(key, destinationPrefix); found {
		index, ok = fieldIndex(name)
		return destinationIndex + index, ok
	}
	switch key {
	case sourceResolutionKey:
		return sourceResolutionIndex, true
	case destinationResolutionKey:
		return destinationResolutionIndex, true
	case localityKey:
		return localityIndex, true
	case viaKey:
		return viaIndex, true
	case tlsKey:
		return tlsIndex, true
	case crossClusterKey:
		return crossClusterIndex, true
	case staleKey:
		return staleIndex, true
	case directionKey:
		return directionIndex, true
	}
	return 0, false
}

// fieldIndex returns the place in endValues of the attribute of an end that has this last part.
func fieldIndex(name string) (index int, ok bool) {
	switch name {
	case "cluster":
		return 0, true
	case "region":
		return 1, true
	case "zone":
		return 2, true
	case "network":
		return 3, true
	case "namespace":
		return 4, true
	case "workload":
		return 5, true
	case "service":
		return 6, true
	case "version":
		return 7, true
	case "principal":
		return 8, true
	}
	return 0, false
}

func endValues(e *mesh.End) [endAttributes]string {
	return [endAttributes]string{e.Cluster, e.Region, e.Zone, e.Network, e.Namespace, e.Workload, e.Service, e.Version, e.Principal}
}

// fieldAt returns the field of the end in the order of endValues.
func fieldAt(e *mesh.End, index int) *string {
	switch index {
	case 0:
		return &e.Cluster
	case 1:
		return &e.Region
	case 2:
		return &e.Zone
	case 3:
		return &e.Network
	case 4:
		return &e.Namespace
	case 5:
		return &e.Workload
	case 6:
		return &e.Service
	case 7:
		return &e.Version
	default:
		return &e.Principal
	}
}

// endField returns the field of the end that the last part of a key names, nil for another name.
func endField(e *mesh.End, name string) *string {
	index, ok := fieldIndex(name)
	if !ok {
		return nil
	}
	return fieldAt(e, index)
}

// attributeSet is a set of attributes, a bit for each.
type attributeSet uint32

const (
	allAttributes attributeSet = 1<<attributeCount - 1
	allTexts      attributeSet = 1<<textAttributes - 1
)

func (s attributeSet) has(index int) bool { return s&(1<<index) != 0 }

func (s attributeSet) with(index int) attributeSet { return s | 1<<index }

func (s attributeSet) anyFrom(index int) bool { return s>>index&(1<<endAttributes-1) != 0 }

// setOf returns the set of these attributes; it panics for a name that is none.
func setOf(names ...string) (set attributeSet) {
	for _, name := range names {
		index, ok := attributeIndex(name)
		if !ok {
			panic("no attribute " + name)
		}
		set = set.with(index)
	}
	return set
}

var errNoAttributes = errors.New("'attributes' is empty: list the mesh.* attributes to write, or remove the key to write all")

// attributesOf reads the configured list; nil stands for all. Where an end is written, its cluster and what told it have
// to be, too: without them a hub takes what an agent found for what nobody told.
func attributesOf(names []string) (attributeSet, error) {
	if names == nil {
		return allAttributes, nil
	}
	if len(names) == 0 {
		return 0, errNoAttributes
	}
	var set attributeSet
	for i, name := range names {
		index, ok := attributeIndex(name)
		if !ok {
			return 0, fmt.Errorf("'attributes[%d]': %q is none that the processor writes; write one of %s", i, name, strings.Join(attributeNames[:], ", "))
		}
		if set.has(index) {
			return 0, fmt.Errorf("'attributes[%d]': %q is listed twice; remove one", i, name)
		}
		set = set.with(index)
	}
	for _, end := range [...]struct{ first, resolution int }{{sourceIndex, sourceResolutionIndex}, {destinationIndex, destinationResolutionIndex}} {
		if !set.anyFrom(end.first) && !set.has(end.resolution) {
			continue
		}
		for _, needed := range [...]int{end.first, end.resolution} {
			if !set.has(needed) {
				return 0, fmt.Errorf("'attributes': add %q: a hub cannot tell without it how an agent knows the other attributes of that end", attributeNames[needed])
			}
		}
	}
	return set, nil
}
