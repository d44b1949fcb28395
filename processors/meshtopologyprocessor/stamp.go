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

// read reads an attribute of an earlier verdict into before; it passes over any other, and says which it is.
func (s *stamped) read(before *rules.Verdict, key string, value pcommon.Value) (ours bool) {
	index, ok := attributeIndex(key)
	if !ok {
		return false
	}
	if index == directionIndex {
		s.direction = true
		return true
	}
	s.odd |= s.has & (1 << index)
	s.has = s.has.with(index)
	if index < textAttributes && value.Type() != pcommon.ValueTypeStr {
		s.odd = s.odd.with(index)
		return true
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
	return true
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

// plan is what has to be done to the attributes of an item. A plan follows from the verdict and from what the item says of
// an earlier one.
type plan struct {
	// gone are removed, there are changed, absent are appended.
	gone, there, absent attributeSet
	cross               bool
}

func planOf(set attributeSet, values *texts, v, before *rules.Verdict, s *stamped) (p plan) {
	want := values.present(set)
	var known bool
	if p.cross, known = mesh.CrossCluster(&v.Source, &v.Destination); known && set.has(crossClusterIndex) {
		want = want.with(crossClusterIndex)
	}
	// Whether the topology is stale is told apart, see stampStale.
	kept := s.has &^ (1 << staleIndex)
	if kept == 0 {
		p.absent = want
		return p
	}
	p.gone = kept & (s.odd | ^want)
	kept &^= p.gone
	p.there, p.absent = kept&^s.same(kept, values, p.cross, before), want&^kept
	return p
}

// stamp writes the verdict on an item: of the attributes in set those that have a value, and none that is there already.
// What the item has of the others goes: it would be of an earlier verdict.
func stamp(m pcommon.Map, set attributeSet, v, before *rules.Verdict, s *stamped) {
	values := textsOf(v, mesh.Locality(&v.Source, &v.Destination))
	p := planOf(set, &values, v, before, s)
	remove(m, p.gone, s.odd)
	if p.there|p.absent == 0 {
		return
	}
	m.EnsureCapacity(m.Len() + bits.OnesCount32(uint32(p.absent)))
	values.write(m, p.there, p.absent&allTexts)
	if (p.there | p.absent).has(crossClusterIndex) {
		m.PutBool(crossClusterKey, p.cross)
	}
}

// ready is what is appended to every item that is as another one was, made once for all of them.
type ready struct {
	// tried says that it was looked whether that can be. If the answer was no, such items are written one by one.
	tried, can bool
	shared     attrs.Shared
}

// stamp does what [stamp] does for a verdict and what an item says of an earlier one, which are the same each time, and
// then [stampStale] if marks says so.
func (r *ready) stamp(m pcommon.Map, set attributeSet, v, before *rules.Verdict, s *stamped, marks bool) {
	if !r.tried {
		r.make(set, v, before, s, marks)
	}
	if r.can {
		r.shared.AppendTo(m)
		return
	}
	stamp(m, set, v, before, s)
	if marks {
		stampStale(m, set, v, before, s)
	}
}

// make makes what is appended, if that is all there is to do.
func (r *ready) make(set attributeSet, v, before *rules.Verdict, s *stamped, marks bool) {
	r.tried = true
	values := textsOf(v, mesh.Locality(&v.Source, &v.Destination))
	p := planOf(set, &values, v, before, s)
	if p.gone|p.there != 0 || (marks && s.has.has(staleIndex)) {
		return
	}
	made := pcommon.NewMap()
	stamp(made, p.absent, v, &rules.Verdict{}, &stamped{})
	if marks {
		stampStale(made, set, v, before, s)
	}
	r.shared, r.can = attrs.Share(made)
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

// remove removes the attributes of the set. odd are those that may be there more than once, as often as a sender likes: to
// look for each one from the beginning would take the square of that.
func remove(m pcommon.Map, set, odd attributeSet) {
	if set&odd != 0 {
		m.RemoveIf(func(key string, _ pcommon.Value) bool {
			index, ok := attributeIndex(key)
			return ok && set.has(index)
		})
		return
	}
	for ; set != 0; set &= set - 1 {
		m.Remove(attributeNames[bits.TrailingZeros32(uint32(set))])
	}
}

// stampStale marks an item of which an end was told by what is known of a cluster that nobody confirms any more. Metric
// points are counted but not marked: an attribute that comes and goes would begin a new series, and a cumulative sum
// would be counted twice.
func stampStale(m pcommon.Map, set attributeSet, v, before *rules.Verdict, s *stamped) {
	switch {
	case !set.has(staleIndex):
		if s.has.has(staleIndex) {
			remove(m, 1<<staleIndex, s.odd)
		}
	case v.Stale && !before.Stale:
		m.PutBool(staleKey, true)
	}
}
