// SPDX-License-Identifier: Apache-2.0

package envoy

import "strings"

// maxZones is the number of zones a mesh can have here. All clouds together have about 400.
const maxZones = 1024

const zoneMetricPrefix = "envoy_cluster_zone_"

// Zones are the zones of a mesh, by which zones are found in the names of Prometheus metrics. It is immutable and safe
// for concurrent use; the zero value knows no zone.
type Zones struct {
	known []zone
}

// zone is a zone as it is spelled, and as it is written in a metric's name.
type zone struct{ name, written string }

// NewZones returns the zones of a mesh, as proxies and endpoints spell them: on Azure that may be "1" as well as
// "westeurope-1". Empty and repeated names do not count. ok is false beyond 1024 zones.
func NewZones(names []string) (zones Zones, ok bool) {
	seen := make(map[string]struct{}, len(names))
	for _, name := range names {
		if _, again := seen[name]; again || name == "" {
			continue
		}
		if len(zones.known) == maxZones {
			return Zones{}, false
		}
		seen[name] = struct{}{}
		zones.known = append(zones.known, zone{name: name, written: strings.Map(prometheusRune, name)})
	}
	return zones, true
}

// prometheusRune is what Envoy writes for a character in the name of a metric (Envoy source/server/admin,
// PrometheusStatsFormatter).
func prometheusRune(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_':
		return r
	}
	return '_'
}

// ParseMetric reads the name of a Prometheus metric, "envoy_cluster_zone_<from>_<to>_upstream_rq_<what>", of which a
// label names the cluster. In it '-' became '_', so that the name does not show where a zone ends: it is read by the
// zones that are known. [ErrZoneAmbiguous] means that several pairs of zones, or two zones that are written alike, give
// this name; [ErrZoneUnknown] that none does; [ErrZoneStat] that the name is that of another metric, or has the
// cluster in it. It does not allocate.
func (z Zones) ParseMetric(name string) (ZoneStat, error) {
	rest, ok := strings.CutPrefix(name, zoneMetricPrefix)
	if !ok || !strings.Contains(rest, "_upstream_rq") {
		return ZoneStat{}, ErrZoneStat
	}
	var found ZoneStat
	for _, from := range z.known {
		tail, ok := strings.CutPrefix(rest, from.written)
		if !ok || !strings.HasPrefix(tail, "_") {
			continue
		}
		for _, to := range z.known {
			stat, ok := strings.CutPrefix(tail[1:], to.written)
			if !ok || !isZoneStat(stat) {
				continue
			}
			if found != (ZoneStat{}) {
				return ZoneStat{}, ErrZoneAmbiguous
			}
			found = ZoneStat{From: from.name, To: to.name, Stat: stat[1:]}
		}
	}
	if found == (ZoneStat{}) {
		return ZoneStat{}, ErrZoneUnknown
	}
	return found, nil
}

// isZoneStat says whether the end of a name is "_upstream_rq", or that and what of it.
func isZoneStat(s string) bool {
	what, ok := strings.CutPrefix(s, "_upstream_rq")
	return ok && (what == "" || what[0] == '_')
}
