// SPDX-License-Identifier: Apache-2.0

package meshsamplingextension

import (
	"hash/maphash"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// maxTraceEdges is how many edges of one trace are looked at: the first ones that are different.
const maxTraceEdges = 64

// ends are the attributes of an edge: who calls whom, in which clusters. A call that goes to another cluster than usual is on
// another edge, and a new edge is a rare one: the first traces of a failover are kept.
var ends = [...][2]string{
	{"mesh.source.cluster", ""},
	{"mesh.source.namespace", ""},
	{"mesh.source.service", "mesh.source.workload"},
	{"mesh.destination.cluster", "mesh.destination.region"},
	{"mesh.destination.namespace", ""},
	{"mesh.destination.service", "mesh.destination.workload"},
}

// edgesOf appends the edges of a trace. A span that tells no end counts for its service.
func edgesOf(seed maphash.Seed, td ptrace.Traces, into []uint64) []uint64 {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				key := edgeOf(seed, rs.Resource().Attributes(), span.Attributes())
				if key != overflowEdge && !slices.Contains(into, key) {
					into = append(into, key)
				}
				if len(into) >= maxTraceEdges {
					return into
				}
			}
		}
	}
	return into
}

func edgeOf(seed maphash.Seed, resource, span pcommon.Map) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	told := false
	for _, names := range ends {
		v, ok := span.Get(names[0])
		if !ok && names[1] != "" {
			v, ok = span.Get(names[1])
		}
		if ok && v.Type() == pcommon.ValueTypeStr {
			told = true
			h.WriteString(v.Str())
		}
		h.WriteByte(0)
	}
	if !told {
		for _, name := range [...]string{"k8s.cluster.name", "service.namespace", "service.name"} {
			if v, ok := resource.Get(name); ok {
				h.WriteString(v.Str())
			}
			h.WriteByte(1)
		}
	}
	return h.Sum64()
}
