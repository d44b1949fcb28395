// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Ceilings of what a peer may say of itself. Istio's own metadata is about 1 KiB with ten labels.
const (
	maxPeerSize   = 16 << 10
	maxPeerLabels = 128
)

const peerFormat = "Istio peer metadata"

// Errors of the parsers of a [Peer].
var (
	// ErrPeer reports a text that is no peer metadata; the other errors are kinds of it.
	ErrPeer error = &Error{Format: peerFormat}
	// ErrPeerTooLarge reports more than 16 KiB or 128 labels.
	ErrPeerTooLarge error = &Error{Format: peerFormat, Reason: "too_large"}
	// ErrPeerMalformed reports a text that breaks the rules of its own form.
	ErrPeerMalformed error = &Error{Format: peerFormat, Reason: "malformed"}
	// ErrPeerConflict reports a field that is told twice, and differently.
	ErrPeerConflict error = &Error{Format: peerFormat, Reason: "conflict"}
	// ErrPeerEmpty reports a text of the right form that tells nothing.
	ErrPeerEmpty error = &Error{Format: peerFormat, Reason: "empty"}
)

// Peer is what an Istio proxy told the proxy at the other end of a connection about its workload. Values are as the
// peer wrote them, "unknown" included; an empty field was not told. The zero value is ready for use; the Parse methods
// forget what was in it and keep its memory, so that one Peer can read many texts without allocation. Texts are not
// copied: strings of a Peer point into the input.
type Peer struct {
	// Name is the pod's name.
	Name string
	// Namespace is the pod's namespace.
	Namespace string
	// Cluster is the id of the Kubernetes cluster.
	Cluster string
	// Workload is the name of the workload, and Type its kind in lower case and singular: deployment, pod, job, cronjob,
	// statefulset, daemonset or replicaset.
	Workload, Type string
	// Service and Revision are the canonical service and its revision.
	Service, Revision string
	// App and Version are the labels "app" and "version", or Kubernetes' recommended ones.
	App, Version string
	// Identity is the SPIFFE id.
	Identity string
	// Region and Zone are the locality, from Istio 1.29.
	Region, Zone string
	// Owner is the path of the owning object, "kubernetes://apis/apps/v1/namespaces/<ns>/deployments/<name>".
	Owner string
	// Labels are labels of the pod, in the order of their keys.
	Labels []PeerLabel
	// Unknown is the number of further fields, which the Peer has no place for.
	Unknown int
}

// PeerLabel is a label of a peer's pod.
type PeerLabel struct{ Key, Value string }

// Parse reads peer metadata in whichever of the forms it is: [Peer.ParseStruct], [Peer.ParseFlatBuffer],
// [Peer.ParseJSON], [Peer.ParseText], [Peer.ParseBaggage] or [Peer.ParseHeader]. No text is of two forms: a Struct begins
// with its field's tag, 0x0a; a FlatBuffer with the offset of a table, which is a multiple of four; JSON with a brace;
// and the others differ by their first key or have none. The errors are those of the form.
func (p *Peer) Parse(s string) error {
	p.reset()
	switch {
	case s == "":
		return ErrPeerEmpty
	case len(s) > maxPeerSize:
		return ErrPeerTooLarge
	case s[0] == structField:
		return p.ParseStruct(s)
	case s[0] == '{':
		return p.ParseJSON(s)
	case isFlatBuffer(s):
		return p.ParseFlatBuffer(s)
	}
	key, _, pair := strings.Cut(s, "=")
	switch {
	case strings.HasPrefix(key, textLabel) || (pair && p.field(key) != nil):
		return p.ParseText(s)
	case !pair || strings.Trim(s[len(key):], "=") == "":
		return p.ParseHeader(s) // Whose signs are padding.
	default:
		return p.ParseBaggage(s)
	}
}

// reset forgets all but the memory.
func (p *Peer) reset() {
	clear(p.Labels)
	*p = Peer{Labels: p.Labels[:0]}
}

// fail returns the error after forgetting what had been read.
func (p *Peer) fail(err error) error {
	p.reset()
	return err
}

