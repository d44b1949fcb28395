// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// maxOverlaps is the most pairs of clusters whose overlapping ranges are told.
const maxOverlaps = 256

// reportFacts tells what clusters cannot all be right about, each once for as long as it holds.
func (w *Writer) reportFacts() {
	if w.settings.Report == nil {
		return
	}
	found := append(w.overlaps(), w.trustDomains()...)
	states := make(map[reportKey]struct{}, len(found))
	for _, f := range found {
		key := reportKey{f.Kind, f.Severity.String(), f.Subject}
		states[key] = struct{}{}
		if _, known := w.reports.states[key]; known {
			continue
		}
		f.At = w.settings.Now()
		w.settings.Report(f)
	}
	w.reports.states = states
}

// trustDomains finds clusters that share a trust domain.
func (w *Writer) trustDomains() []Finding {
	var found []Finding
	for domain, clusters := range w.domains {
		if domain == "" || len(clusters) < 2 {
			continue
		}
		var names, meshes []string
		for _, c := range clusters {
			names = append(names, c.Name)
			if id := c.Facts().MeshID; id != "" && !slices.Contains(meshes, id) {
				meshes = append(meshes, id)
			}
		}
		f := Finding{Kind: KindTrustDomainClash, Subject: "trust domain " + domain, Severity: SeverityInfo, Detail: fmt.Sprintf(
			"the clusters %s share the trust domain %q, so a principal alone does not tell the cluster of a call; clusters of one mesh may do so, and trust domains of their own would tell more", list(names), domain)}
		if len(meshes) > 1 {
			f.Severity = SeverityWarning
			f.Detail = fmt.Sprintf("the clusters %s have the trust domain %q but are of the different meshes %s: principals of one are believed in the other; give each mesh a trust domain of its own",
				list(names), domain, list(meshes))
		}
		found = append(found, f)
	}
	return found
}

// list writes names for people, and not too many.
func list(names []string) string {
	if len(names) > 8 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:8], ", "), len(names)-8)
	}
	return strings.Join(names, ", ")
}

// span is a range of addresses of a cluster.
type span struct {
	first, last netip.Addr
	cluster     *clusterState
}

// overlaps finds clusters whose pod address ranges overlap: one finding a pair.
func (w *Writer) overlaps() []Finding {
	var spans []span
	for _, name := range w.names {
		spans = append(spans, w.clusters[name].spans()...)
	}
	slices.SortStableFunc(spans, func(a, b span) int { return a.first.Compare(b.first) })
	type pair struct{ a, b string }
	told := map[pair]bool{}
	var found []Finding
	var open []span
	for _, s := range spans {
		open = slices.DeleteFunc(open, func(o span) bool { return o.last.Less(s.first) })
		for _, o := range open {
			a, b := o.cluster, s.cluster
			if a.Name > b.Name {
				a, b = b, a
			}
			key := pair{a.Name, b.Name}
			if a == b || told[key] {
				continue
			}
			if len(found) >= maxOverlaps {
				w.counters.FindingsSuppressed++
				return found
			}
			told[key] = true
			found = append(found, overlap(a, b, s.first))
		}
		open = append(open, s)
	}
	return found
}

func overlap(a, b *clusterState, at netip.Addr) Finding {
	f := Finding{Kind: KindOverlappingPodCIDRs, Subject: a.Name + ", " + b.Name}
	if a.Network == b.Network {
		f.Detail = fmt.Sprintf("the pod address ranges of the clusters %s and %s overlap (at %s) and both are in network %q, where one address may then stand for two pods; give them different networks (topology.istio.io/network) if they cannot reach each other's pods, else different ranges",
			a.Name, b.Name, at, display(a.Network))
		return f
	}
	f.Severity = SeverityInfo
	f.Detail = fmt.Sprintf("the pod address ranges of the clusters %s and %s overlap (at %s); they are in different networks, so addresses are told apart wherever the network of a call is known",
		a.Name, b.Name, at)
	return f
}

// spans returns the cluster's pod address ranges, merged where they touch.
func (c *clusterState) spans() []span {
	var spans []span
	for _, prefix := range c.facts.PodCIDRs {
		if prefix.IsValid() {
			prefix = prefix.Masked()
			spans = append(spans, span{prefix.Addr(), lastOf(prefix), c})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.first.Compare(b.first), a.last.Compare(b.last)) })
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && !merged[n-1].last.Next().Less(s.first) && merged[n-1].last.BitLen() == s.first.BitLen() {
			if merged[n-1].last.Less(s.last) {
				merged[n-1].last = s.last
			}
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// lastOf returns the last address of a range.
func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}
