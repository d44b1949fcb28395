// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// ownPrefix begins the attributes that this processor alone writes.
const ownPrefix = "mesh.identity."

// resourceClaims is what a resource says of itself.
type resourceClaims struct {
	// bad is what is wrong with it.
	bad finding
	// cluster is the name that it has, empty if it has none or one that stands for none. said is what stands there.
	cluster, said string
	uid           string
	// named and identified say that the two attributes are there.
	named, identified bool
	// item holds what only items should say.
	item item
}

// resource reads and compares the attributes of a resource.
func (j *judge) resource(attrs pcommon.Map) (r resourceClaims) {
	r.item.j = j
	for key, value := range attrs.All() {
		switch key {
		case clusterKey:
			r.claim(&r.said, &r.named, key, value)
		case uidKey:
			r.claim(&r.uid, &r.identified, key, value)
		default:
			if strings.HasPrefix(key, ownPrefix) || disguised(key) {
				r.flag(malformed, key, value.AsString())
			}
			r.item.look(key, value)
		}
	}
	if !j.isUnset(r.said) || (r.said != "" && j.id.MaySpeakFor(r.said)) {
		r.cluster = r.said
	}
	if r.bad.reason == fine && r.cluster != "" && !j.id.MaySpeakFor(r.cluster) {
		r.bad = finding{foreignCluster, clusterKey, r.cluster}
	}
	if r.bad.reason == fine {
		r.bad = r.item.finding()
	}
	return r
}

// claim reads a text that may stand there once: of two, some readers take the first and others the last.
func (r *resourceClaims) claim(to *string, there *bool, key string, value pcommon.Value) {
	switch {
	case value.Type() == pcommon.ValueTypeEmpty && !*there:
	case value.Type() != pcommon.ValueTypeStr, *there && value.Str() != *to:
		r.flag(malformed, key, value.AsString())
		return
	default:
		*to = value.Str()
	}
	*there = true
}

func (r *resourceClaims) flag(why reason, key, claimed string) {
	if r.bad.reason == fine {
		r.bad = finding{why, key, claimed}
	}
}

// scope compares the attributes of a scope.
func (j *judge) scope(attrs pcommon.Map) finding {
	if attrs.Len() == 0 {
		return finding{}
	}
	i := item{j: j}
	for key, value := range attrs.All() {
		i.look(key, value)
	}
	return i.finding()
}

// base returns what an item of the resource begins with: the resource may name the proxy.
func (r *resourceClaims) base(j *judge) item { return item{j: j, carrier: r.item.carrier} }
