// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// settle makes the newest whole scrape of each gauge count.
func (i *istiod) settle(now time.Time) {
	for k := range i.families {
		i.families[k].settle(now)
	}
	i.build.settle(now)
}

// values are the series of a gauge at the newest scrape. Istiod always says how long it is up, so a gauge that is older
// than that is not on its page any more, as after a restart.
func (i *istiod) values(k kind) map[string]float64 {
	f := &i.families[k]
	if f.at.Before(i.families[kindUptime].at) {
		return nil
	}
	return f.values
}

// count makes a number of things of a gauge's value.
func count(v float64) int64 {
	if v < 0 {
		return 0
	}
	return int64(math.Round(min(v, 1<<53)))
}

func (i *istiod) describe(time.Time) Istiod {
	out := Istiod{
		Instance: i.instance, Namespace: i.namespace, Pod: i.pod, Region: i.region, Revision: revisionOf(i.workload), LastSeen: i.last,
	}
	for _, label := range slices.Sorted(maps.Keys(i.values(kindInfo))) {
		out.Info, out.Version = label, versionOfInfo(label)
	}
	if out.Version == "" {
		for _, tag := range slices.Sorted(maps.Keys(i.build.values)) {
			out.Version = tag
		}
	}
	up := i.families[kindUptime]
	if seconds, ok := up.only(); ok && seconds >= 0 && seconds < 1e9 {
		out.Started = up.at.Add(-time.Duration(seconds * float64(time.Second))).Truncate(time.Second)
	}
	for _, v := range i.values(kindProxies) {
		out.Proxies += count(v)
	}
	return out
}

// proxies adds up the proxies of all istiods.
func (c *cluster) proxies(istiods []*istiod, described []Istiod, newest release, known bool) Proxies {
	var p Proxies
	versions, refused := map[string]int64{}, map[string]bool{}
	for n, i := range istiods {
		own := described[n].Version
		for version, v := range i.values(kindProxies) {
			// A version of which none is connected any more stays on istiod's page with 0.
			proxies := count(v)
			if proxies == 0 {
				continue
			}
			p.Connected += proxies
			if _, ok := releaseOf(version); !ok {
				p.UnknownVersion += proxies
				version = cmp.Or(version, "unknown")
			} else if own != "" && version != own {
				p.OtherVersion += proxies
			}
			versions[version] += proxies
		}
		for key, v := range i.values(kindRefused) {
			if _, node, ok := strings.Cut(key, "\x00"); ok && v > 0 {
				refused[node] = true
			}
		}
	}
	for _, version := range slices.SortedFunc(maps.Keys(versions), compareVersions) {
		v := ProxyVersion{Version: version, Proxies: versions[version]}
		if r, ok := releaseOf(version); ok && known {
			v.MinorsBehind = r.behind(newest)
		}
		p.ByVersion = append(p.ByVersion, v)
	}
	names := slices.Sorted(maps.Keys(refused))
	p.Refused, p.RefusedNames = len(names), names[:min(len(names), 16)]
	return p
}

// compareVersions puts releases in their order, and what is none behind them.
func compareVersions(a, b string) int {
	ra, oka := releaseOf(a)
	rb, okb := releaseOf(b)
	switch {
	case oka && okb:
		return cmp.Or(ra.compare(rb), cmp.Compare(a, b))
	case oka:
		return -1
	case okb:
		return 1
	}
	return cmp.Compare(a, b)
}

const sendError = "_senderr"

func pushes(istiods []*istiod, now time.Time) Pushes {
	p := Pushes{Sent: map[string]int64{}, Errors: map[string]int64{}, Rejects: map[string]int64{}}
	for _, i := range istiods {
		for id, c := range i.counters {
			n := count(c.window.sum(now))
			if n == 0 {
				continue
			}
			switch id.kind {
			case kindPushes:
				if of, failed := strings.CutSuffix(id.key, sendError); failed {
					p.Errors[of] += n
				} else {
					p.Sent[id.key] += n
				}
			case kindRejects:
				p.Rejects[id.key] += n
			case kindWriteTimeouts:
				p.WriteTimeouts += n
			case kindInternalErrors:
				p.InternalErrors += n
			case kindContextErrors:
				p.ContextErrors += n
			case kindCertificateErrors:
				p.CertificateErrors += n
			case kindSignErrors:
				p.SignErrors += n
			}
		}
	}
	return p
}

func convergence(istiods []*istiod, now time.Time) *Convergence {
	var all []bucket
	var n, sum float64
	for _, i := range istiods {
		counted := i.convergence.counted(now)
		all = append(all, counted...)
		for _, b := range counted {
			n += b.count
		}
		sum += i.convergence.sum.sum(now)
	}
	if n == 0 {
		return nil
	}
	return &Convergence{
		// A sum beyond all numbers is none that JSON has.
		Count: count(n), Mean: min(sum/n, math.MaxFloat64),
		P50: percentile(all, 0.5), P90: percentile(all, 0.9), P99: percentile(all, 0.99),
	}
}

func certificates(istiods []*istiod) (c Certificates) {
	var root, chain float64
	for _, i := range istiods {
		if v, ok := i.values(kindRoot)[""]; ok && v > 0 {
			c.RootsDiffer = c.RootsDiffer || root != 0 && v != root
			root = earliest(root, v)
		}
		if v, ok := i.values(kindChain)[""]; ok && v > 0 {
			chain = earliest(chain, v)
		}
	}
	c.RootExpires, c.ChainExpires = unix(root), unix(chain)
	return c
}

func earliest(a, b float64) float64 {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// unix reads seconds since 1970; the zero time for 0 and what no certificate can have.
func unix(seconds float64) time.Time {
	if seconds <= 0 || seconds > 253402300799 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// badness orders what an istiod says of a remote cluster.
var badness = map[string]int{"synced": 1, "syncing": 2, "closed": 3, "timeout": 4}

func remotes(istiods []*istiod, now time.Time) (r Remotes) {
	worst := map[string]string{}
	for _, i := range istiods {
		r.Managed = max(r.Managed, count(i.values(kindManaged)["remote"]))
		for key, v := range i.values(kindSync) {
			r.Told = true
			name, status, _ := strings.Cut(key, "\x00")
			// All states of a cluster that is no more are 0.
			if v == 1 && badness[status] > badness[worst[name]] {
				worst[name] = status
			}
		}
		for id, c := range i.counters {
			if id.kind == kindSyncTimeouts {
				r.SyncTimeouts += count(c.window.sum(now))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(worst)) {
		r.Clusters = append(r.Clusters, Remote{Cluster: name, Status: worst[name]})
		if worst[name] == "synced" {
			r.InSync++
		}
	}
	return r
}

func (c *cluster) dataPlane() (out []Build) {
	for b := range c.builds {
		out = append(out, Build{Component: b.component, Version: b.version})
	}
	slices.SortFunc(out, func(a, b Build) int {
		return cmp.Or(cmp.Compare(a.Component, b.Component), compareVersions(a.Version, b.Version))
	})
	return out
}

func sortedKeys(m map[string]int64) []string { return slices.Sorted(maps.Keys(m)) }
