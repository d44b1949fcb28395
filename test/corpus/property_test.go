// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/world"
)

// encoding is one way to write a call down.
type encoding struct {
	name string
	// tagged says that the custom tags of the guide are in it.
	tagged bool
	// nameless says that it does not name the Envoy cluster, and so not the service that was called where nothing tells
	// the workload: told to write the new names alone, Envoy leaves it out.
	nameless bool
	write    func(f family, side encode.Role, c encode.Call)
}

func encodings() []encoding {
	span := func(names encode.Names) func(family, encode.Role, encode.Call) {
		return func(f family, side encode.Role, c encode.Call) {
			f.span(encode.SpanOf{Role: side}, c, shot{name: "span", style: named(31, names)})
		}
	}
	return []encoding{
		{"legacy span", true, false, span(encode.Legacy)},
		{"span with new names", true, true, span(encode.New)},
		{"span with both names", true, false, span(encode.Both)},
		{"access log service", true, false, func(f family, side encode.Role, c encode.Call) {
			f.als(side, c, shot{name: "als", style: guided(31)})
		}},
		{"OTLP labels", true, false, func(f family, side encode.Role, c encode.Call) {
			f.otlp(side, c, shot{name: "labels", style: guided(31)}, true)
		}},
		{"OTLP text", false, false, func(f family, side encode.Role, c encode.Call) {
			f.otlp(side, c, shot{name: "text", style: istio(31)}, false)
		}},
		{"JSON", false, false, func(f family, side encode.Role, c encode.Call) {
			f.json(side, c, shot{name: "json", style: istio(31)}, false)
		}},
		{"parsed JSON", false, false, func(f family, side encode.Role, c encode.Call) {
			f.json(side, c, shot{name: "parsed", style: istio(31)}, true)
		}},
		{"metric", false, false, func(f family, side encode.Role, c encode.Call) {
			reporter := encode.Source
			if side == encode.SidecarInbound {
				reporter = encode.Destination
			}
			f.metric(side, reporter, c, shot{name: "metric", style: istio(31)})
		}},
	}
}

// TestOneCallOneAnswer is a property: however one call is written down, the same is said of it. Calls are drawn from the
// pods of several meshes.
//
//   - Within a network every encoding gives the same facts: the cluster, region, zone, network, namespace, workload,
//     service, version and principal of both ends, how far apart they are, and the gateway.
//   - Between networks the encodings that carry the guide's tags agree with each other, and so do those that carry
//     addresses alone, which know less.
//   - What any two of them say of the same call never differs, and none is wrong.
func TestOneCallOneAnswer(t *testing.T) {
	als := startEnvoyLogs(t)
	for _, topology := range []string{"two-networks", "flat", "gloo", "dual-stack", "three-regions"} {
		draw := rand.New(rand.NewPCG(1, 2))
		for range 12 {
			c, direct := anyCall(topology, draw)
			for _, side := range []encode.Role{encode.SidecarOutbound, encode.SidecarInbound} {
				name := fmt.Sprintf("%s %s to %s, %s", topology, c.From.Pod.Name, c.To.Pod.Name, side)
				t.Run(name, func(t *testing.T) { oneCall(t, als, topology, side, c, direct) })
			}
		}
	}
}

// anyCall draws a call between two workloads, and says whether they are in one network.
func anyCall(topology string, draw *rand.Rand) (c encode.Call, direct bool) {
	f := family{topology: topology}
	file, err := world.Read(topologyFile(topology))
	if err != nil {
		panic(err)
	}
	pods := slices.DeleteFunc(file.Pods(), func(p world.Place) bool { return strings.HasPrefix(p.Workload.Name, "istio-") })
	from := pods[draw.IntN(len(pods))]
	others := slices.DeleteFunc(slices.Clone(pods), func(p world.Place) bool { return p.Workload.Name == from.Workload.Name })
	to := others[draw.IntN(len(others))]
	c = f.http(from.Cluster.Name+"/"+from.Pod.Name, to.Cluster.Name+"/"+to.Pod.Name,
		to.Workload.Service+"."+to.Workload.Namespace+".svc.cluster.local", 8080)
	if from.End().Network == to.End().Network {
		return c, true
	}
	// Through the gateway of the called network, one of whose pods the called side sees.
	for i := range file.Clusters {
		gatewayCluster := &file.Clusters[i]
		if gatewayCluster.Network == to.End().Network && len(gatewayCluster.Gateways) > 0 {
			c.Through, c.ThroughCluster = &gatewayCluster.Gateways[0], gatewayCluster
		}
	}
	return c, false
}

