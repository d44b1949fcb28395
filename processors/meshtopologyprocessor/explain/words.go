// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// reasons say why an end is unknown.
var reasons = map[mesh.Resolution]string{
	mesh.UnknownNoEvidence:       "the item carries nothing about it",
	mesh.UnknownNoAddress:        "there is no address, or one of the proxy itself",
	mesh.UnknownNoNetwork:        "the network the address was seen in is not known",
	mesh.UnknownAddressNotFound:  "no pod, node, service or gateway of that network had the address at the time of the call",
	mesh.UnknownAddressAmbiguous: "more than one pod can have had the address then",
	mesh.UnknownTopologyGap:      "nobody watched the cluster when the address may have changed hands",
	mesh.UnknownNodeAddress:      "it is a node's address",
	mesh.UnknownServiceAddress:   "it is a service's virtual address, which any cluster may have answered",
	mesh.UnknownBehindGateway:    "it is that of a gateway or waypoint which carried the call",
	mesh.UnknownCrossNetwork:     "an east/west gateway saw the address, so it belongs to another network",
	mesh.UnknownNoUpstream:       "the proxy chose no endpoint",
	mesh.UnknownNoCluster:        "the workload or principal is named, its cluster is not",
	mesh.UnknownExternal:         "the call left the mesh",
	mesh.UnknownAmbiguous:        "the evidence fits more than one cluster",
	mesh.UnknownConflict:         "the address contradicts the certificate, and nothing else tells",
}

// advice says what would tell an end that is unknown for a reason.
var advice = map[mesh.Resolution]string{
	mesh.UnknownNoAddress:       "the custom tags mesh.upstream.host and mesh.upstream.workload tell on the span of an outbound sidecar (Istio 1.29); else the other span of the call",
	mesh.UnknownNoNetwork:       "tell who reports: a node id and istio.cluster_id on the item, --pod or --cluster here; or the topology lacks the cluster",
	mesh.UnknownAddressNotFound: "see whether the topology is complete, and whether it was at the time of the call",
	mesh.UnknownNodeAddress:     "the address was translated on the way (externalTrafficPolicy: Local keeps it), or a pod in the host network has it",
	mesh.UnknownBehindGateway:   "the certificate of the caller tells, else the other span of the call",
	mesh.UnknownCrossNetwork:    "the certificate of the caller tells, else the other span of the call",
	mesh.UnknownNoCluster:       "name each cluster's trust domain in the topology, if each has one of its own",
}

// The ends whose evidence is printed, and the reporter.
const (
	reporterSide    = ""
	sourceSide      = "source"
	destinationSide = "destination"
)

// where says where on an item the evidence about an end stands; empty if the clue says so itself.
func where(clue rules.Clue, side string) string {
	stream, ztunnel := "downstream", "src"
	switch side {
	case reporterSide:
		return ""
	case destinationSide:
		stream, ztunnel = "upstream", "dst"
	}
	switch clue {
	case rules.ClueTags:
		return "istio." + side + "_*, ztunnel's " + ztunnel + ".*"
	case rules.CluePeer:
		return "envoy." + stream + "_peer.*"
	case rules.ClueEndpoint:
		return "mesh.upstream.workload"
	case rules.ClueIdentity:
		return "of the " + stream + " peer"
	case rules.ClueAddress:
		return stream
	}
	return ""
}

// field is one part of an end that is known.
type field struct{ name, value string }

func fields(e *mesh.End) []field {
	var out []field
	for _, f := range []field{
		{"cluster", e.Cluster},
		{"region", e.Region},
		{"zone", e.Zone},
		{"network", e.Network},
		{"namespace", e.Namespace},
		{"workload", e.Workload},
		{"service", e.Service},
		{"version", e.Version},
		{"principal", e.Principal},
	} {
		if f.value != "" {
			out = append(out, f)
		}
	}
	return out
}

func describe(e *mesh.End) string {
	known := fields(e)
	words := make([]string, len(known))
	for i, f := range known {
		words[i] = f.name + "=" + f.value
	}
	return strings.Join(words, " ")
}

// outcome says in words what became of a piece of evidence.
func outcome(e *rules.Evidence) string {
	said := describe(&e.Said)
	if e.Clue == rules.ClueReporter && e.Note == "" && e.Outcome == rules.Won {
		return "WON: this end is the reporter"
	}
	switch e.Outcome {
	case rules.Won:
		return "WON: it tells " + said
	case rules.Filled:
		return "filled in: " + said
	case rules.Lost:
		return "lost to " + e.Against.String() + ", with which it agrees: " + said
	case rules.Conflict:
		return "CONFLICT, dropped: " + against(e) + said
	case rules.Carrier:
		return "not an end: a gateway or waypoint that carried the call: " + said
	}
	if e.Why != mesh.UnknownNoEvidence {
		return e.Why.String() + ": " + reasons[e.Why]
	}
	if e.Note != "" {
		return ""
	}
	return "not there"
}

func against(e *rules.Evidence) string {
	if !e.Against.Known() {
		return "it excludes what stronger evidence said: "
	}
	return "it excludes what " + e.Against.String() + ", which is stronger, said: "
}
