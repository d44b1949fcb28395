// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Roll publishes what is known at a time, and returns it. The snapshot adds which clusters have an istiod; nil if there is
// no topology. One goroutine at a time.
func (s *Store) Roll(now time.Time, snapshot *topology.Snapshot) *Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	doc := s.empty(now)
	if !s.listens(now, doc) {
		s.document.Store(doc)
		return doc
	}
	s.expire(now)
	early := !doc.AbsenceJudgedFrom.IsZero()
	claims := map[string]claim{}
	for _, name := range slices.Sorted(maps.Keys(s.clusters)) {
		c := s.clusters[name]
		record, claimed := c.record(now, early)
		claims[name] = claimed
		doc.ControlPlanes = append(doc.ControlPlanes, record)
	}
	doc.Full = len(s.clusters) >= s.config.MaxClusters
	if snapshot != nil {
		doc.join(snapshot, claims, s.config.MaxClusters, early)
	}
	doc.skew(early)
	for i := range doc.ControlPlanes {
		r := &doc.ControlPlanes[i]
		r.Findings = findings(r, claims[r.Cluster], now, s.config.CertificateWarning, early)
	}
	s.document.Store(doc)
	return doc
}

// claim is who speaks for a cluster: one that is one cluster has one uid and one region.
type claim struct {
	regions, uids []string
	// declaredRegion and declaredUID are of the inventory.
	declaredRegion, declaredUID string
}

// record describes a cluster by what its istiods said. Early is where those that are not there may still come.
func (c *cluster) record(now time.Time, early bool) (Record, claim) {
	r := Record{Cluster: c.name, State: Reporting, FirstSeen: c.first, LastSeen: c.last, DataPlane: c.dataPlane()}
	var istiods []*istiod
	var who claim
	for _, name := range slices.Sorted(maps.Keys(c.istiods)) {
		i := c.istiods[name]
		i.settle(now)
		istiods = append(istiods, i)
		r.Istiods = append(r.Istiods, i.describe(now))
		who.regions, who.uids = among(who.regions, i.region), among(who.uids, i.uid)
	}
	for n := range r.Istiods {
		r.Versions, r.Revisions = among(r.Versions, r.Istiods[n].Version), among(r.Revisions, r.Istiods[n].Revision)
	}
	slices.SortFunc(r.Versions, compareVersions)
	slices.Sort(r.Revisions)
	slices.Sort(who.regions)
	if len(who.regions) == 1 {
		r.Region = who.regions[0]
	}
	newest, known := newestOf(r.Versions)
	r.Proxies = c.proxies(istiods, r.Istiods, newest, known)
	counted := append(slices.Clip(istiods), c.summed)
	r.Pushes, r.Convergence = pushes(counted, now), convergence(counted, now)
	r.Certificates, r.Remotes = certificates(istiods), remotes(counted, now)
	if len(istiods) > 0 {
		return r, who
	}
	if len(c.gone) > 0 {
		r.State, r.Istiods = Silent, c.gone
	} else {
		r.State, r.FirstSeen, r.LastSeen = ProxiesOnly, time.Time{}, time.Time{}
	}
	if early {
		r.State = Waiting
	}
	return r, who
}

// among adds a text to a list of a few.
func among(list []string, text string) []string {
	if text == "" || slices.Contains(list, text) || len(list) >= maxKeys {
		return list
	}
	return append(list, text)
}

func newestOf(versions []string) (newest release, ok bool) {
	for _, v := range versions {
		if r, is := releaseOf(v); is && (!ok || r.compare(newest) > 0) {
			newest, ok = r, true
		}
	}
	return newest, ok
}

// join adds what the inventories say.
func (d *Document) join(snapshot *topology.Snapshot, claims map[string]claim, most int, early bool) {
	unseen := Unseen
	if early {
		unseen = Waiting
	}
	at := map[string]int{}
	for i := range d.ControlPlanes {
		at[d.ControlPlanes[i].Cluster] = i
	}
	for c := range snapshot.Clusters() {
		facts := c.Facts()
		i, known := at[c.Name]
		if !known {
			if len(facts.Istio) == 0 {
				continue
			}
			if len(d.ControlPlanes) >= most {
				d.Full = true
				continue
			}
			i = len(d.ControlPlanes)
			d.ControlPlanes = append(d.ControlPlanes, Record{Cluster: c.Name, State: unseen})
		}
		r := &d.ControlPlanes[i]
		if r.State == ProxiesOnly && len(facts.Istio) > 0 {
			r.State = unseen
		}
		if c.Region != "" {
			r.Region = c.Region
		}
		for _, istio := range facts.Istio {
			r.Inventory = append(r.Inventory, Declared{
				Revision: istio.Revision, Version: istio.Version, Tags: istio.Tags, Reporting: slices.Contains(r.Revisions, istio.Revision),
			})
		}
		who := claims[c.Name]
		who.declaredRegion, who.declaredUID = c.Region, facts.UID
		claims[c.Name] = who
	}
	slices.SortFunc(d.ControlPlanes, func(a, b Record) int { return cmp.Compare(a.Cluster, b.Cluster) })
}

// skew compares the clusters with each other. Which revisions one lacks is not told as long as its istiods may still come.
func (d *Document) skew(early bool) {
	reporting := 0
	revisions := map[string]int{}
	for i := range d.ControlPlanes {
		r := &d.ControlPlanes[i]
		if r.State != Reporting {
			continue
		}
		reporting++
		for _, v := range r.Versions {
			d.Versions = among(d.Versions, v)
		}
		for _, revision := range r.Revisions {
			d.Revisions = among(d.Revisions, revision)
			revisions[revision]++
		}
	}
	slices.SortFunc(d.Versions, compareVersions)
	slices.Sort(d.Revisions)
	newest, known := newestOf(d.Versions)
	for _, v := range d.Versions {
		if r, ok := releaseOf(v); ok && r == newest {
			d.Newest = v
		}
	}
	for i := range d.ControlPlanes {
		r := &d.ControlPlanes[i]
		if r.State != Reporting {
			continue
		}
		for _, v := range r.Versions {
			if own, ok := releaseOf(v); ok && known {
				r.Skew.MinorsBehind = max(r.Skew.MinorsBehind, own.behind(newest))
				r.Skew.Patch = r.Skew.Patch || own.behind(newest) == 0 && own.compare(newest) < 0
			}
		}
		for _, v := range r.Proxies.ByVersion {
			r.Skew.ProxyMinorsBehind = max(r.Skew.ProxyMinorsBehind, v.MinorsBehind)
		}
		for _, revision := range d.Revisions {
			if !early && revisions[revision] < reporting && !slices.Contains(r.Revisions, revision) {
				r.Skew.MissingRevisions = append(r.Skew.MissingRevisions, revision)
			}
		}
	}
}
