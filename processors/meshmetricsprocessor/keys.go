// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"math"
	"math/bits"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/series"
)

// pair hashes an attribute. Pairs are added up, so their order does not matter.
func (s *seeds) pair(name uint64, value pcommon.Value) series.Key {
	var v uint64
	switch value.Type() {
	case pcommon.ValueTypeStr:
		v = s.value.text(value.Str())
	case pcommon.ValueTypeBool:
		v = s.value.number(1)
		if value.Bool() {
			v = s.value.number(2)
		}
	case pcommon.ValueTypeInt:
		v = s.value.number(uint64(value.Int())) + 1
	default:
		v = s.value.text(value.AsString()) ^ uint64(value.Type())
	}
	return multiply(name, v)
}

func (s *seeds) name(name string) uint64 { return s.names.text(name) }

func (s *seeds) text(texts ...string) series.Key {
	var sum series.Key
	for i, text := range texts {
		add(&sum, multiply(s.names.number(uint64(i)), s.value.text(text)))
	}
	return sum
}

func multiply(a, b uint64) series.Key {
	hi, lo := bits.Mul64(a|1, b|1)
	return series.Key{Hi: hi ^ a, Lo: lo ^ bits.RotateLeft64(b, 32)}
}

func add(to *series.Key, k series.Key) {
	var carry uint64
	to.Lo, carry = bits.Add64(to.Lo, k.Lo, 0)
	to.Hi, _ = bits.Add64(to.Hi, k.Hi, carry)
}

// fold makes one key of two, whose order matters.
func fold(a, b series.Key) series.Key {
	hi, lo := bits.Mul64(a.Lo^0x9e3779b97f4a7c15, a.Hi^0xc2b2ae3d27d4eb4f)
	k := series.Key{Hi: hi ^ a.Lo, Lo: lo ^ bits.RotateLeft64(a.Hi, 17)}
	add(&k, b)
	return k
}

func (s *seeds) bounds(bounds pcommon.Float64Slice) series.Key {
	k := series.Key{Lo: uint64(bounds.Len())}
	for i := range bounds.Len() {
		hi, lo := bits.Mul64(math.Float64bits(bounds.At(i))^s.mix, k.Lo^0x9e3779b97f4a7c15)
		k.Hi, k.Lo = bits.RotateLeft64(k.Hi, 7)^hi, lo^k.Hi
	}
	return k
}

// all hashes all attributes.
func (s *seeds) all(attrs pcommon.Map) series.Key {
	var sum series.Key
	for name, value := range attrs.All() {
		add(&sum, s.pair(s.name(name), value))
	}
	return sum
}

// slotValues is what a point says of its ends, twice at most: in Istio's labels and in attributes.
type slotValues struct {
	labels, said       [slots]series.Key
	kept               [slots]series.Key
	hasLabel, hasSaid  [slots]bool
	hasValue, keepsOwn [slots]bool
}

// pointKeys returns what a point's series is known by, and what of its labels stays.
//
// Attributes that mesh_topology adds are no part of the identity, because they change when it learns something: the
// same counter would begin anew, and what it counted would count twice. Where it was told to drop Istio's labels,
// attributes stand for them.
func (s *seeds) pointKeys(r *rule, attrs pcommon.Map) (id, want series.Key) {
	var values slotValues
	reported, any := false, false
	for name, value := range attrs.All() {
		hash := s.name(name)
		k := r.key(name, hash)
		if k.class == derived && !k.keep {
			continue
		}
		pair := s.pair(hash, value)
		if k.keep {
			add(&want, pair)
		}
		switch k.class {
		case derived:
		case label:
			any = true
			values.hasLabel[k.slot] = true
			if !nothing(k.slot, value.AsString()) {
				values.hasValue[k.slot], values.keepsOwn[k.slot] = true, k.keep
				values.labels[k.slot], values.kept[k.slot] = s.pair(uint64(k.slot), value), pair
			}
		case said:
			any = true
			values.hasSaid[k.slot], values.said[k.slot] = true, s.pair(uint64(k.slot), value)
		case reporter:
			reported = true
			add(&id, pair)
		case ordinary:
			add(&id, pair)
		}
	}
	if any {
		values.add(reported, &id, &want)
	}
	return id, want
}

func (v *slotValues) add(reported bool, id, want *series.Key) {
	for end := range ends {
		labels := false
		for slot := end * fields; slot < (end+1)*fields; slot++ {
			labels = labels || v.hasLabel[slot]
		}
		for slot := end * fields; slot < (end+1)*fields; slot++ {
			switch {
			case v.hasValue[slot]:
				add(id, v.labels[slot])
				if !v.hasSaid[slot] && !v.keepsOwn[slot] {
					// Nothing else says it.
					add(want, v.kept[slot])
				}
			case !labels && reported && v.hasSaid[slot]:
				add(id, v.said[slot])
			}
		}
	}
}

// pointLabels copies those attributes of a point that stay at a level.
func (s *seeds) pointLabels(r *rule, attrs pcommon.Map, level series.Level, to pcommon.Map) {
	to.EnsureCapacity(attrs.Len())
	if level != series.Full {
		to.PutBool("otel.metric.overflow", true)
	}
	if level == series.Total {
		return
	}
	var hasSaid [slots]bool
	for name := range attrs.All() {
		if k := r.key(name, s.name(name)); k.class == said {
			hasSaid[k.slot] = true
		}
	}
	for name, value := range attrs.All() {
		k := r.key(name, s.name(name))
		keep := k.keep
		if level == series.Topology {
			keep = r.topology.has(name) && !r.except.has(name)
		}
		if keep || (k.class == label && !hasSaid[k.slot] && !nothing(k.slot, value.AsString())) {
			value.CopyTo(to.PutEmpty(name))
		}
	}
}

// What a scraped process is known by. Its other attributes change when the topology learns of it.
var scrapedBy = newNames([]string{"service.instance.id", "server.address", "server.port", "url.scheme"})

// What mesh_topology may add to a resource.
var derivedResource = newNames([]string{
	"cloud.*", "mesh.*", "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.job.name",
	"k8s.cronjob.name", "k8s.node.name", "k8s.cluster.name", "service.version",
})

const podName = "k8s.pod.name"

// process returns what the process is known by that has the resource, and which pod it is.
func (s *seeds) process(attrs pcommon.Map, scraped bool) (id, pod series.Key) {
	found := false
	for name, value := range attrs.All() {
		if name == podName {
			pod = s.pair(s.name(name), value)
		}
		if scraped && scrapedBy.has(name) {
			found = true
			add(&id, s.pair(s.name(name), value))
		}
	}
	if found {
		return id, pod
	}
	for name, value := range attrs.All() {
		if !derivedResource.has(name) {
			add(&id, s.pair(s.name(name), value))
		}
	}
	return id, pod
}

const scraper = "receiver/prometheusreceiver"

func isScraped(scope string) bool { return strings.HasSuffix(scope, scraper) }

// topology hashes the labels that stay where the budget is spent.
func (s *seeds) topology(r *rule, attrs pcommon.Map) series.Key {
	kept := pcommon.NewMap()
	s.pointLabels(r, attrs, series.Topology, kept)
	return s.all(kept)
}
