// SPDX-License-Identifier: Apache-2.0

package window

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Kind is what the traffic of a service's versions looks like. It is read from calls alone: nobody asked what was meant.
type Kind string

// The kinds.
const (
	// NoTraffic means that there were no calls that a known version answered.
	NoTraffic Kind = "no_traffic"
	// SingleVersion means that one version answers.
	SingleVersion Kind = "single_version"
	// Canary means that versions answer side by side, and that shares move, or that the new version has the smaller one.
	Canary Kind = "canary"
	// AB means that versions answer side by side with steady shares, and that none of them is new with the smaller share. A
	// canary that rests for an hour looks the same.
	AB Kind = "ab"
	// BlueGreen means that the calls went over from one version to another within 2 minutes. A quick deployment looks the
	// same.
	BlueGreen Kind = "blue_green"
	// Rollout means that they went over more slowly.
	Rollout Kind = "rollout"
	// Undetermined means that versions answer side by side, and that there is too little to say more.
	Undetermined Kind = "undetermined"
)

// Pattern is a kind with the facts it is read from.
type Pattern struct {
	Kind Kind
	// AcrossClusters says that each cluster answers with one version, and not all with the same.
	AcrossClusters bool
	// Because are sentences.
	Because []string
}

const (
	// fewest calls, and the smallest part, with which a version counts as being there.
	fewest   = 5
	smallest = 0.001
	// enough calls in the first and in the last third of the window to compare shares.
	enough = 30
	// moved is the least change of a share, and deviations how unlikely it must be by chance.
	moved      = 0.05
	deviations = 4
	// nearly all of the calls.
	nearly = 0.95
	// quick is how many minutes a switch may take.
	quick = 2
)

// history are the calls of a service by minute, cluster and version. Requests count, and connections where there are none.
type history struct {
	minutes     []*minute
	requests    []calls
	connections []calls
	since       map[string]int64
	any         int64
}

type place struct{ cluster, version string }

type calls map[place]uint64

func newHistory(minutes []*minute) *history {
	return &history{
		minutes: minutes, requests: make([]calls, len(minutes)), connections: make([]calls, len(minutes)),
		since: map[string]int64{}, any: math.MaxInt64,
	}
}

// seen notes in which minute there was something of a version.
func (h *history) seen(version string, start int64) {
	h.any = min(h.any, start)
	if first, ok := h.since[version]; !ok || start < first {
		h.since[version] = start
	}
}

// first is the first minute of a version; isNew says that the service was called before it.
func (h *history) first(version string) (at time.Time, isNew bool) {
	start, ok := h.since[version]
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(start, 0).UTC(), start > h.any
}

func (h *history) add(at int, cluster, version string, c *Counts) {
	if version == "" {
		return // Who did not answer has no version.
	}
	for _, x := range [...]struct {
		to *calls
		n  uint64
	}{{&h.requests[at], c.Requests}, {&h.connections[at], c.ConnectionsOpened}} {
		if x.n == 0 {
			continue
		}
		if *x.to == nil {
			*x.to = calls{}
		}
		(*x.to)[place{cluster, version}] += x.n
	}
}

func sumOf(minutes []calls) calls {
	sum := calls{}
	for _, m := range minutes {
		for p, n := range m {
			sum[p] += n
		}
	}
	return sum
}

// by adds up by a part of the place.
func (c calls) by(name func(place) string) map[string]uint64 {
	sum := map[string]uint64{}
	for p, n := range c {
		sum[name(p)] += n
	}
	return sum
}

func versionOf(p place) string { return p.version }
func clusterOf(p place) string { return p.cluster }

func (c calls) in(cluster string) calls {
	out := calls{}
	for p, n := range c {
		if p.cluster == cluster {
			out[p] = n
		}
	}
	return out
}

func total(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

// present are the names with more than a stray call, sorted.
func present(m map[string]uint64) []string {
	all := float64(total(m))
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if n := m[name]; n >= fewest && float64(n) >= smallest*all {
			out = append(out, name)
		}
	}
	return out
}

func (h *history) pattern() Pattern {
	minutes := h.requests
	if len(sumOf(minutes)) == 0 {
		minutes = h.connections
	}
	all := sumOf(minutes)
	versions := present(all.by(versionOf))
	switch len(versions) {
	case 0:
		return Pattern{Kind: NoTraffic, Because: []string{fmt.Sprintf("no known version answered %d calls or more", fewest)}}
	case 1:
		return Pattern{Kind: SingleVersion, Because: []string{"all calls are answered by " + versions[0]}}
	}
	third := len(minutes) / 3
	first, last := sumOf(minutes[:third]), sumOf(minutes[len(minutes)-third:])
	if third == 0 {
		last = all
	}
	p := Pattern{Because: shares(last)}
	if to, took, ok := switched(minutes); ok {
		return p.switchedTo(to, took, all)
	}
	split, staged := byCluster(minutes, last)
	p.AcrossClusters = split
	if split && staged != "" {
		p.Kind = BlueGreen
		p.Because = append(p.Because, staged)
		return p
	}
	h.judge(&p, first, last, versions)
	return p
}

