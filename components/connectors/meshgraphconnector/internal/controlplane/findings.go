// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kinds of findings.
const (
	KindSilent           = "control_plane_silent"
	KindUnseen           = "control_plane_unseen"
	KindRevisionSilent   = "revision_silent"
	KindClaimedTwice     = "cluster_claimed_twice"
	KindMixedVersions    = "versions_mixed"
	KindPushErrors       = "push_errors"
	KindRejects          = "configuration_refused"
	KindSignErrors       = "certificates_not_signed"
	KindRemoteNotSynced  = "remote_cluster_not_synced"
	KindCertificate      = "certificate_expires"
	KindRootsDiffer      = "roots_differ"
	KindProxiesBehind    = "proxies_behind"
	KindControlPlaneSkew = "control_plane_behind"
)

type finder struct{ list []Finding }

func (f *finder) warn(kind, format string, args ...any) {
	f.list = append(f.list, Finding{Kind: kind, Severity: Warning, Detail: fmt.Sprintf(format, args...)})
}

func (f *finder) info(kind, format string, args ...any) {
	f.list = append(f.list, Finding{Kind: kind, Severity: Info, Detail: fmt.Sprintf(format, args...)})
}

// findings judges a record, the worst first. Early is where nobody is missed yet.
func findings(r *Record, who claim, now time.Time, soon time.Duration, early bool) []Finding {
	var f finder
	f.claims(r, who)
	if !early {
		f.presence(r)
	}
	f.pushes(r)
	f.remotes(r)
	f.certificates(r, now, soon)
	f.versions(r)
	slices.SortStableFunc(f.list, func(a, b Finding) int { return strings.Compare(string(b.Severity), string(a.Severity)) })
	return f.list
}

// claims judges who speaks for the cluster. Two istiods in one cluster are nothing new: it is an upgrade by revisions. Two
// regions or two uids are, as a cluster has one.
func (f *finder) claims(r *Record, who claim) {
	const do = "Two clusters use one name: give each istiod its own global.multiCluster.clusterName, and each agent the same in MESH_CLUSTER."
	if len(who.uids) > 1 {
		f.warn(KindClaimedTwice, "Istiods of clusters with the uids %s speak for %s. %s", strings.Join(who.uids, ", "), r.Cluster, do)
	} else if len(who.uids) == 1 && who.declaredUID != "" && who.uids[0] != who.declaredUID {
		f.warn(KindClaimedTwice, "The istiods of %s are in a cluster with the uid %s, its inventory is of %s. %s", r.Cluster, who.uids[0], who.declaredUID, do)
	}
	if len(who.regions) > 1 {
		f.warn(KindClaimedTwice, "Istiods in the regions %s speak for %s. %s", strings.Join(who.regions, ", "), r.Cluster, do)
	} else if len(who.regions) == 1 && who.declaredRegion != "" && who.regions[0] != who.declaredRegion {
		f.warn(KindClaimedTwice, "The istiods of %s are in the region %s, its inventory says %s. %s", r.Cluster, who.regions[0], who.declaredRegion, do)
	}
}

func (f *finder) presence(r *Record) {
	switch r.State {
	case Silent:
		f.warn(KindSilent, "No istiod of %s reports any more, the last at %s. Look at its pods, and at the agent on their node.",
			r.Cluster, r.LastSeen.UTC().Format(time.RFC3339))
	case Unseen:
		f.warn(KindUnseen, "The inventory of %s has an istiod, and none reports. The agents scrape port 15014 of pods with app=istiod (job istiod).", r.Cluster)
	case Reporting:
		for _, d := range r.Inventory {
			if !d.Reporting {
				f.warn(KindRevisionSilent, "The inventory of %s has an istiod of the revision %s, and none of this revision reports.", r.Cluster, d.Revision)
			}
		}
	}
}

func (f *finder) pushes(r *Record) {
	if n := total(r.Pushes.Errors) + r.Pushes.WriteTimeouts + r.Pushes.InternalErrors + r.Pushes.ContextErrors; n > 0 {
		f.warn(KindPushErrors, "Istiod could not build or send %d configurations; its log says why.", n)
	}
	if n := total(r.Pushes.Rejects); n > 0 {
		f.warn(KindRejects, "Proxies refused %d configurations and keep the one before. `istioctl proxy-status` names them, istiod's log has the reason.", n)
	}
	if r.Proxies.Refused > 0 && total(r.Pushes.Rejects) == 0 {
		f.info(KindRejects, "%d proxies refused a configuration since their istiod began: whether they took a later one, `istioctl proxy-status` says.", r.Proxies.Refused)
	}
	if r.Pushes.SignErrors > 0 {
		f.warn(KindSignErrors, "Istiod could not sign %d certificates: proxies that get none refuse calls within a day.", r.Pushes.SignErrors)
	}
}

func total(counts map[string]int64) (n int64) {
	for _, v := range counts {
		n += v
	}
	return n
}

func (f *finder) remotes(r *Record) {
	for _, remote := range r.Remotes.Clusters {
		if remote.Status == "closed" || remote.Status == "timeout" {
			f.warn(KindRemoteNotSynced, "An istiod of %s does not know the services of %s: %s. Its remote secret or the way to the API server is broken.",
				r.Cluster, remote.Cluster, remote.Status)
		}
	}
	if !r.Remotes.Told && r.Remotes.SyncTimeouts > 0 {
		f.warn(KindRemoteNotSynced, "An istiod of %s gave up waiting for %d remote clusters.", r.Cluster, r.Remotes.SyncTimeouts)
	}
}

func (f *finder) certificates(r *Record, now time.Time, soon time.Duration) {
	for _, c := range []struct {
		what string
		at   time.Time
	}{{"root", r.Certificates.RootExpires}, {"signing", r.Certificates.ChainExpires}} {
		if !c.at.IsZero() && c.at.Sub(now) < soon {
			f.warn(KindCertificate, "The %s certificate of %s expires at %s.", c.what, r.Cluster, c.at.Format(time.RFC3339))
		}
	}
	if r.Certificates.RootsDiffer {
		f.warn(KindRootsDiffer, "The istiods of %s have roots that expire at different times: their proxies may not trust each other.", r.Cluster)
	}
}

func (f *finder) versions(r *Record) {
	byRevision := map[string]string{}
	for _, i := range r.Istiods {
		if i.Version == "" {
			continue
		}
		if other, ok := byRevision[i.Revision]; ok && other != i.Version && r.State == Reporting {
			f.info(KindMixedVersions, "Istiods of the revision %s run %s and %s: an upgrade is under way, or stands still.", i.Revision, other, i.Version)
			break
		}
		byRevision[i.Revision] = i.Version
	}
	if r.Skew.MinorsBehind > 0 {
		f.info(KindControlPlaneSkew, "An istiod of %s is %d minor versions behind the newest of the mesh.", r.Cluster, r.Skew.MinorsBehind)
	}
	if r.Skew.ProxyMinorsBehind > 0 {
		f.info(KindProxiesBehind, "Proxies of %s are up to %d minor versions behind their control plane: restart their workloads.", r.Cluster, r.Skew.ProxyMinorsBehind)
	}
}
