// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"math/bits"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/attrs"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// stamped is what an item said of its verdict when it came. Its zero value stands for an item that says nothing.
type stamped struct {
	// has are the attributes the item has. odd are those of them that have to be written anew, whatever the verdict: they
	// stand there twice, or with what nobody writes.
	has, odd attributeSet
	// locality and crossCluster are the two that a verdict does not keep, as they follow from the rest.
	locality     string
	crossCluster bool
	// direction says that the item has mesh.traffic.direction, which is no part of a verdict.
	direction bool
}

// read reads an attribute of an earlier verdict into before; it passes over any other.
func (s *stamped) read(before *rules.Verdict, key string, value pcommon.Value) {
	index, ok := attributeIndex(key)
	if !ok {
		return
	}
	if index == directionIndex {
		s.direction = true
		return
	}
	s.odd |= s.has & (1 << index)
	s.has = s.has.with(index)
	if index < textAttributes && value.Type() != pcommon.ValueTypeStr {
		s.odd = s.odd.with(index)
		return
	}
	switch index {
	case sourceResolutionIndex:
		before.SourceBy, ok = mesh.ParseResolution(value.Str())
	case destinationResolutionIndex:
		before.DestinationBy, ok = mesh.ParseResolution(value.Str())
	case localityIndex:
		s.locality = value.Str()
	case viaIndex:
		before.Via = value.Str()
	case tlsIndex:
		before.TLS = value.Str()
	case crossClusterIndex:
		s.crossCluster, ok = value.Bool(), value.Type() == pcommon.ValueTypeBool
	case staleIndex:
		before.Stale = value.Bool()
	default:
		if index < destinationIndex {
			*fieldAt(&before.Source, index) = value.Str()
		} else {
			*fieldAt(&before.Destination, index-destinationIndex) = value.Str()
		}
	}
	if !ok {
		s.odd = s.odd.with(index)
	}
}

// texts are the values of the attributes that are text, by their indexes; empty stands for absent.
type texts [textAttributes]string

func textsOf(v *rules.Verdict, locality string) (t texts) {
	source, destination := endValues(&v.Source), endValues(&v.Destination)
	copy(t[sourceIndex:], source[:])
	copy(t[destinationIndex:], destination[:])
	t[sourceResolutionIndex], t[destinationResolutionIndex] = v.SourceBy.String(), v.DestinationBy.String()
	t[localityIndex], t[viaIndex], t[tlsIndex] = locality, v.Via, v.TLS
	return t
}

// present returns those of the set that have a value.
func (t *texts) present(set attributeSet) (present attributeSet) {
	for rest := set & allTexts; rest != 0; rest &= rest - 1 {
		if i := bits.TrailingZeros32(uint32(rest)); t[i] != "" {
			present = present.with(i)
		}
	}
	return present
}

// stamp writes the verdict on an item: of the attributes in set those that have a value, and none that is there already.
// What the item has of the others goes: it would be of an earlier verdict.
func stamp(m pcommon.Map, set attributeSet, v, before *rules.Verdict, s *stamped) {
	values := textsOf(v, mesh.Locality(&v.Source, &v.Destination))
	want := values.present(set)
	cross, known := mesh.CrossCluster(&v.Source, &v.Destination)
	if known && set.has(crossClusterIndex) {
		want = want.with(crossClusterIndex)
	}
	write := want
	// Whether the topology is stale is told apart, see stampStale.
	kept := s.has &^ (1 << staleIndex)
	if kept != 0 {
		gone := kept & (s.odd | ^want)
		remove(m, gone)
		kept &^= gone
		write &^= s.same(kept, &values, cross, before)
	}
	if write == 0 {
		return
	}
	m.EnsureCapacity(m.Len() + bits.OnesCount32(uint32(write&^kept)))
	values.write(m, write&kept, write&allTexts&^kept)
	if write.has(crossClusterIndex) {
		m.PutBool(crossClusterKey, cross)
	}
}

// write changes the attributes that the item has, and appends those that it has not.
func (t *texts) write(m pcommon.Map, there, absent attributeSet) {
	for rest := there & allTexts; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros32(uint32(rest))
		m.PutStr(attributeNames[i], t[i])
	}
	var keys, values [textAttributes]string
	n := 0
	for rest := absent; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros32(uint32(rest))
		keys[n], values[n] = attributeNames[i], t[i]
		n++
	}
	attrs.Append(m, keys[:n], values[:n])
}

// same returns those of the attributes that the item has with these very values.
func (s *stamped) same(set attributeSet, values *texts, cross bool, before *rules.Verdict) (same attributeSet) {
	if set.has(crossClusterIndex) && s.crossCluster == cross {
		same = same.with(crossClusterIndex)
	}
	old := textsOf(before, s.locality)
	for rest := set & allTexts; rest != 0; rest &= rest - 1 {
		if i := bits.TrailingZeros32(uint32(rest)); old[i] == values[i] {
			same = same.with(i)
		}
	}
	return same
}

func remove(m pcommon.Map, set attributeSet) {
	for ; set != 0; set &= set - 1 {
		key := attributeNames[bits.TrailingZeros32(uint32(set))]
		for m.Remove(key) {
		}
	}
}

// stampStale marks an item of which an end was told by what is known of a cluster that nobody confirms any more. Metric
// points are counted but not marked: an attribute that comes and goes would begin a new series, and a cumulative sum
// would be counted twice.
func stampStale(m pcommon.Map, set attributeSet, v, before *rules.Verdict, s *stamped) {
	switch {
	case !set.has(staleIndex):
		if s.has.has(staleIndex) {
			remove(m, 1<<staleIndex)
		}
	case v.Stale && !before.Stale:
		m.PutBool(staleKey, true)
	}
}
