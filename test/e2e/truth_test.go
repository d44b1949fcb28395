// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	domain "github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// end reads one end of a call from an item's custom dimensions.
func end(properties map[string]string, side string) domain.End {
	p := "mesh." + side + "."
	return domain.End{
		Cluster: properties[p+"cluster"], Region: properties[p+"region"], Zone: properties[p+"zone"], Network: properties[p+"network"],
		Namespace: properties[p+"namespace"], Workload: properties[p+"workload"], Service: properties[p+"service"],
		Version: properties[p+"version"], Principal: properties[p+"principal"],
	}
}

// fits says whether what is known of an end agrees with a pod of the layout.
func fits(e, truth domain.End) bool {
	ok := func(said, is string) bool { return said == "" || said == is }
	return ok(e.Cluster, truth.Cluster) && ok(e.Region, truth.Region) && ok(e.Zone, truth.Zone) && ok(e.Network, truth.Network) &&
		ok(e.Namespace, truth.Namespace) && ok(e.Workload, truth.Workload) && ok(e.Service, truth.Service) &&
		ok(e.Version, truth.Version) && ok(e.Principal, truth.Principal)
}

// podOf is the pod that an item comes from: the role instance, as the Application Map shows it.
func podOf(item ingestiontest.Item) string { return item.RoleInstance }

// checkPoint compares what a metric point says about its two ends, which is no more than its dimensions.
func checkPoint(item ingestiontest.Item) []string {
	var wrong []string
	for _, side := range []string{"source", "destination"} {
		if e := end(item.Properties(), side); !anyPodFits(e) {
			wrong = append(wrong, fmt.Sprintf("no pod of the mesh is this %s: %+v", side, e))
		}
	}
	// The agents add them up: they are of a workload, and of no pod.
	if podOf(item) != "" {
		wrong = append(wrong, fmt.Sprintf("the role instance is %q, want none", podOf(item)))
	}
	if !slices.ContainsFunc(mesh.Truth(), func(p mesh.PodTruth) bool {
		return item.Role == p.End.Service+"."+p.End.Namespace+"@"+p.End.Cluster
	}) {
		wrong = append(wrong, fmt.Sprintf("the role %q is nobody's of the mesh", item.Role))
	}
	return wrong
}

// checkItem compares everything that an item says about its two ends with the layout, and returns what is wrong.
func checkItem(item ingestiontest.Item) []string {
	properties := item.Properties()
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, side := range []string{"source", "destination"} {
		e := end(properties, side)
		resolution := properties["mesh.resolution."+side]
		if resolution == "" {
			say("mesh.resolution.%s is missing", side)
		}
		if (e.Cluster == "") != strings.HasPrefix(resolution, "unknown:") {
			say("mesh.resolution.%s is %q with cluster %q", side, resolution, e.Cluster)
		}
		if !anyPodFits(e) {
			say("no pod of the mesh is this %s: %+v", side, e)
		}
	}
	wrong = append(wrong, checkNear(item)...)
	wrong = append(wrong, checkWay(properties)...)
	wrong = append(wrong, checkAddress(properties)...)
	return wrong
}

func anyPodFits(e domain.End) bool {
	for _, truth := range mesh.Truth() {
		if fits(e, truth.End) {
			return true
		}
	}
	return false
}

// checkNear: the role instance is a pod; role, resource and one end of the call must be that pod.
func checkNear(item ingestiontest.Item) []string {
	properties, pod := item.Properties(), podOf(item)
	truth, ok := mesh.TruthOf(pod)
	if !ok {
		return []string{fmt.Sprintf("the role instance %q is no pod of the mesh", pod)}
	}
	var wrong []string
	for key, want := range map[string]string{
		"k8s.cluster.name": truth.End.Cluster, "k8s.namespace.name": truth.End.Namespace, "k8s.node.name": truth.Node,
		"k8s.deployment.name": truth.End.Workload, "cloud.region": truth.End.Region, "cloud.availability_zone": truth.End.Zone,
	} {
		if properties[key] != want {
			wrong = append(wrong, fmt.Sprintf("%s is %q, want %q", key, properties[key], want))
		}
	}
	if want := truth.End.Service + "." + truth.End.Namespace + "@" + truth.End.Cluster; item.Role != want {
		wrong = append(wrong, fmt.Sprintf("the role is %q, want %q", item.Role, want))
	}
	if truth.Gateway { // it carries calls and is no end of one
		return wrong
	}
	if source, destination := end(properties, "source"), end(properties, "destination"); (source.Workload == "" || !fits(source, truth.End)) && (destination.Workload == "" || !fits(destination, truth.End)) {
		wrong = append(wrong, "neither end is the reporting pod "+pod)
	}
	return wrong
}

