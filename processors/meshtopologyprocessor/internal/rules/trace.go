// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// Clue is a place where evidence is looked for.
type Clue uint8

// The clues, in the order in which they are mostly tried.
const (
	ClueUnnamed Clue = iota
	// ClueReporter: the end is the reporter's own.
	ClueReporter
	// ClueFlags: the response flags, and an upstream host that is written as none.
	ClueFlags
	// ClueTags: the proxy's tags about the end.
	ClueTags
	// CluePod: the pod that tags or metadata name.
	CluePod
	// CluePeer: the metadata that the proxies exchanged.
	CluePeer
	// ClueEndpoint: istiod's metadata of the endpoint.
	ClueEndpoint
	// ClueIdentity: the identity in the certificate.
	ClueIdentity
	// ClueAddress: the address, looked up in the reporter's network.
	ClueAddress
	// ClueGateway: the east/west gateway that has the address.
	ClueGateway
	// ClueTrustDomain: the cluster that alone has the identity's trust domain.
	ClueTrustDomain
	// ClueCalled: the host in the name of the Envoy cluster.
	ClueCalled
	// ClueLabels: the labels of an Istio metric.
	ClueLabels
	// ClueStamped: what an earlier mesh_topology processor stamped.
	ClueStamped
	// ClueTopology: what the topology knows of the cluster and workload that are told by now.
	ClueTopology
)

var clueWords = [...]string{
	ClueUnnamed:     "evidence",
	ClueReporter:    "reporter",
	ClueFlags:       "response flags",
	ClueTags:        "tags",
	CluePod:         "named pod",
	CluePeer:        "peer metadata",
	ClueEndpoint:    "endpoint metadata",
	ClueIdentity:    "certificate",
	ClueAddress:     "address",
	ClueGateway:     "gateway address",
	ClueTrustDomain: "trust domain",
	ClueCalled:      "called host",
	ClueLabels:      "labels",
	ClueStamped:     "earlier stamp",
	ClueTopology:    "topology",
}

// String returns the clue in words.
func (c Clue) String() string {
	if int(c) >= len(clueWords) {
		return clueWords[ClueUnnamed]
	}
	return clueWords[c]
}

// Outcome is what became of a piece of evidence.
type Outcome uint8

// The outcomes.
const (
	// Nothing: there is no such evidence, or it tells nothing; see [Evidence.Why].
	Nothing Outcome = iota
	// Won: it told the cluster of the end.
	Won
	// Filled: stronger evidence told the cluster, or none did, and this added what was missing.
	Filled
	// Lost: it agrees with stronger evidence and adds nothing.
	Lost
	// Conflict: it excludes what stronger evidence said, and was dropped.
	Conflict
	// Carrier: it names a gateway or waypoint that carried the call and is no end of it.
	Carrier
	// Overruled: it is proven and excludes what stronger evidence said, which was dropped with all that it told.
	Overruled
)

var outcomeWords = [...]string{
	Nothing: "nothing", Won: "won", Filled: "filled", Lost: "lost", Conflict: "conflict", Carrier: "carrier", Overruled: "overruled",
}

// String returns the outcome in one word.
func (o Outcome) String() string {
	if int(o) >= len(outcomeWords) {
		return outcomeWords[Nothing]
	}
	return outcomeWords[o]
}

// Evidence is one piece of evidence about an end: what was tried, what it said, and what became of it.
type Evidence struct {
	Clue    Clue
	Outcome Outcome
	// By is how a won end is stamped; unknown for evidence that cannot tell a cluster.
	By mesh.Resolution
	// Said is what it said of the end.
	Said mesh.End
	// Looked is the address that was looked up and Network the network it was looked up in; empty for others.
	Looked, Network string
	// Against is what told the cluster already, for evidence that was lost or in conflict.
	Against mesh.Resolution
	// Why is the reason that it gave for an unknown end.
	Why mesh.Resolution
	// Note says more, in words.
	Note string
}

// EndTrace is what was tried to tell one end, in order. A nil EndTrace records nothing.
type EndTrace struct{ Tried []Evidence }

// Trace records how one verdict came about. A nil Trace records nothing: that is how production runs. The zero value is
// ready; it is not for concurrent use.
type Trace struct {
	// Near, Source and Destination are what was tried to tell the reporter and the two ends.
	Near, Source, Destination EndTrace
	// Role is what the reporter was in the call.
	Role string
	// Network is the one that addresses were looked up in.
	Network string
}

// Reset makes the trace ready for the next item. What was recorded of the reporter stays.
func (t *Trace) Reset() {
	if t != nil {
		t.Source, t.Destination, t.Role, t.Network = EndTrace{}, EndTrace{}, "", ""
	}
}

var roleWords = [...]string{
	unclear: "unclear", calledHere: "at the called end", calledFromHere: "at the calling end", carriedHere: "in the middle",
}

func (t *Trace) begin(r role, j *judge) {
	if t == nil {
		return
	}
	t.Reset()
	t.Role, t.Network = roleWords[r], strings.TrimPrefix(j.network, "\x00")
}

