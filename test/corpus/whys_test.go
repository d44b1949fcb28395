// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
)

// explanation says of a kind of miss why the evidence is not there, and what would tell.
type explanation struct{ why, tells string }

// clusterOnly are ends of which the cluster is known and the workload is not, by what told the cluster.
var clusterOnly = map[string]explanation{
	"gateway": {
		"the address is that of the gateway into the other network, and every endpoint behind it has it",
		"the other side's span at the hub (`mesh_span_pairing`); the peers' metadata over the access log service",
	},
	"endpoint_metadata": {
		"istiod's metadata of an endpoint in another network has the cluster alone, or names a workload that no inventory has told of",
		"the other side's span at the hub (`mesh_span_pairing`); the peers' metadata over the access log service",
	},
	"trust_domain": {
		"the certificate names an account, whose trust domain is one cluster's; which workload of it called is not in it",
		"the other side's span at the hub; the peers' metadata over the access log service; a service account for each workload",
	},
	"tag": {
		"the proxy names its pod and its cluster; no inventory has told yet which workload the pod is of",
		"the inventory of that cluster",
	},
	"label": {
		"the label names the cluster, and no workload",
		"the labels of the other side's series",
	},
	"span_pair": {
		"the other span of the call names its cluster, and no workload",
		"the inventory of that cluster",
	},
}

// unnamed are ends of which nothing is known, by the reason.
var unnamed = map[string]explanation{
	"no_address": {
		"the span of a request says who sent it to the proxy, and not which endpoint the proxy chose",
		"the custom tags of the guide (Istio 1.29 and newer); the other side's span at the hub (`mesh_span_pairing`); access logs",
	},
	"no_address/waypoint/source": {
		"the span of an attempt says where it went, and not who called",
		"its parent, the span of the request, which has the caller's address",
	},
	"no_address/egress_gateway/source": {
		"the span of an attempt says where it went, and not who called",
		"its parent, the span of the request, which has the caller's address",
	},
	"cross_network": {
		"a gateway between networks passes bytes on: it sees the caller's address, which is of another network, and no certificate",
		"the spans, access logs and metrics of the two sidecars, which it does not have to tell",
	},
	"node_address": {
		"the address is a node's: kube-proxy put it in the place of the caller's, or the pod is in the host network",
		"`externalTrafficPolicy: Local` where a load balancer is in between; the guide's tags or the access log service, which have the peer's certificate",
	},
	"behind_gateway": {
		"the address is that of a gateway between networks, and nothing beside it says who is behind it: several clusters are, or one that nobody described",
		"the guide's tags: the peer's certificate and istiod's metadata; the other side's span at the hub; the inventory of the cluster",
	},
	"address_not_found": {
		"no inventory has told of a pod with that address in the reporter's network",
		"the inventory, a moment later for calls after it; the guide's tag `mesh.upstream.workload`",
	},
	"address_ambiguous": {
		"the address changed hands within the seconds around the call",
		"the guide's tag `mesh.upstream.workload`; the peers' metadata over the access log service",
	},
	"no_cluster": {
		"what is named is in several clusters, and nothing says which",
		"`clusterID` of each istiod; an agent in each cluster, which knows its name",
	},
	"no_network": {
		"the reporter's network is not known, so an address of it could be anybody's",
		"an agent in each cluster; `topology.istio.io/network`",
	},
	"no_evidence": {
		"the item has nothing about this end",
		"an agent in front, which knows who sent it; the labels of the guide",
	},
	"external": {
		"the address is none of the mesh as far as the collector knows",
		"the inventory of the cluster, which has the services' addresses",
	},
	"service_address": {
		"the call went to a service's virtual address past the mesh, and kube-proxy chose the pod",
		"a port that the mesh knows, so that the proxy chooses",
	},
	"conflict": {
		"two pieces of evidence exclude each other",
		"the finding that the extension reports about it",
	},
	"ambiguous": {
		"two networks have a gateway of that address",
		"addresses of their own for the gateways",
	},
	"ambiguous/ingress_gateway/source": {
		"the client's address is also a pod's, so that the call may have come from outside of the mesh or from within",
		"the guide's tag `mesh.downstream.principal`: who is in the mesh has a certificate",
	},
	"topology_gap": {
		"nobody watched the cluster at the time of the call",
		"an inventory receiver that runs without gaps",
	},
}

// explain returns what is known of a kind of miss; empty for one that nobody explained.
func explain(role encode.Role, m miss) explanation {
	if m.Named == "cluster" {
		return clusterOnly[m.Reason]
	}
	reason := strings.TrimPrefix(m.Reason, "unknown:")
	if e, ok := unnamed[reason+"/"+string(role)+"/"+m.End]; ok {
		return e
	}
	return unnamed[reason]
}

func why(_ string, role encode.Role, m miss) string { return explain(role, m).why }