// field returns the place of a field by its name as a filter state object has it, or as node metadata has it
// (envoyproxy/envoy contrib/istio/filters/common, metadata_object.h); nil if there is none.
func (p *Peer) field(name string) *string {
	switch name {
	case "name", "NAME":
		return &p.Name
	case "namespace", "NAMESPACE":
		return &p.Namespace
	case "cluster", "CLUSTER_ID":
		return &p.Cluster
	case "workload", "WORKLOAD_NAME":
		return &p.Workload
	case "type":
		return &p.Type
	case "service":
		return &p.Service
	case "revision":
		return &p.Revision
	case "app":
		return &p.App
	case "version":
		return &p.Version
	case "identity", "IDENTITY":
		return &p.Identity
	case "region", "REGION":
		return &p.Region
	case "availability_zone", "AVAILABILITY_ZONE":
		return &p.Zone
	case "owner", "OWNER":
		return &p.Owner
	}
	return nil
}

// isLabels says whether a field of this name holds the labels.
func isLabels(name string) bool { return name == "labels" || name == "LABELS" }

// set takes a field. A field that tells nothing leaves no trace.
func (p *Peer) set(name, value string) error {
	if !utf8.ValidString(value) || !utf8.ValidString(name) {
		return ErrPeerMalformed
	}
	field := p.field(name)
	if field == nil {
		p.Unknown++
		return nil
	}
	return put(field, value)
}

func put(field *string, value string) error {
	if *field != "" && value != "" && *field != value {
		return ErrPeerConflict
	}
	if value != "" {
		*field = value
	}
	return nil
}

func (p *Peer) addLabel(key, value string) error {
	if !utf8.ValidString(key) || !utf8.ValidString(value) {
		return ErrPeerMalformed
	}
	if key == "" || value == "" {
		return nil
	}
	if len(p.Labels) == maxPeerLabels {
		return ErrPeerTooLarge
	}
	p.Labels = append(p.Labels, PeerLabel{key, value})
	return nil
}

// finish orders the labels and takes from them and from the owner what no field tells, as Envoy does itself
// (convertStructToWorkloadMetadata in metadata_object.cc).
func (p *Peer) finish() error {
	slices.SortFunc(p.Labels, func(a, b PeerLabel) int { return cmp.Compare(a.Key, b.Key) })
	for i := 1; i < len(p.Labels); i++ {
		if p.Labels[i].Key == p.Labels[i-1].Key && p.Labels[i].Value != p.Labels[i-1].Value {
			return p.fail(ErrPeerConflict)
		}
	}
	p.Labels = slices.Compact(p.Labels)
	p.Service = cmp.Or(p.Service, p.Label("service.istio.io/canonical-name"))
	p.Revision = cmp.Or(p.Revision, p.Label("service.istio.io/canonical-revision"))
	p.App = cmp.Or(p.App, p.Label("app.kubernetes.io/name"), p.Label("app"))
	p.Version = cmp.Or(p.Version, p.Label("app.kubernetes.io/version"), p.Label("version"))
	p.Type = cmp.Or(p.Type, ownerKind(p.Owner))
	if p.tellsNothing() {
		return p.fail(ErrPeerEmpty)
	}
	return nil
}

// Label returns the value of a label, "" if there is none.
func (p *Peer) Label(key string) string {
	i, found := slices.BinarySearchFunc(p.Labels, key, func(l PeerLabel, key string) int { return cmp.Compare(l.Key, key) })
	if !found {
		return ""
	}
	return p.Labels[i].Value
}

func (p *Peer) tellsNothing() bool {
	return len(p.Labels) == 0 && cmp.Or(p.Name, p.Namespace, p.Cluster, p.Workload, p.Type, p.Service, p.Revision,
		p.App, p.Version, p.Identity, p.Region, p.Zone, p.Owner) == ""
}

// ownerKind returns the kind of object that an owner's path names, "" if it is none that owns pods.
func ownerKind(owner string) string {
	path, ok := strings.CutPrefix(owner, "kubernetes://apis/")
	if !ok {
		return ""
	}
	end := strings.LastIndexByte(path, '/')
	if end < 0 {
		return ""
	}
	switch path[strings.LastIndexByte(path[:end], '/')+1 : end] {
	case "deployments":
		return "deployment"
	case "statefulsets":
		return "statefulset"
	case "daemonsets":
		return "daemonset"
	case "replicasets":
		return "replicaset"
	case "cronjobs":
		return "cronjob"
	case "jobs":
		return "job"
	case "pods":
		return "pod"
	}
	return ""
}