func (p Pattern) switchedTo(to string, took int, all calls) Pattern {
	p.Kind = BlueGreen
	if took > quick {
		p.Kind = Rollout
	}
	p.Because = append(p.Because, fmt.Sprintf("the calls went over to %s, with %d minutes in which versions shared them", to, took))
	owners := map[string]int{}
	for _, c := range present(all.by(clusterOf)) {
		for range present(all.in(c).by(versionOf)) {
			owners[c]++
		}
	}
	p.AcrossClusters = len(owners) > 1
	for _, n := range owners {
		if n > 1 {
			p.AcrossClusters = false
		}
	}
	return p
}

// switched says whether one version had nearly all calls in the first third and another one in the last, and how many
// minutes had versions beside one another.
func switched(minutes []calls) (to string, took int, ok bool) {
	third := len(minutes) / 3
	if third == 0 {
		return "", 0, false
	}
	from, _ := leader(sumOf(minutes[:third]))
	to, _ = leader(sumOf(minutes[len(minutes)-third:]))
	if from == "" || to == "" || from == to {
		return "", 0, false
	}
	for _, m := range minutes {
		if name, some := leader(m); some && name == "" {
			took++
		}
	}
	return to, took, true
}

// leader is the version with nearly all calls; some says whether there were any.
func leader(c calls) (name string, some bool) {
	by := c.by(versionOf)
	all := total(by)
	for version, n := range by {
		if float64(n) >= nearly*float64(all) && all >= fewest {
			return version, true
		}
	}
	return "", all >= fewest
}

// byCluster says whether at the end of the window each cluster has one version, and not all have the same; staged names
// clusters that went over in the window.
func byCluster(minutes []calls, last calls) (split bool, staged string) {
	versions := map[string]bool{}
	var over []string
	for _, cluster := range present(last.by(clusterOf)) {
		here := present(last.in(cluster).by(versionOf))
		if len(here) != 1 {
			return false, ""
		}
		versions[here[0]] = true
		own := make([]calls, len(minutes))
		for i, m := range minutes {
			own[i] = m.in(cluster)
		}
		if to, took, ok := switched(own); ok && took <= quick {
			over = append(over, fmt.Sprintf("cluster %s went over to %s", cluster, to))
		}
	}
	return len(versions) > 1, strings.Join(over, ", ")
}

// judge says what versions beside one another are.
func (h *history) judge(p *Pattern, first, last calls, versions []string) {
	before, after := first.by(versionOf), last.by(versionOf)
	n1, n2 := float64(total(before)), float64(total(after))
	if n1 < enough || n2 < enough {
		p.Kind = Undetermined
		p.Because = append(p.Because, fmt.Sprintf("the first third of the window has %.0f calls and the last %.0f: fewer than %d cannot be compared", n1, n2, enough))
		return
	}
	p.Kind = AB
	for _, v := range versions {
		a, b := float64(before[v])/n1, float64(after[v])/n2
		pooled := (float64(before[v]) + float64(after[v])) / (n1 + n2)
		deviation := math.Sqrt(pooled * (1 - pooled) * (1/n1 + 1/n2))
		if math.Abs(b-a) >= moved && math.Abs(b-a) > deviations*deviation {
			p.Kind = Canary
			p.Because = append(p.Because, fmt.Sprintf("the share of %s went from %.1f %% to %.1f %%", v, 100*a, 100*b))
		}
	}
	if p.Kind == Canary {
		return
	}
	greatest := slices.MaxFunc(versions, func(a, b string) int { return cmp.Compare(after[a], after[b]) })
	for _, v := range versions {
		if at, isNew := h.first(v); isNew && after[v] < after[greatest] && h.since[v] > h.since[greatest] {
			p.Kind = Canary
			p.Because = append(p.Because, fmt.Sprintf("%s is there since %s, and has the smaller share", v, at.Format("15:04")))
		}
	}
	if p.Kind == AB {
		p.Because = append(p.Because, "the shares are steady")
	}
}

// shares are sentences, of at most ten clusters.
func shares(c calls) []string {
	const most = 10
	var out []string
	for _, cluster := range present(c.by(clusterOf)) {
		by := c.in(cluster).by(versionOf)
		all := float64(total(by))
		var parts []string
		for _, v := range present(by) {
			parts = append(parts, fmt.Sprintf("%s %.1f %%", v, 100*float64(by[v])/all))
		}
		name := cluster
		if name == "" {
			name = "(unknown)"
		}
		if len(out) < most && len(parts) > 0 {
			out = append(out, fmt.Sprintf("cluster %s: %s", name, strings.Join(parts[:min(len(parts), most)], ", ")))
		}
	}
	return out
}
