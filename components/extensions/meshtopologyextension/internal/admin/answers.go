// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

type overview struct {
	MeshID     string  `json:"mesh_id"`
	Built      string  `json:"built"`
	AgeSeconds float64 `json:"age_seconds"`
	Counts     counts  `json:"counts"`
	// StaleClusters and Findings are the ones that go on now.
	StaleClusters []string       `json:"stale_clusters"`
	Findings      map[string]int `json:"findings"`
	Status
}

type counts struct {
	Clusters  int `json:"clusters"`
	Nodes     int `json:"nodes"`
	Workloads int `json:"workloads"`
	Services  int `json:"services"`
	Gateways  int `json:"gateways"`
	Pods      int `json:"pods"`
	EndedPods int `json:"ended_pods"`
}

func (h *handler) overview(*http.Request) (any, error) {
	s := h.Snapshot()
	stats := s.Stats()
	out := overview{
		MeshID: meshID(s), Built: stamp(s.Built()), AgeSeconds: h.age(s.Built()),
		Counts: counts{
			Clusters: stats.Clusters, Nodes: stats.Nodes, Workloads: stats.Workloads, Services: stats.Services,
			Gateways: stats.Gateways, Pods: stats.Pods, EndedPods: stats.Ended,
		},
		StaleClusters: []string{}, Findings: map[string]int{}, Status: h.Status(),
	}
	for c := range s.Clusters() {
		if _, stale := c.StaleSince(); stale {
			out.StaleClusters = append(out.StaleClusters, c.Name)
		}
	}
	for _, f := range h.Findings() {
		if f.Resolved.IsZero() {
			out.Findings[f.Kind]++
		}
	}
	return out, nil
}

// meshID returns the mesh's id: that of the clusters if they agree on one.
func meshID(s *topology.Snapshot) string {
	id := s.MeshID()
	for c := range s.Clusters() {
		switch own := c.Facts().MeshID; {
		case id == "":
			id = own
		case own != "" && own != id:
			return ""
		}
	}
	return id
}

type clusterSummary struct {
	Name        string `json:"name"`
	UID         string `json:"uid"`
	Source      string `json:"source"`
	Region      string `json:"region"`
	Network     string `json:"network"`
	TrustDomain string `json:"trust_domain"`
	// Confirmed is up to when all is known, by the source's clock.
	Confirmed  string  `json:"confirmed"`
	AgeSeconds float64 `json:"age_seconds"`
	Stale      bool    `json:"stale"`
	StaleSince string  `json:"stale_since,omitempty"`
	Pods       int     `json:"pods"`
	EndedPods  int     `json:"ended_pods"`
	Nodes      int     `json:"nodes"`
	Services   int     `json:"services"`
	Gateways   int     `json:"gateways"`
}

func (h *handler) summary(s *topology.Snapshot, c *topology.Cluster) clusterSummary {
	out := clusterSummary{
		Name: c.Name, UID: c.Facts().UID, Source: h.Source(c.Name), Region: c.Region, Network: networkName(c.Network), TrustDomain: c.TrustDomain,
		Confirmed: stamp(c.Confirmed()), AgeSeconds: h.age(c.Confirmed()),
	}
	if since, stale := c.StaleSince(); stale {
		out.Stale, out.StaleSince = true, stamp(since)
	}
	for p := range s.Pods(c.Name) {
		if p.Ended() {
			out.EndedPods++
		} else {
			out.Pods++
		}
	}
	for range s.Nodes(c.Name) {
		out.Nodes++
	}
	for range s.Services(c.Name) {
		out.Services++
	}
	for range s.Gateways(c.Name) {
		out.Gateways++
	}
	return out
}

func (h *handler) clusters(*http.Request) (any, error) {
	out := struct {
		Clusters []clusterSummary `json:"clusters"`
		LeftOut  int              `json:"left_out"`
	}{Clusters: []clusterSummary{}}
	s := h.Snapshot()
	for c := range s.Clusters() {
		if len(out.Clusters) == MaxItems {
			out.LeftOut++
			continue
		}
		out.Clusters = append(out.Clusters, h.summary(s, c))
	}
	return out, nil
}

type clusterDetail struct {
	clusterSummary
	Zones             []string       `json:"zones"`
	Provider          string         `json:"provider"`
	Platform          string         `json:"platform"`
	MeshID            string         `json:"mesh_id"`
	KubernetesVersion string         `json:"kubernetes_version"`
	Istio             []revision     `json:"istio"`
	PodCIDRs          []string       `json:"pod_cidrs"`
	GatewayList       []gateway      `json:"gateway_list"`
	NodeList          []node         `json:"node_list"`
	Failovers         []failover     `json:"failovers"`
	LeftOut           map[string]int `json:"left_out"`
}

type revision struct {
	Revision string   `json:"revision"`
	Version  string   `json:"version"`
	Tags     []string `json:"tags"`
}

type gateway struct {
	ID        string   `json:"id"`
	Network   string   `json:"network"`
	Addresses []string `json:"addresses"`
	Port      uint16   `json:"port"`
	Remote    bool     `json:"remote"`
}

type node struct {
	Name      string   `json:"name"`
	Region    string   `json:"region"`
	Zone      string   `json:"zone"`
	Addresses []string `json:"addresses"`
}

