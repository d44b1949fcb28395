// SPDX-License-Identifier: Apache-2.0

package envoy

import "strings"

const zoneFormat = "an Envoy zone statistic"

// Errors of [ParseZoneStat] and [Zones.ParseMetric].
var (
	// ErrZoneStat reports the name of another statistic; the other errors are kinds of it.
	ErrZoneStat error = &Error{Format: zoneFormat}
	// ErrZoneAmbiguous reports a name that can be read in more than one way.
	ErrZoneAmbiguous error = &Error{Format: zoneFormat, Reason: "ambiguous"}
	// ErrZoneUnknown reports a name of the right form that holds no zones that are known.
	ErrZoneUnknown error = &Error{Format: zoneFormat, Reason: "unknown_zone"}
)

// ZoneStat is a statistic that Envoy keeps of a cluster for each pair of zones: calls from the proxy's own zone to that
// of the endpoint (Envoy documentation, cluster statistics, per service zone). Both are in the name alone.
type ZoneStat struct {
	// Cluster is the name of the Envoy cluster, or what the name still has of it: a tag may have taken the beginning.
	// It is empty if a tag has taken all of it.
	Cluster string
	// From and To are the zones, as Envoy spells them.
	From, To string
	// Stat is what is counted: "upstream_rq_completed", "upstream_rq_2xx", "upstream_rq_200", "upstream_rq_time" and so
	// on, or "upstream_rq" and "upstream_rq_xx" if a tag has taken the code.
	Stat string
}

const (
	clusterPrefix = "cluster."
	zoneMarker    = "zone."
	zoneStat      = ".upstream_rq"
)

// ParseZoneStat reads the name of a statistic as Envoy's metrics service and its admin page have it,
// "cluster.<name>.zone.<from>.<to>.upstream_rq_<what>". from is the zone of the proxy, as its node spells it.
//
// It takes the zone of the proxy to tell a zone statistic from one of a cluster whose host has a label "zone": of
// "cluster.outbound|443||api.zone.example.com.upstream_rq_200" the dots tell no more than of a zone statistic. Istio
// since 1.23 ends the cluster's name by ";", which is taken into account. It returns [ErrZoneStat] for a name without
// zones, and for every name if from is empty: Envoy keeps no zone statistics then. [ErrZoneAmbiguous] means that the name
// holds the zone several times. It does not allocate.
func ParseZoneStat(name, from string) (ZoneStat, error) {
	rest, ok := strings.CutPrefix(name, clusterPrefix)
	if !ok || from == "" {
		return ZoneStat{}, ErrZoneStat
	}
	head, stat, ok := cutLast(rest, zoneStat)
	if !ok || (stat != "" && stat[0] != '_') || strings.IndexByte(stat, '.') >= 0 {
		return ZoneStat{}, ErrZoneStat
	}
	pair, to, ok := cutLast(head, ".")
	if !ok || to == "" || strings.ContainsAny(to, ";|") {
		return ZoneStat{}, ErrZoneStat
	}
	pair, ok = strings.CutSuffix(pair, from)
	if !ok {
		return ZoneStat{}, ErrZoneStat
	}
	cluster, ok := strings.CutSuffix(pair, zoneMarker)
	if !ok || (cluster != "" && cluster[len(cluster)-1] != '.') || cluster == "." {
		return ZoneStat{}, ErrZoneStat
	}
	cluster = strings.TrimSuffix(cluster, ".")
	if i := strings.IndexByte(cluster, ';'); i >= 0 && i != len(cluster)-1 {
		return ZoneStat{}, ErrZoneStat // The name of the cluster ends before, so what follows is no pair of zones.
	}
	if holdsZone(cluster, from) {
		return ZoneStat{}, ErrZoneAmbiguous
	}
	return ZoneStat{
		Cluster: strings.TrimSuffix(cluster, ";"), From: from, To: to, Stat: name[len(name)-len(zoneStat)-len(stat)+1:],
	}, nil
}

// holdsZone says whether "zone." and the zone are labels of a name.
func holdsZone(name, zone string) bool {
	for rest := name; ; {
		i := strings.Index(rest, zoneMarker)
		if i < 0 {
			return false
		}
		begins := i == 0 || rest[i-1] == '.'
		rest = rest[i+len(zoneMarker):]
		if tail, ok := strings.CutPrefix(rest, zone); ok && begins && (tail == "" || tail[0] == '.' || tail[0] == ';') {
			return true
		}
	}
}

// cutLast cuts at the last separator.
func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
