// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/world"
)

// answer is what the processors said of an item.
type answer struct {
	Item int `json:"item"`
	// Reporter is the near end on the resource.
	Reporter map[string]string `json:"reporter,omitempty"`
	// Mesh is mesh.* of the item.
	Mesh map[string]string `json:"mesh,omitempty"`
}

var reporterKeys = []string{"k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.node.name", "cloud.region", "cloud.availability_zone"}

// meshKeys of an item that are input, not an answer.
var notAnswers = []string{"mesh.upstream.", "mesh.downstream.", "mesh.span."}

// answers reads what came out, by item.
func answers(outs []data) map[int]answer {
	found := map[int]answer{}
	for _, d := range outs {
		d.eachOf(func(resource, attrs pcommon.Map) {
			number, ok := attrs.Get(itemKey)
			if !ok {
				return
			}
			a := answer{Item: int(number.Int()), Reporter: map[string]string{}, Mesh: map[string]string{}}
			for _, key := range reporterKeys {
				if v, ok := resource.Get(key); ok {
					a.Reporter[key] = v.AsString()
				}
			}
			for key, v := range attrs.All() {
				input := slices.ContainsFunc(notAnswers, func(p string) bool { return strings.HasPrefix(key, p) })
				if strings.HasPrefix(key, "mesh.") && !input {
					a.Mesh[key] = v.AsString()
				}
			}
			found[a.Item] = a
		})
	}
	return found
}

// words are what can have told an end's cluster.
var words = []string{"tag", "peer_metadata", "endpoint_metadata", "ip", "label", "span_pair", "gateway", "trust_domain"}

// wrong compares an answer with the truth and returns everything that it says and is not so. What it does not say is not
// wrong.
func wrong(a answer, truth *call, reporter *world.Place) (all []string) {
	differ := func(what, said, is string) {
		if said != "" && said != is {
			all = append(all, fmt.Sprintf("%s is %q and not %q", what, is, said))
		}
	}
	for _, side := range []struct {
		name string
		end  *end
	}{{"source", &truth.Source}, {"destination", &truth.Destination}} {
		said := func(field string) string { return a.Mesh["mesh."+side.name+"."+field] }
		for field, is := range fields(side.end) {
			if field != "service" {
				differ(side.name+" "+field, said(field), is)
			}
		}
		// Where the workload is not known, the service is the one that was called.
		is := side.end.Service
		if said("workload") == "" && side.end.Called != "" {
			is = side.end.Called
		}
		differ(side.name+" service", said("service"), is)
		word := a.Mesh["mesh.resolution."+side.name]
		told := slices.Contains(words, word)
		if told != (said("cluster") != "") || told == strings.HasPrefix(word, "unknown:") {
			all = append(all, fmt.Sprintf("%s cluster %q does not go with the resolution %q", side.name, said("cluster"), word))
		}
	}
	if via := a.Mesh["mesh.via"]; via != "" && (truth.Via == "" || (via != "east_west" && via != truth.Via)) {
		all = append(all, fmt.Sprintf("via is %q and not %q", truth.Via, via))
	}
	if tls := a.Mesh["mesh.tls"]; tls != "unknown" {
		differ("tls", tls, truth.TLS)
	}
	if locality := a.Mesh["mesh.traffic.locality"]; locality != "unknown" {
		differ("locality", locality, localityOf(truth))
	}
	differ("cross_cluster", a.Mesh["mesh.traffic.cross_cluster"], crossCluster(truth))
	if reporter != nil {
		near := reporter.End()
		for key, is := range map[string]string{
			"k8s.cluster.name": near.Cluster, "k8s.namespace.name": near.Namespace, "k8s.pod.name": reporter.Pod.Name,
			"k8s.node.name": reporter.Pod.Node, "cloud.region": near.Region, "cloud.availability_zone": near.Zone,
		} {
			// "Kubernetes" is the proxy's word for a cluster without an id, which nobody could replace.
			if a.Reporter[key] != "Kubernetes" {
				differ("the reporter's "+key, a.Reporter[key], is)
			}
		}
	}
	slices.Sort(all)
	return all
}

func fields(e *end) map[string]string {
	return map[string]string{
		"cluster": e.Cluster, "region": e.Region, "zone": e.Zone, "network": e.Network, "namespace": e.Namespace,
		"workload": e.Workload, "service": e.Service, "version": e.Version, "principal": e.Principal,
	}
}

// localityOf says how far apart the ends really are.
func localityOf(c *call) string {
	s, d := &c.Source, &c.Destination
	switch {
	case s.Region == "" || d.Region == "":
		return ""
	case s.Region != d.Region:
		return "cross_region"
	case s.Zone != d.Zone:
		return "cross_zone"
	}
	return "same_zone"
}

func crossCluster(c *call) string {
	if c.Source.Cluster == "" || c.Destination.Cluster == "" {
		return ""
	}
	return strconv.FormatBool(c.Source.Cluster != c.Destination.Cluster)
}

// missesOf lists the ends that are in the mesh and were not named, or by their cluster alone.
func missesOf(a answer, truth *call) (all []miss) {
	for _, side := range []struct {
		name string
		end  *end
	}{{"source", &truth.Source}, {"destination", &truth.Destination}} {
		if side.end.Cluster == "" {
			continue
		}
		reason := a.Mesh["mesh.resolution."+side.name]
		switch {
		case a.Mesh["mesh."+side.name+".cluster"] == "":
			all = append(all, miss{End: side.name, Named: "nothing", Reason: reason})
		case a.Mesh["mesh."+side.name+".workload"] == "" && side.end.Workload != "":
			all = append(all, miss{End: side.name, Named: "cluster", Reason: reason})
		}
	}
	return all
}

// count is what the table says of the ends of one signal and role.
type count struct {
	items int
	// ends are those in the mesh; cluster, workload and zone how many of them were named.
	ends, cluster, workload, zone int
	// outside are those that are not in the mesh, or were never chosen: nothing must name them.
	outside int
	// facts are the attributes that were said, wrong those that are not so.
	facts, wrong int
}

func (n *count) add(a answer, truth *call) {
	for _, side := range []struct {
		name string
		end  *end
	}{{"source", &truth.Source}, {"destination", &truth.Destination}} {
		for field := range maps.Keys(fields(side.end)) {
			if a.Mesh["mesh."+side.name+"."+field] != "" {
				n.facts++
			}
		}
		if side.end.Cluster == "" {
			n.outside++
			continue
		}
		n.ends++
		said := func(field string) int { return min(len(a.Mesh["mesh."+side.name+"."+field]), 1) }
		n.cluster += said("cluster")
		n.workload += said("workload")
		n.zone += said("zone")
	}
}
