// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/hex"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// pod is one tenancy: a pod for as long as it has the same addresses.
type pod struct {
	Cluster     string   `json:"cluster"`
	Namespace   string   `json:"namespace"`
	Name        string   `json:"name"`
	UID         string   `json:"uid"`
	Addresses   []string `json:"addresses"`
	HostNetwork bool     `json:"host_network"`
	Workload    string   `json:"workload"`
	Kind        string   `json:"kind"`
	Service     string   `json:"service"`
	Version     string   `json:"version"`
	Principal   string   `json:"principal"`
	Waypoint    bool     `json:"waypoint"`
	Node        string   `json:"node"`
	Region      string   `json:"region"`
	Zone        string   `json:"zone"`
	Network     string   `json:"network"`
	// Since and Seen bound when the pod got its addresses; empty if it had them always.
	Since string `json:"since"`
	Seen  string `json:"seen"`
	// Ended says that it gave them up, EndedEarliest and EndedLatest bound when.
	Ended         bool   `json:"ended"`
	EndedEarliest string `json:"ended_earliest,omitempty"`
	EndedLatest   string `json:"ended_latest,omitempty"`
	// Gap says that between the two others may have had the addresses unseen.
	Gap bool `json:"gap"`
}

func podOf(p *topology.Pod) pod {
	end := p.End()
	out := pod{
		Cluster: end.Cluster, Namespace: end.Namespace, Name: p.Name, UID: uid(p.UID()), Addresses: texts(p.Addresses()),
		HostNetwork: p.HostNetwork(), Workload: end.Workload, Kind: p.Workload.Kind, Service: end.Service, Version: end.Version,
		Principal: end.Principal, Waypoint: p.Workload.Waypoint, Region: end.Region, Zone: end.Zone, Network: end.Network, Ended: p.Ended(),
	}
	if p.Node != nil {
		out.Node = p.Node.Name
	}
	since, seen := p.Since()
	out.Since, out.Seen = stamp(since), stamp(seen)
	earliest, latest, gap := p.Until()
	out.EndedEarliest, out.EndedLatest, out.Gap = stamp(earliest), stamp(latest), gap
	return out
}

