// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"strconv"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// zoneIndex is the zones of a snapshot, by which they are found in the names of metrics. Making one visits every node, so
// it is made when a zone statistic comes, once for a snapshot.
type zoneIndex struct {
	snapshot *topology.Snapshot
	zones    envoy.Zones
}

// azureZones is how many availability zones a region of Azure has at most.
const azureZones = 3

// zonesOf returns the zones that the snapshot knows. An agent knows its own node: on Azure the zones of its region have
// names that follow from it, so those are known, too.
func (m *meshTopology) zonesOf(s *topology.Snapshot) envoy.Zones {
	if held := m.zones.Load(); held != nil && held.snapshot == s {
		return held.zones
	}
	var names []string
	for c := range s.Clusters() {
		for node := range s.Nodes(c.Name) {
			names = append(names, node.Zone)
		}
		if c.Provider == "azure" && c.Region != "" {
			for i := 1; i <= azureZones; i++ {
				// The proxy spells its own zone without the region.
				names = append(names, c.Region+"-"+strconv.Itoa(i), strconv.Itoa(i))
			}
		}
	}
	// Beyond the ceiling no zone is known, and the points go without.
	zones, _ := envoy.NewZones(names)
	m.zones.Store(&zoneIndex{snapshot: s, zones: zones})
	return zones
}

// zoneStat reads the zones out of the name of a metric, as Envoy's Prometheus page has it, or its metrics service. ok is
// false for any other metric, and for one in which the zones cannot be told for sure.
func (b *batch) zoneStat(name string) (stat envoy.ZoneStat, ok bool) {
	if strings.HasPrefix(name, "envoy_cluster_zone_") {
		stat, err := b.m.zonesOf(b.snapshot).ParseMetric(name)
		return stat, err == nil
	}
	if !strings.Contains(name, "zone.") {
		return envoy.ZoneStat{}, false
	}
	near := &b.reported.near
	stat, err := envoy.ParseZoneStat(name, near.End.Zone)
	if err != nil {
		// The proxy spells its own zone as its instance metadata does.
		stat, err = envoy.ParseZoneStat(name, bareZone(near))
	}
	return stat, err == nil
}

// bareZone returns the zone of the reporter without its region.
func bareZone(near *rules.Near) string {
	bare, ok := strings.CutPrefix(near.End.Zone, near.End.Region+"-")
	if !ok || near.End.Region == "" {
		return ""
	}
	return bare
}
