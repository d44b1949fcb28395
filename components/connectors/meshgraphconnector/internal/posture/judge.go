// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// judge compares the identities of an interval with the topology.
type judge struct {
	known *topology.Snapshot // nil for none
	at    time.Time
	// domains are the clusters that declare a trust domain.
	domains map[string][]string
	// seen are the clusters from which an identity was seen, proven those identities that were on an edge with mutual TLS.
	seen   map[string]map[string]*IdentityCluster
	proven map[string]bool
	// parsed are the principals that were read.
	parsed   map[string]envoy.SPIFFE
	findings map[subject]*Finding
	summary  *Summary
}

// subject is what makes two findings one.
type subject struct {
	kind                                    Kind
	principal, cluster, namespace, workload string
}

// place is an end of an edge whose identities are judged.
type place struct {
	cluster, namespace, workload string
	mutual                       bool
}

func newJudge(s *graph.Snapshot, known *topology.Snapshot, summary *Summary) *judge {
	j := &judge{
		known: known, at: s.End, summary: summary, domains: map[string][]string{}, seen: map[string]map[string]*IdentityCluster{},
		proven: map[string]bool{}, parsed: map[string]envoy.SPIFFE{}, findings: map[subject]*Finding{},
	}
	if known != nil {
		for c := range known.Clusters() {
			if c.TrustDomain != "" {
				j.domains[c.TrustDomain] = append(j.domains[c.TrustDomain], c.Name)
			}
		}
	}
	return j
}

// identity judges an identity of an end.
func (j *judge) identity(i *graph.Identity, p place) {
	id := j.read(i.Principal)
	switch {
	case j.at.Sub(i.Last) > Fresh:
		j.summary.Unjudged[Old]++
	case id.Namespace == "":
		j.summary.Unjudged[NoIdentity]++
	case carrier(id.ServiceAccount):
		j.summary.Unjudged[Carrier]++
	case p.cluster == "":
		j.summary.Unjudged[NoCluster]++
		j.namespace(i, id, p)
	default:
		j.see(i, p.cluster)
		j.proven[i.Principal] = j.proven[i.Principal] || p.mutual
		j.namespace(i, id, p)
		j.domain(i, id, p)
		j.account(i, id, p)
	}
}

func (j *judge) read(principal string) envoy.SPIFFE {
	id, ok := j.parsed[principal]
	if !ok {
		// What cannot be read is not of Istio's form either.
		id, _ = envoy.ParseSPIFFE(principal)
		j.parsed[principal] = id
	}
	return id
}

// carrier says whether an account is one of a gateway between networks or of a waypoint, as Istio and its charts call them.
// Such a one is never the end of a call: what carries its name was not resolved.
func carrier(account string) bool {
	_, east, found := strings.Cut(account, "east")
	return account == "waypoint" || strings.HasSuffix(account, "-waypoint") ||
		found && (strings.HasPrefix(east, "west") || strings.HasPrefix(east, "-west")) ||
		strings.HasPrefix(account, "cross-network-gateway")
}

func (j *judge) see(i *graph.Identity, cluster string) {
	clusters := j.seen[i.Principal]
	if clusters == nil {
		clusters = map[string]*IdentityCluster{}
		j.seen[i.Principal] = clusters
	}
	c := clusters[cluster]
	if c == nil {
		c = &IdentityCluster{Cluster: cluster}
		clusters[cluster] = c
	}
	c.Edges++
	c.Requests = plus(c.Requests, i.Requests)
	if i.Last.After(c.Last) {
		c.Last = i.Last
	}
}

// namespace needs no topology: both names are in the telemetry. Where only a service was named, its namespace need not be
// that of who answered.
func (j *judge) namespace(i *graph.Identity, id envoy.SPIFFE, p place) {
	if p.namespace == "" || p.workload == "" || p.namespace == id.Namespace {
		return
	}
	j.find(Namespace, i, p, func(f *Finding) {
		f.Expected = p.namespace
		f.Detail = fmt.Sprintf("%s calls or answers as an identity of namespace %s. Who runs there has a certificate that is not "+
			"its own, or the address was resolved to the wrong workload.", where(p), id.Namespace)
	})
}