// uid writes a uid as Kubernetes does; empty for one that is not known.
func uid(u topology.UID) string {
	if u == (topology.UID{}) {
		return ""
	}
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

type addressAnswer struct {
	Address string `json:"address"`
	// At is the time that was asked about; empty for now.
	At       string            `json:"at"`
	Networks []addressInPlaces `json:"networks"`
}

// addressInPlaces is what an address stands for in one network.
type addressInPlaces struct {
	Network string `json:"network"`
	// Clusters are those whose pods are in the network.
	Clusters []string `json:"clusters"`
	// Answer is what a look-up comes to: found, not_found, ambiguous, gap or shared; Pod the one that is found.
	Answer string `json:"answer"`
	Pod    *pod   `json:"pod,omitempty"`
	// Node has the address itself.
	Node string `json:"node,omitempty"`
	// History holds all tenancies that are known, the latest first.
	History []pod `json:"history"`
	LeftOut int   `json:"left_out"`
}

// address answers who has and had an address: in the network that is asked for, or in all.
func (h *handler) address(r *http.Request) (any, error) {
	query := r.URL.Query()
	address, err := netip.ParseAddr(query.Get("address"))
	if err != nil || address.Zone() != "" {
		return nil, bad("write an IP address without port or mask, as in /topology/address?address=10.1.0.31")
	}
	at, err := timeOf(query.Get("at"))
	if err != nil {
		return nil, err
	}
	s := h.Snapshot()
	var order []string
	members := map[string][]string{}
	for c := range s.Clusters() {
		if (query.Has("network") && networkName(c.Network) != query.Get("network")) || (query.Get("cluster") != "" && c.Name != query.Get("cluster")) {
			continue
		}
		if members[c.Network] == nil {
			order = append(order, c.Network)
		}
		members[c.Network] = append(members[c.Network], c.Name)
	}
	if network := query.Get("network"); network != "" && members[network] == nil && query.Get("cluster") == "" {
		// Pods may be in a network that is no cluster's own.
		order = append(order, network)
	}
	if len(order) == 0 {
		return nil, missing("no cluster is in that network or has that name; /topology/clusters lists names and networks, and without " +
			"'network' and 'cluster' all networks are searched")
	}
	out := addressAnswer{Address: address.String(), At: stamp(at), Networks: []addressInPlaces{}}
	everywhere := !query.Has("network") && !query.Has("cluster")
	for _, network := range order {
		found := addressIn(s, network, address, at)
		found.Clusters = list(members[network])
		if everywhere && found.Answer == topology.NotFound.String() && len(found.History) == 0 {
			continue
		}
		if len(out.Networks) < MaxItems {
			out.Networks = append(out.Networks, found)
		}
	}
	return out, nil
}

func addressIn(s *topology.Snapshot, network string, address netip.Addr, at time.Time) addressInPlaces {
	p, how := s.At(at).ByAddress(network, address)
	out := addressInPlaces{Network: networkName(network), Answer: how.String(), History: []pod{}}
	if how == topology.Found {
		holder := podOf(p)
		out.Pod = &holder
	}
	if n, ok := s.NodeAt(network, address); ok {
		out.Node = n.Name
	}
	for _, p := range s.History(network, address) {
		if len(out.History) == MaxItems {
			out.LeftOut++
			continue
		}
		out.History = append(out.History, podOf(p))
	}
	return out
}

// pod answers all tenancies of one pod name.
func (h *handler) pod(r *http.Request) (any, error) {
	query := r.URL.Query()
	namespace, name, only := query.Get("namespace"), query.Get("name"), query.Get("cluster")
	if namespace == "" || name == "" {
		return nil, bad("write namespace and name, as in /topology/pod?cluster=aks-westeurope&namespace=bookinfo&name=reviews-v1-0; cluster may be left out")
	}
	at, err := timeOf(query.Get("at"))
	if err != nil {
		return nil, err
	}
	s := h.Snapshot()
	if _, ok := s.Cluster(only); only != "" && !ok {
		return nil, missing("no cluster is named %q; /topology/clusters lists those there are", short(only))
	}
	out := struct {
		At string `json:"at"`
		// Pods are those that had the name at the time, one of each cluster; History all that are known.
		Pods    []pod `json:"pods"`
		History []pod `json:"history"`
		LeftOut int   `json:"left_out"`
	}{At: stamp(at), Pods: []pod{}, History: []pod{}}
	for c := range s.Clusters() {
		if only != "" && c.Name != only {
			continue
		}
		if p, ok := s.At(at).ByPod(c.Name, namespace, name); ok {
			out.Pods = append(out.Pods, podOf(p))
		}
		for p := range s.Pods(c.Name) {
			if p.Name == name && p.Workload.Namespace == namespace {
				out.History = append(out.History, podOf(p))
			}
		}
	}
	slices.SortStableFunc(out.History, func(a, b pod) int { return -compareTimes(a, b) })
	if len(out.History) > MaxItems {
		out.LeftOut = len(out.History) - MaxItems
		out.History = out.History[:MaxItems]
	}
	if len(out.History) == 0 {
		return nil, missing("no pod %s/%s is known, nor was one that ended within 'history'; mind that names differ between replicas", short(namespace), short(name))
	}
	return out, nil
}

// compareTimes orders tenancies by when they began, then by cluster.
func compareTimes(a, b pod) int {
	x, _ := time.Parse(time.RFC3339Nano, a.Since)
	y, _ := time.Parse(time.RFC3339Nano, b.Since)
	return x.Compare(y)
}

// timeOf reads a time of a query; the zero time if it is empty.
func timeOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, bad("'at' is no time; write one such as 2026-01-31T12:00:00.5Z (a + in it as %%2B), or leave it out for now")
	}
	return at, nil
}
