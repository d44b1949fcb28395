// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// unguarded returns an error for each pipeline that takes what this extension verifies and compares it with nothing: there a
// sender could speak for any cluster, in one signal of three, because a file that was merged lists the processors anew. So it
// does for one that compares too late, when nobody knows any more who sent something.
func (e *clusterIdentity) unguarded(all map[string]any) (errs []error) {
	if len(e.config.Rules) == 0 {
		return nil
	}
	g := guard{connectors: keysOf(all["connectors"]), pipelines: keysOf(keysOf(all["service"])["pipelines"])}
	receivers := keysOf(all["receivers"])
	for _, name := range slices.Sorted(maps.Keys(g.pipelines)) {
		pipeline := keysOf(g.pipelines[name])
		for _, id := range idsOf(pipeline["receivers"]) {
			before := forgetful(idsOf(pipeline["processors"]))
			switch {
			case !e.verifies("", receivers[id]):
			case before != "":
				errs = append(errs, fmt.Errorf("'service::pipelines::%s::processors' has %s before cluster_identity: it answers the sender and forgets who that is, "+
					"so that everything would be refused and lost; write cluster_identity before it", name, before))
			case !g.compares(name, nil):
				errs = append(errs, fmt.Errorf("'service::pipelines::%s' has no cluster_identity processor, and takes what %s verifies at the receiver %s: "+
					"a sender could speak there for every cluster; write cluster_identity first in its 'processors', or after memory_limiter", name, e.id, id))
			}
		}
	}
	return errs
}

// forgetful returns the first processor that stands before cluster_identity and hands data on by itself, without the context of the
// request; empty if there is none. Of processors that are not here nothing is known.
func forgetful(processors []string) string {
	identity := slices.IndexFunc(processors, func(id string) bool { return kindOf(id) == "cluster_identity" })
	for _, id := range processors[:max(identity, 0)] {
		switch kindOf(id) {
		case "batch", "groupbytrace", "group_by_trace", "tail_sampling", "mesh_span_pairing":
			return id
		}
	}
	return ""
}

func kindOf(id string) string {
	kind, _, _ := strings.Cut(id, "/")
	return kind
}

// verifies says whether settings list the extension as that what tells senders apart: under 'auth', or over HTTP under
// 'middlewares'. last is the key that they stand under.
func (e *clusterIdentity) verifies(last string, settings any) bool {
	keys := keysOf(settings)
	if authenticator := keysOf(keys["auth"])["authenticator"]; authenticator != nil && fmt.Sprint(authenticator) == e.id {
		return true
	}
	if last == "http" && e.listed(keys["middlewares"]) {
		return true
	}
	for key, value := range keys {
		if e.verifies(key, value) {
			return true
		}
	}
	return false
}

// guard is what of a configuration tells where data goes.
type guard struct{ connectors, pipelines map[string]any }

// compares says whether everything that comes to a pipeline passes a cluster_identity processor, be it behind connectors. seen
// are the pipelines before it.
func (g *guard) compares(name string, seen []string) bool {
	if slices.Contains(seen, name) {
		return true
	}
	seen = append(slices.Clone(seen), name)
	pipeline := keysOf(g.pipelines[name])
	if slices.ContainsFunc(idsOf(pipeline["processors"]), func(id string) bool { return kindOf(id) == "cluster_identity" }) {
		return true
	}
	exporters := idsOf(pipeline["exporters"])
	for _, id := range exporters {
		if _, connects := g.connectors[id]; !connects {
			return false
		}
		for next, settings := range g.pipelines {
			if slices.Contains(idsOf(keysOf(settings)["receivers"]), id) && !g.compares(next, seen) {
				return false
			}
		}
	}
	return len(exporters) > 0
}

func keysOf(settings any) map[string]any {
	keys, _ := settings.(map[string]any)
	return keys
}

// idsOf reads a list of components.
func idsOf(list any) (ids []string) {
	entries, _ := list.([]any)
	for _, entry := range entries {
		ids = append(ids, fmt.Sprint(entry))
	}
	return ids
}
