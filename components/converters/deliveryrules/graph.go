// SPDX-License-Identifier: Apache-2.0

package deliveryrules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// graph is what of a configuration the rules are about.
type graph struct {
	exporters map[string]any
	pipelines map[string]pipeline
	// persistent are the exporters with a queue on disk that are in a pipeline.
	persistent map[string]map[string]any
	// used are the exporters that are in a pipeline.
	used map[string]bool
}

type pipeline struct{ receivers, processors, exporters []string }

func newGraph(whole map[string]any) *graph {
	g := &graph{exporters: section(whole, "exporters"), pipelines: map[string]pipeline{}, persistent: map[string]map[string]any{}, used: map[string]bool{}}
	for name, value := range section(section(whole, "service"), "pipelines") {
		settings, _ := value.(map[string]any)
		p := pipeline{receivers: names(settings["receivers"]), processors: names(settings["processors"]), exporters: names(settings["exporters"])}
		g.pipelines[name] = p
		for _, id := range p.exporters {
			g.used[id] = true
		}
	}
	for id, value := range g.exporters {
		settings, _ := value.(map[string]any)
		if g.used[id] && onDisk(section(settings, "sending_queue")) {
			g.persistent[id] = settings
		}
	}
	return g
}

func section(of map[string]any, key string) map[string]any {
	value, _ := of[key].(map[string]any)
	return value
}

func names(value any) []string {
	list, _ := value.([]any)
	out := make([]string, 0, len(list))
	for _, v := range list {
		if name, ok := v.(string); ok {
			out = append(out, name)
		}
	}
	return out
}

// onDisk says whether a sending_queue keeps its requests in a storage.
func onDisk(queue map[string]any) bool {
	if enabled, ok := queue["enabled"].(bool); ok && !enabled {
		return false
	}
	storage, _ := queue["storage"].(string)
	return storage != ""
}

// knows says whether there is an exporter or a pipeline of this name.
func (g *graph) knows(name string) bool {
	_, exporter := g.exporters[name]
	_, pipeline := g.pipelines[name]
	return exporter || pipeline
}

// holders are the processors that acknowledge data and hold it in memory, with what to do about it.
var holders = map[string]string{
	"batch":          "remove it, and write exporters::%s::sending_queue::batch: {sizer: items, flush_timeout: 1s, min_size: 2000, max_size: 8000}",
	"tail_sampling":  "a kill loses all spans that wait for their decision, and what exporter %s then refuses is lost, too; accept that, or sample at the head",
	"groupbytrace":   "a kill loses all spans that wait, and what exporter %s then refuses is lost, too; tail_sampling needs no such processor",
	"group_by_trace": "a kill loses all spans that wait, and what exporter %s then refuses is lost, too; tail_sampling needs no such processor",
}

// holdRule refuses a processor that holds data in memory, and from which it comes to a queue on disk.
func (g *graph) holdRule(name string, allowed []string) (errs []error) {
	for _, processor := range g.pipelines[name].processors {
		kind, _, _ := strings.Cut(processor, "/")
		advice, holds := holders[kind]
		if !holds {
			continue
		}
		reached := g.reach(name)
		for _, id := range slices.Sorted(maps.Keys(reached)) {
			if slices.Contains(allowed, id) {
				continue
			}
			errs = append(errs, fmt.Errorf("service::pipelines::%s::processors: %s holds in memory what was acknowledged, before the queue on disk of exporter %s%s: "+
				advice, name, processor, id, reached[id], id))
		}
	}
	return errs
}

// reach returns the exporters with a queue on disk that the data of a pipeline comes to, with the connectors on the way.
// A connector is followed to pipelines of its own signal: to others it gives something that it made of the data.
func (g *graph) reach(name string) map[string]string {
	found, seen := map[string]string{}, map[string]bool{}
	signal := signalOf(name)
	var walk func(name, way string)
	walk = func(name, way string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, id := range g.pipelines[name].exporters {
			if _, persistent := g.persistent[id]; persistent {
				found[id] = way
				continue
			}
			for _, next := range slices.Sorted(maps.Keys(g.pipelines)) {
				if signalOf(next) == signal && slices.Contains(g.pipelines[next].receivers, id) {
					walk(next, way+" (through "+id+")")
				}
			}
		}
	}
	walk(name, "")
	return found
}

func signalOf(pipeline string) string {
	signal, _, _ := strings.Cut(pipeline, "/")
	return signal
}
