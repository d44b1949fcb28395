// SPDX-License-Identifier: Apache-2.0

package deliveryrules

import (
	"fmt"
	"slices"
	"strings"
)

// balancingRule refuses what loses data in a load_balancing exporter: the queue of each of its endpoints, which is there
// unless it is turned off, and the routing of metrics by service, which drops resources without a service name.
func (g *graph) balancingRule(id string) (errs []error) {
	kind, _, _ := strings.Cut(id, "/")
	if !g.used[id] || kind != "load_balancing" && kind != "loadbalancing" {
		return nil
	}
	settings := section(g.exporters, id)
	queue := section(section(section(settings, "protocol"), "otlp"), "sending_queue")
	if enabled, ok := queue["enabled"].(bool); !ok || enabled {
		errs = append(errs, fmt.Errorf("exporters::%s::protocol::otlp::sending_queue is not turned off: each endpoint then has a queue, "+
			"whose requests were acknowledged, and are gone when the endpoint leaves: write {enabled: false}", id))
	}
	if key := text(settings["routing_key"]); (key == "" || key == "service") && g.has(id, "metrics") {
		errs = append(errs, fmt.Errorf("exporters::%s::routing_key: service, also by default, drops metrics whose resource has no service.name: "+
			"write attributes, and routing_attributes: [service.name], in an exporter for metrics", id))
	}
	return errs
}

// has says whether the exporter is in a pipeline of the signal.
func (g *graph) has(id, signal string) bool {
	for name, p := range g.pipelines {
		if signalOf(name) == signal && slices.Contains(p.exporters, id) {
			return true
		}
	}
	return false
}
