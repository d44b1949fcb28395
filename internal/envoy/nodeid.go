// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"net/netip"
	"strings"
)

// ErrNodeID reports that a text is not an Istio node id.
var ErrNodeID error = &Error{Format: "an Istio node id (type~address~pod.namespace~domain)"}

// NodeID is an Istio node id in its parts. Istio sets it as the id of Envoy's node, and Envoy repeats it on every span
// as node_id.
type NodeID struct {
	// Type is the role of the proxy: sidecar, router, waypoint, ztunnel or agentgateway.
	Type string
	// Address is the IP address of the proxy's pod; empty if Istio did not know it at bootstrap.
	Address string
	// Pod is the pod's name; on a virtual machine it is the workload entry's name.
	Pod string
	// Namespace is the pod's namespace; empty if the id does not name one.
	Namespace string
	// Domain is the DNS domain of the proxy, for example "bookinfo.svc.cluster.local"; may be empty.
	Domain string
}

// ParseNodeID splits a node id of the form "sidecar~10.0.0.1~reviews-v1-abc.bookinfo~bookinfo.svc.cluster.local"
// (istio/istio pkg/model/proxy.go, ParseServiceNodeWithMetadata). It returns [ErrNodeID] for anything else, which
// includes the empty text that an Envoy outside Istio reports. It does not allocate.
func ParseNodeID(id string) (NodeID, error) {
	var n NodeID
	var rest, instance string
	var ok bool
	if n.Type, rest, ok = strings.Cut(id, "~"); !ok || !isNodeType(n.Type) {
		return NodeID{}, ErrNodeID
	}
	if n.Address, rest, ok = strings.Cut(rest, "~"); !ok || !isAddressOrEmpty(n.Address) {
		return NodeID{}, ErrNodeID
	}
	if instance, n.Domain, ok = strings.Cut(rest, "~"); !ok || instance == "" || strings.Contains(n.Domain, "~") {
		return NodeID{}, ErrNodeID
	}
	n.Pod = instance
	// A pod name may hold dots, a namespace never does: the last dot is the border.
	if i := strings.LastIndexByte(instance, '.'); i >= 0 {
		n.Pod, n.Namespace = instance[:i], instance[i+1:]
		if n.Pod == "" || n.Namespace == "" {
			return NodeID{}, ErrNodeID
		}
	}
	return n, nil
}

// String returns the node id in Istio's form.
func (n NodeID) String() string {
	instance := n.Pod
	if n.Namespace != "" {
		instance += "." + n.Namespace
	}
	return n.Type + "~" + n.Address + "~" + instance + "~" + n.Domain
}

func isNodeType(s string) bool {
	switch s {
	case "sidecar", "router", "waypoint", "ztunnel", "agentgateway":
		return true
	}
	return false
}

func isAddressOrEmpty(s string) bool {
	if s == "" {
		return true
	}
	// A text longer than any address, or a zoned one, would make netip build an error or a zone on the heap.
	if len(s) > maxAddressLen || strings.IndexByte(s, '%') >= 0 {
		return false
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}
