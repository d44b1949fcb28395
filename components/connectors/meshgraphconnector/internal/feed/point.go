// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// reading is what the attributes of a point say.
type reading struct {
	point graph.Point
	// hash is that of the attributes that identify the point.
	hash sum128

	reporter, direction, policy string
	calledName                  string
	sourceBy, destinationBy     string
}

// behindGateway is what mesh_topology says of an end in whose place the evidence names a gateway or waypoint.
var behindGateway = mesh.UnknownBehindGateway.String()

// untold is the status of a point that has none, unlike that of a request which got no answer, which is 0.
const untold = -1

// attributes reads the attributes of a point about an edge.
func (r *reading) attributes(w *walker, attrs pcommon.Map) Outcome {
	*r = reading{}
	r.scan(&w.feed.hasher, attrs)
	p := &r.point
	var ok bool
	if p.Reporter, ok = graph.ParseReporter(r.reporter); !ok {
		return NoReporter
	}
	if p.Reporter == graph.Source && r.sourceBy == behindGateway || p.Reporter == graph.Destination && r.destinationBy == behindGateway {
		return Carrier
	}
	if p.Key.Callee == (graph.Callee{}) && nobodys(r.calledName) {
		p.Key.Callee.Service = r.calledName
	}
	if p.Key.Caller == (graph.Caller{}) && p.Key.Callee == (graph.Callee{}) {
		return NoEnds
	}
	if w.tcp {
		p.Key.Protocol = graph.TCP
	}
	if p.TLS == graph.TLSUnknown {
		// mesh_topology may have been told not to write mesh.tls.
		switch r.policy {
		case "mutual_tls":
			p.TLS = graph.TLSMutual
		case "none":
			p.TLS = graph.TLSNone
		}
	}
	return Taken
}

// toDestination says which way bytes went: the attribute says so, else the name of the metric.
func (r *reading) toDestination(q quantity) bool {
	switch r.direction {
	case "request":
		return true
	case "response":
		return false
	}
	return q == requestBytes
}

// scan reads all attributes once.
func (r *reading) scan(h *hasher, attrs pcommon.Map) {
	p := &r.point
	p.Status, p.GRPC = untold, untold
	for key, value := range attrs.All() {
		f := fieldOf(key)
		if !f.learned() {
			r.hash = r.hash.plus(h.attribute(f, key, value))
		}
		if f == other || f == derived {
			continue
		}
		if place := r.placeOf(f); place != nil {
			*place = value.Str()
			continue
		}
		r.word(f, value)
	}
}

// placeOf is where the text of an attribute goes that is taken as it is.
func (r *reading) placeOf(f field) *string {
	caller, callee := &r.point.Key.Caller, &r.point.Key.Callee
	switch f {
	case sourceCluster:
		return &caller.Cluster
	case sourceRegion:
		return &caller.Region
	case sourceNamespace:
		return &caller.Namespace
	case sourceWorkload:
		return &caller.Workload
	case sourceVersion:
		return &caller.Version
	case destinationCluster:
		return &callee.Cluster
	case destinationRegion:
		return &callee.Region
	case destinationNamespace:
		return &callee.Namespace
	case destinationService:
		return &callee.Service
	case destinationWorkload:
		return &callee.Workload
	case destinationVersion:
		return &callee.Version
	case sourcePrincipal:
		return &r.point.SourcePrincipal
	case destinationPrincipal:
		return &r.point.DestinationPrincipal
	case sourceBy:
		return &r.sourceBy
	case destinationBy:
		return &r.destinationBy
	case direction:
		return &r.direction
	case policy:
		return &r.policy
	case reporter:
		return &r.reporter
	case flags:
		return &r.point.Flags
	case calledName:
		return &r.calledName
	}
	return nil
}

// nobodys says whether Istio's name of a called service is one of those that it has for calls to what the mesh does not know:
// past the mesh, and refused. They are no services, and no gateway's names either; without them what went out and what was
// refused would be one edge.
func nobodys(name string) bool { return name == "PassthroughCluster" || name == "BlackHoleCluster" }

// word reads an attribute that is a word or a number.
func (r *reading) word(f field, value pcommon.Value) {
	p := &r.point
	switch f {
	case meshTLS:
		switch value.Str() {
		case mesh.TLSMutual:
			p.TLS = graph.TLSMutual
		case mesh.TLSNone:
			p.TLS = graph.TLSNone
		}
	case locality:
		switch value.Str() {
		case mesh.SameZone:
			p.Zone = graph.SameZone
		case mesh.CrossZone:
			p.Zone = graph.CrossZone
		}
	case protocol:
		p.Key.Protocol = graph.ParseProtocol(value.Str())
	case code:
		p.Status = status(value)
	case grpcCode:
		p.GRPC = status(value)
	}
}

// status reads a code, which Istio writes as text.
func status(value pcommon.Value) int {
	switch value.Type() {
	case pcommon.ValueTypeInt:
		if n := value.Int(); n >= 0 && n <= 999 {
			return int(n)
		}
	case pcommon.ValueTypeStr:
		if text := value.Str(); len(text) > 0 && len(text) <= 3 {
			if n, err := strconv.ParseUint(text, 10, 16); err == nil {
				return int(n)
			}
		}
	}
	return untold
}