// domain compares the trust domain with the one that the end's cluster declares.
func (j *judge) domain(i *graph.Identity, id envoy.SPIFFE, p place) {
	if j.known == nil {
		j.summary.Unjudged[NotInTopology]++
		return
	}
	c, ok := j.known.Cluster(p.cluster)
	switch {
	case !ok:
		j.summary.Unjudged[NotInTopology]++
		return
	case c.TrustDomain == "":
		j.summary.Unjudged[NoTrustDomain]++
		return
	}
	j.summary.Judged++
	if c.TrustDomain == id.TrustDomain {
		return
	}
	owners := j.domains[id.TrustDomain]
	kind := ForeignDomain
	if len(owners) > 0 {
		kind = ForeignCluster
	}
	j.find(kind, i, p, func(f *Finding) {
		f.Expected, f.Clusters = c.TrustDomain, owners
		f.Detail = fmt.Sprintf("%s has an identity of trust domain %s, and the trust domain of cluster %s is %s. ",
			where(p), id.TrustDomain, p.cluster, c.TrustDomain)
		if kind == ForeignCluster {
			f.Detail += fmt.Sprintf("That is the trust domain of %s: a certificate of another cluster, or an end that was resolved to "+
				"the wrong cluster.", strings.Join(owners, ", "))
		} else {
			f.Detail += "No cluster of the topology has it: one that was given up and is an alias now, or a certificate of another " +
				"authority."
		}
	})
}

// account compares the account with the one that all pods of the end's workload have.
func (j *judge) account(i *graph.Identity, id envoy.SPIFFE, p place) {
	if j.known == nil || p.namespace != id.Namespace {
		return
	}
	w, ok := j.known.Workload(p.cluster, p.namespace, p.workload)
	if !ok {
		return
	}
	own := w.End().Principal
	expected, err := envoy.ParseSPIFFE(own)
	if err != nil || expected.ServiceAccount == "" || expected.ServiceAccount == id.ServiceAccount {
		return
	}
	j.find(Account, i, p, func(f *Finding) {
		f.Expected = expected.ServiceAccount
		f.Detail = fmt.Sprintf("%s has an identity of service account %s, and its pods have %s. Who runs there has a certificate "+
			"that is not its own, or the address was resolved to the wrong workload.", where(p), id.ServiceAccount, expected.ServiceAccount)
	})
}

func where(p place) string {
	text := "Workload " + p.namespace + "/" + p.workload
	if p.cluster != "" {
		text += " of cluster " + p.cluster
	}
	return text
}

// find adds to a finding; describe is called for a new one.
func (j *judge) find(kind Kind, i *graph.Identity, p place, describe func(*Finding)) {
	k := subject{kind, i.Principal, p.cluster, p.namespace, p.workload}
	f := j.findings[k]
	if f == nil {
		f = &Finding{Kind: kind, Principal: i.Principal, Cluster: p.cluster, Namespace: p.namespace, Workload: p.workload}
		describe(f)
		j.findings[k] = f
	}
	f.Edges++
	f.Requests = plus(f.Requests, i.Requests)
	f.Proven = f.Proven || p.mutual
}

// several returns the identities that were seen from more than one cluster, and adds the findings among them.
func (j *judge) several() []Identity {
	var list []Identity
	for principal, clusters := range j.seen {
		if len(clusters) < 2 {
			continue
		}
		identity := Identity{Principal: principal, Sharing: j.sharing(principal, clusters)}
		for _, c := range clusters {
			identity.Clusters = append(identity.Clusters, *c)
		}
		slices.SortFunc(identity.Clusters, func(a, b IdentityCluster) int { return strings.Compare(a.Cluster, b.Cluster) })
		list = append(list, identity)
		if identity.Sharing == Foreign {
			j.findings[subject{kind: TwoClusters, principal: principal}] = twoClusters(&identity, j.proven[principal])
		}
	}
	rank := func(i *Identity) int { return -slices.Index(sharings, i.Sharing) }
	slices.SortFunc(list, func(a, b Identity) int {
		if c := rank(&a) - rank(&b); c != 0 {
			return c
		}
		return strings.Compare(a.Principal, b.Principal)
	})
	return list
}

func twoClusters(i *Identity, proven bool) *Finding {
	f := &Finding{Kind: TwoClusters, Principal: i.Principal, Proven: proven}
	for _, c := range i.Clusters {
		f.Clusters = append(f.Clusters, c.Cluster)
		f.Edges += c.Edges
		f.Requests = plus(f.Requests, c.Requests)
	}
	f.Detail = fmt.Sprintf("The identity was seen from %s, which do not share its trust domain: a key that is used in two places, "+
		"or an end that was resolved to the wrong cluster.", strings.Join(f.Clusters, ", "))
	return f
}

// sharing says what it means that the identity is in these clusters.
func (j *judge) sharing(principal string, clusters map[string]*IdentityCluster) Sharing {
	result := Shared
	for name := range clusters {
		declared := ""
		if j.known != nil {
			if c, ok := j.known.Cluster(name); ok {
				declared = c.TrustDomain
			}
		}
		switch declared {
		case j.parsed[principal].TrustDomain:
		case "":
			if result == Shared {
				result = Undeclared
			}
		default:
			result = Foreign
		}
	}
	return result
}

func plus(a, b uint64) uint64 {
	if a > ^uint64(0)-b {
		return ^uint64(0)
	}
	return a + b
}