func oneCall(t *testing.T, als *envoyLogs, topology string, side encode.Role, c encode.Call, direct bool) {
	t.Helper()
	truth := truthOf(&c)
	if c.Through != nil {
		c.Client = gatewayPod(topology, &c).IP()
	}
	all, first := map[string]map[string]string{}, map[bool]string{}
	for _, e := range encodings() {
		var cases []made
		e.write(family{topology, &cases}, side, c)
		a := cases[0].answer(t, als)
		require.Empty(t, wrong(a, &truth, nil), "%s: a wrong end", e.name)
		facts := factsOf(a)
		metric := e.name == "metric"
		for other, theirs := range all {
			agree(t, e.name, facts, other, theirs)
		}
		all[e.name] = facts
		switch {
		case metric && direct:
			assertMetric(t, all["legacy span"], facts, &c)
		case metric:
			assert.Equal(t, c.To.Workload.Name, facts["mesh.destination.workload"], "a metric names both ends")
		case first[e.tagged || direct] == "":
			first[e.tagged || direct] = e.name
		default:
			with := first[e.tagged || direct]
			theirs := maps.Clone(all[with])
			if e.nameless && theirs["mesh.destination.workload"] == "" {
				delete(theirs, "mesh.destination.service")
			}
			assert.Equal(t, theirs, facts, "%s and %s", with, e.name)
		}
	}
	if direct {
		assert.Equal(t, c.From.Workload.Name, all["JSON"]["mesh.source.workload"])
		assert.Equal(t, c.To.Workload.Name, all["JSON"]["mesh.destination.workload"])
	}
}

func gatewayPod(topology string, c *encode.Call) world.Place {
	for _, p := range worlds()[topology].Pods() {
		if p.IsGateway() && p.End().Network == c.To.End().Network {
			return p
		}
	}
	panic("no gateway into " + c.To.End().Network)
}

// answer runs a case without its folder.
func (m *made) answer(t *testing.T, als *envoyLogs) answer {
	t.Helper()
	in := &m.Inputs[0]
	d := decode(t, m.files[in.File], in, als)
	require.Equal(t, 1, d.mark(0))
	a, ok := answers(m.through(t, []data{d}))[0]
	require.True(t, ok)
	return a
}

// factsOf leaves out what told them, which depends on the encoding, and TLS, of which texts tell nothing.
func factsOf(a answer) map[string]string {
	facts := maps.Clone(a.Mesh)
	maps.DeleteFunc(facts, func(key, value string) bool {
		return strings.HasPrefix(key, "mesh.resolution.") || key == "mesh.tls" || (key == "mesh.traffic.locality" && value == "unknown")
	})
	return facts
}

func agree(t *testing.T, name string, facts map[string]string, other string, theirs map[string]string) {
	t.Helper()
	for key, value := range facts {
		if said, ok := theirs[key]; ok {
			assert.Equal(t, said, value, "%s of %s and of %s", key, other, name)
		}
	}
}

// assertMetric holds a metric to the same facts but one: its labels name no pod, so the zone of the other end is known
// only if all pods of the workload are in it.
func assertMetric(t *testing.T, span, metric map[string]string, c *encode.Call) {
	t.Helper()
	for key, value := range span {
		several := (strings.HasPrefix(key, "mesh.source.zone") && zones(c.From) > 1) ||
			(strings.HasPrefix(key, "mesh.destination.zone") && zones(c.To) > 1) ||
			(key == "mesh.traffic.locality" && (zones(c.From) > 1 || zones(c.To) > 1))
		if _, said := metric[key]; said || !several {
			assert.Equal(t, value, metric[key], "%s of the span and of the metric", key)
		}
	}
}

// zones counts the zones of the workload's pods.
func zones(p *world.Place) int {
	all := map[string]bool{}
	for i := range p.Workload.Pods {
		all[world.Place{Cluster: p.Cluster, Workload: p.Workload, Pod: &p.Workload.Pods[i]}.End().Zone] = true
	}
	return len(all)
}