// checkWay: what is said of the way between the ends must follow from the ends.
func checkWay(properties map[string]string) []string {
	var wrong []string
	source, destination := end(properties, "source"), end(properties, "destination")
	if want := domain.Locality(&source, &destination); properties["mesh.traffic.locality"] != want {
		wrong = append(wrong, fmt.Sprintf("mesh.traffic.locality is %q, want %q", properties["mesh.traffic.locality"], want))
	}
	want := ""
	if source.Cluster != "" && destination.Cluster != "" {
		want = strconv.FormatBool(source.Cluster != destination.Cluster)
	}
	if properties["mesh.traffic.cross_cluster"] != want {
		wrong = append(wrong, fmt.Sprintf("mesh.traffic.cross_cluster is %q, want %q", properties["mesh.traffic.cross_cluster"], want))
	}
	if via := properties["mesh.via"]; via != "" && !strings.Contains(via, "istio-eastwestgateway") {
		wrong = append(wrong, fmt.Sprintf("mesh.via is %q", via))
	}
	return wrong
}

// checkAddress: the endpoint that the proxy chose is evidence independent of what the processor made of it.
func checkAddress(properties map[string]string) []string {
	host, _, err := net.SplitHostPort(properties["mesh.upstream.host"])
	if err != nil || !strings.HasPrefix(properties["envoy.upstream.cluster"], "outbound|") {
		return nil
	}
	truth, ok := mesh.TruthOf(host)
	if !ok {
		return nil
	}
	destination := end(properties, "destination")
	if truth.Gateway {
		if destination.Workload == truth.End.Workload {
			return []string{"the east/west gateway shows as the called end"}
		}
		return nil
	}
	if !fits(destination, truth.End) || destination.Workload == "" {
		return []string{fmt.Sprintf("the endpoint was %s (%s), the destination says %+v", host, truth.Pod, destination)}
	}
	return nil
}

// checkPair compares the two items of one call: each saw its own end, so what the other says of it must agree.
func checkPair(dependency, request ingestiontest.Item) []string {
	var wrong []string
	caller, _ := mesh.TruthOf(podOf(dependency))
	callee, _ := mesh.TruthOf(podOf(request))
	if e := end(dependency.Properties(), "destination"); !fits(e, callee.End) {
		wrong = append(wrong, fmt.Sprintf("the caller says it called %+v, %s answered", e, callee.Pod))
	}
	if e := end(request.Properties(), "source"); !fits(e, caller.End) {
		wrong = append(wrong, fmt.Sprintf("the callee says %+v called, it was %s", e, caller.Pod))
	}
	return wrong
}

// TestTheCheckerSeesWrongAnswers prevents the bug that "no wrong answers" means "nothing was compared".
func TestTheCheckerSeesWrongAnswers(t *testing.T) {
	right := map[string]string{
		"k8s.cluster.name": west, "k8s.namespace.name": "bookinfo", "k8s.node.name": "aks-pool-0",
		"k8s.deployment.name": "productpage-v1", "cloud.region": "westeurope", "cloud.availability_zone": "westeurope-1",
		"mesh.source.cluster": west, "mesh.source.workload": "productpage-v1", "mesh.source.region": "westeurope", "mesh.source.zone": "westeurope-1",
		"mesh.destination.cluster": west, "mesh.destination.workload": "details-v1", "mesh.destination.region": "westeurope", "mesh.destination.zone": "westeurope-1",
		"mesh.resolution.source": "tag", "mesh.resolution.destination": "ip",
		"mesh.traffic.locality": "same_zone", "mesh.traffic.cross_cluster": "false",
		"mesh.upstream.host": "127.1.0.25:9080", "envoy.upstream.cluster": "outbound|9080||details.bookinfo.svc.cluster.local",
	}
	assert.Empty(t, checkItem(dependencyWith(right)))
	for key, value := range map[string]string{
		"k8s.cluster.name": north, "cloud.region": "northeurope", "mesh.source.cluster": north, "mesh.destination.cluster": north,
		"mesh.destination.workload": "ratings-v1", "mesh.destination.region": "", "mesh.source.zone": "westeurope-2",
		"mesh.resolution.destination": "unknown:no_evidence", "mesh.resolution.source": "", "mesh.traffic.locality": "cross_zone",
		"mesh.traffic.cross_cluster": "true", "mesh.via": "somewhere", "mesh.upstream.host": "127.1.0.41:9080",
	} {
		changed := maps.Clone(right)
		changed[key] = value
		assert.NotEmpty(t, checkItem(dependencyWith(changed)), "%s = %q", key, value)
	}
}