func (t *Trace) beginLabels(reporter string) {
	if t == nil {
		return
	}
	t.Reset()
	switch reporter {
	case "source":
		t.Role = roleWords[calledFromHere]
	case "destination":
		t.Role = roleWords[calledHere]
	default:
		t.Role = roleWords[carriedHere]
	}
}

func (t *Trace) source() *EndTrace {
	if t == nil {
		return nil
	}
	return &t.Source
}

func (t *Trace) destination() *EndTrace {
	if t == nil {
		return nil
	}
	return &t.Destination
}

func (t *Trace) reporter() *EndTrace {
	if t == nil {
		return nil
	}
	return &t.Near
}

// near records that the end is the reporter.
func (t *EndTrace) near(n *Near) {
	if t == nil {
		return
	}
	e := Evidence{Clue: ClueReporter, By: n.By, Said: n.End}
	if n.By.Known() {
		e.Outcome = Won
	} else {
		e.Why = n.By
	}
	t.Tried = append(t.Tried, e)
}

func (t *EndTrace) reset() {
	if t != nil {
		t.Tried = nil
	}
}

// claims records which clusters the evidence about the reporter names.
func (t *EndTrace) claims(r *Reporter, cluster string, by mesh.Resolution) {
	if t == nil {
		return
	}
	add := func(what, name string, by mesh.Resolution) {
		e := Evidence{Clue: ClueReporter, Note: what, By: by, Said: mesh.End{Cluster: name}}
		switch name {
		case "":
			return
		case cluster:
			e.Outcome = Won
		case DefaultClusterID:
			e.Outcome, e.Note = Nothing, what+": the id of every Istio whose owner set none; no cluster of the topology has this name"
		default:
			e.Outcome, e.Against = Conflict, by
		}
		t.Tried = append(t.Tried, e)
	}
	add("resource attribute k8s.cluster.name", known(r.Cluster), by)
	add("tag istio.cluster_id", known(r.TagCluster), mesh.ByTag)
	if known(r.Cluster) == "" && known(r.TagCluster) == "" {
		add("the cluster this collector was told to be in", r.LocalCluster, by)
	}
}

// found records the look-up of the reporter's pod.
func (t *EndTrace) found(n *Near, r *Reporter, pod string) {
	if t == nil {
		return
	}
	e := Evidence{Clue: CluePod, Looked: pod}
	if pod == "" {
		e.Clue = ClueAddress
		if r.Address.IsValid() {
			e.Looked = r.Address.String()
		}
	}
	switch {
	case n.Pod != nil:
		e.Outcome, e.Said = Filled, n.Pod.End()
	case e.Looked == "":
		e.Note = "neither a pod's name nor an address"
	case n.Conflict:
		e.Outcome, e.Note = Conflict, "a pod of this name or address is in another cluster, or has another address"
	default:
		e.Note = "the topology knows no such pod at that time"
	}
	t.Tried = append(t.Tried, e)
}

// retract records that what won so far was dropped.
func (t *EndTrace) retract() {
	if t == nil {
		return
	}
	for i := range t.Tried {
		if t.Tried[i].Outcome == Won {
			t.Tried[i].Outcome = Conflict
		}
	}
}

// note records something in words.
func (t *EndTrace) note(clue Clue, text string) {
	if t != nil {
		t.Tried = append(t.Tried, Evidence{Clue: clue, Note: text})
	}
}

// fromTopology records what the topology added.
func (t *EndTrace) fromTopology(before, after *mesh.End) {
	if t != nil && *before != *after {
		t.Tried = append(t.Tried, Evidence{Clue: ClueTopology, Outcome: Filled, Said: added(before, after)})
	}
}

// added returns what after has and before has not.
func added(before, after *mesh.End) (d mesh.End) {
	pick := func(field *string, was, is string) {
		if was == "" {
			*field = is
		}
	}
	pick(&d.Cluster, before.Cluster, after.Cluster)
	pick(&d.Region, before.Region, after.Region)
	pick(&d.Zone, before.Zone, after.Zone)
	pick(&d.Network, before.Network, after.Network)
	pick(&d.Namespace, before.Namespace, after.Namespace)
	pick(&d.Workload, before.Workload, after.Workload)
	pick(&d.Service, before.Service, after.Service)
	pick(&d.Version, before.Version, after.Version)
	pick(&d.Principal, before.Principal, after.Principal)
	return d
}

// merged records what became of an earlier processor's stamp.
func (t *EndTrace) merged(fresh, stamped *mesh.End, by, stampedBy mesh.Resolution) {
	if t == nil || (*stamped == (mesh.End{}) && stampedBy == mesh.UnknownNoEvidence) {
		return
	}
	e := Evidence{Clue: ClueStamped, By: stampedBy, Said: *stamped}
	if !stampedBy.Known() {
		e.Why = stampedBy
	}
	clash := fresh.Contradicts(stamped)
	switch {
	case by.Stronger(stampedBy) && clash:
		e.Outcome, e.Against = Conflict, by
	case by.Stronger(stampedBy):
		e.Outcome, e.Against = Lost, by
	case stampedBy.Known():
		e.Outcome = Won
		if clash {
			e.Note = "what was found now excludes it and is weaker"
		}
	default:
		e.Outcome = Filled
	}
	t.Tried = append(t.Tried, e)
}
