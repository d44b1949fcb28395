// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

func (k *counting) readZones(s *topology.Snapshot, c *topology.Cluster) {
	if k.regions == nil {
		k.regions = map[string]string{}
	}
	clear(k.regions)
	for n := range s.Nodes(c.Name) {
		region := n.Region
		if region == "" {
			region = c.Region
		}
		if region == "" || n.Zone == "" {
			continue
		}
		if other, ok := k.regions[n.Zone]; ok && other != region {
			region = "" // Two regions say that it is theirs.
		}
		k.regions[n.Zone] = region
	}
}

// byRegion adds up the zones of a service; ok is false if nothing tells the region of some.
func (k *counting) byRegion(c *topology.Cluster, spec *topology.ServiceSpec) bool {
	k.counts = k.counts[:0]
	if len(spec.Endpoints) == 0 && c.Region != "" {
		k.counts = append(k.counts, regionCount{region: c.Region})
	}
	for i := range spec.Endpoints {
		z := &spec.Endpoints[i]
		region, ok := k.regions[z.Zone]
		if !ok && (z.Zone == "" || strings.HasPrefix(z.Zone, c.Region)) {
			region = c.Region
		}
		if region == "" {
			return false
		}
		n := k.of(region)
		n.ready += int(z.Ready)
		n.total += int(z.Total)
		n.ending += int(z.Ending)
	}
	return true
}

func (k *counting) of(region string) *regionCount {
	for i := range k.counts {
		if k.counts[i].region == region {
			return &k.counts[i]
		}
	}
	k.counts = append(k.counts, regionCount{region: region})
	return &k.counts[len(k.counts)-1]
}
