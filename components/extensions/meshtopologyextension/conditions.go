// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"slices"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/findings"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Kinds of findings beside those of the topology and the inventory.
const kindDiskCopy = "disk_copy"

// quiet is after how long a second cluster of one name counts as gone: it is refused, and reported once a minute, for as
// long as it sends.
const quiet = 5 * time.Minute

// unrepeated is after how long a finding about an API server counts as over that its source does not report again. It
// does so every five minutes; a source that ended, as its secret was removed, does not.
const unrepeated = 10 * time.Minute

// resolveConditions ends the findings about clusters that nobody ends: the writer says when two clusters clash, and
// nothing when they no longer do.
func (e *engine) resolveConditions(now time.Time) {
	s := e.store.Snapshot()
	e.findings.ResolveIf(topology.KindOverlappingPodCIDRs, func(f *findings.Entry) bool {
		one, other, _ := strings.Cut(f.Subject, ", ")
		return !overlap(s, one, other)
	})
	e.findings.ResolveIf(topology.KindTrustDomainClash, func(f *findings.Entry) bool {
		n := 0
		for c := range s.Clusters() {
			if "trust domain "+c.TrustDomain == f.Subject {
				n++
			}
		}
		return n < 2
	})
	for _, kind := range kube.Lasting() {
		// What is not about a cluster is about the secrets, whose reader says when it is over.
		e.findings.ResolveIf(kind, func(f *findings.Entry) bool { return f.Cluster != "" && now.Sub(f.Last) >= unrepeated })
	}
	e.findings.ResolveIf(topology.KindDuplicateClusterName, func(f *findings.Entry) bool {
		return strings.HasPrefix(f.Subject, "uid ") && now.Sub(f.Last) >= quiet
	})
}

// overlap says whether the pod address ranges of two clusters overlap.
func overlap(s *topology.Snapshot, one, other string) bool {
	a, okA := s.Cluster(one)
	b, okB := s.Cluster(other)
	if !okA || !okB {
		return false
	}
	for _, p := range a.Facts().PodCIDRs {
		if slices.ContainsFunc(b.Facts().PodCIDRs, p.Overlaps) {
			return true
		}
	}
	return false
}