type failover struct {
	Namespace        string   `json:"namespace"`
	Name             string   `json:"name"`
	Host             string   `json:"host"`
	From             []string `json:"from"`
	To               []string `json:"to"`
	Priority         []string `json:"priority"`
	Disabled         bool     `json:"disabled"`
	OutlierDetection bool     `json:"outlier_detection"`
}

func (h *handler) cluster(r *http.Request) (any, error) {
	s, name := h.Snapshot(), r.PathValue("name")
	c, ok := s.Cluster(name)
	if !ok {
		return nil, missing("no cluster is named %q; /topology/clusters lists those there are", short(name))
	}
	facts := c.Facts()
	out := clusterDetail{
		clusterSummary: h.summary(s, c), Zones: list(facts.Zones), Provider: c.Provider, Platform: c.Platform, MeshID: facts.MeshID,
		KubernetesVersion: facts.KubernetesVersion, Istio: []revision{}, PodCIDRs: []string{},
		GatewayList: []gateway{}, NodeList: []node{}, Failovers: []failover{}, LeftOut: map[string]int{},
	}
	for _, i := range facts.Istio {
		out.Istio = append(out.Istio, revision{Revision: i.Revision, Version: i.Version, Tags: list(i.Tags)})
	}
	for _, prefix := range facts.PodCIDRs {
		out.PodCIDRs = append(out.PodCIDRs, prefix.String())
	}
	for g := range s.Gateways(name) {
		out.GatewayList = append(out.GatewayList, gateway{
			ID: g.ID, Network: networkName(g.Network), Addresses: texts(g.Spec().Addresses), Port: g.Port, Remote: g.Remote,
		})
	}
	for n := range s.Nodes(name) {
		region := n.Region
		if region == "" {
			region = c.Region
		}
		out.NodeList = append(out.NodeList, node{Name: n.Name, Region: region, Zone: n.Zone, Addresses: texts(n.Spec().Addresses)})
	}
	slices.SortFunc(out.NodeList, func(a, b node) int { return cmp.Compare(a.Name, b.Name) })
	for f := range s.Failovers(name) {
		out.Failovers = append(out.Failovers, failover{
			Namespace: f.Namespace, Name: f.Name, Host: f.Host, From: list(f.From), To: list(f.To), Priority: list(f.Priority),
			Disabled: f.Disabled, OutlierDetection: f.OutlierDetection,
		})
	}
	out.Zones = cut(out.Zones, "zones", out.LeftOut)
	out.PodCIDRs = cut(out.PodCIDRs, "pod_cidrs", out.LeftOut)
	out.Istio = cut(out.Istio, "istio", out.LeftOut)
	out.GatewayList = cut(out.GatewayList, "gateway_list", out.LeftOut)
	out.NodeList = cut(out.NodeList, "node_list", out.LeftOut)
	out.Failovers = cut(out.Failovers, "failovers", out.LeftOut)
	return out, nil
}

type finding struct {
	Kind     string `json:"kind"`
	Severity string `json:"severity"`
	Cluster  string `json:"cluster"`
	Subject  string `json:"subject"`
	Detail   string `json:"detail"`
	First    string `json:"first_seen"`
	Last     string `json:"last_seen"`
	Count    uint64 `json:"count"`
	Ongoing  bool   `json:"ongoing"`
	Resolved string `json:"resolved,omitempty"`
}

func (h *handler) findings(r *http.Request) (any, error) {
	kind, cluster := r.URL.Query().Get("kind"), r.URL.Query().Get("cluster")
	out := struct {
		Findings []finding `json:"findings"`
	}{[]finding{}}
	for _, f := range h.Findings() {
		if (kind != "" && f.Kind != kind) || (cluster != "" && f.Cluster != cluster) {
			continue
		}
		out.Findings = append(out.Findings, finding{
			Kind: f.Kind, Severity: f.Severity.String(), Cluster: f.Cluster, Subject: f.Subject, Detail: f.Detail,
			First: stamp(f.First), Last: stamp(f.Last), Count: f.Count, Ongoing: f.Resolved.IsZero(), Resolved: stamp(f.Resolved),
		})
	}
	return out, nil
}

// age returns how many seconds ago a time was; 0 if it is not known, or ahead because clocks differ.
func (h *handler) age(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(h.Now().Sub(t), 0).Round(time.Millisecond).Seconds()
}

// stamp writes a time; empty for the zero time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// networkName is the network as the configuration has it: empty for one that a cluster has for itself.
func networkName(name string) string {
	if strings.HasPrefix(name, "\x00") {
		return ""
	}
	return name
}

// list makes a list that is empty in JSON, not null.
func list(s []string) []string { return append([]string{}, s...) }

// texts spells out addresses and the like.
func texts[T interface{ String() string }](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.String()
	}
	return out
}

// cut keeps a list at MaxItems and notes how many were left out.
func cut[T any](s []T, name string, leftOut map[string]int) []T {
	if len(s) > MaxItems {
		leftOut[name] = len(s) - MaxItems
		return s[:MaxItems]
	}
	return s
}

// short keeps what a client wrote from filling the answer.
func short(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
