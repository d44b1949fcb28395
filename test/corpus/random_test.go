// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/world"
)

var (
	draws = flag.Int("draws", 300, "how many calls TestNoDrawnCallIsWrong draws")
	seed  = flag.Uint64("seed", 1, "where TestNoDrawnCallIsWrong begins")
)

// TestNoDrawnCallIsWrong draws calls: any two pods of any mesh, any version, any settings, any failure, any proxy on the
// way, any encoding, with an agent or without, with a hub that knows all or not. What is said of them is so.
func TestNoDrawnCallIsWrong(t *testing.T) {
	als := startEnvoyLogs(t)
	topologies := []string{
		"two-networks", "flat", "three-regions", "ambient", "gloo", "every-kubernetes", "vms", "dual-stack", "host-network", "unmarked-gateway", "demo",
	}
	ends, named := 0, 0
	for n := range *draws {
		draw := rand.New(rand.NewPCG(*seed, uint64(n)))
		topology := topologies[draw.IntN(len(topologies))]
		d := drawn{Rand: draw, topology: topology, pods: worlds()[topology].Pods()}
		c, side := d.call()
		style := d.style()
		m := d.write(c, side, style)
		if draw.IntN(4) == 0 {
			m.Inputs[0].Agent = nil
		}
		m.forget = d.forget()
		a := m.answer(t, als)
		truth := &m.Calls[0]
		var got count
		got.add(a, truth)
		ends, named = ends+got.ends, named+got.cluster
		if bad := wrong(a, truth, m.reporterOf()); len(bad) > 0 {
			t.Errorf("draw %d of seed %d, %s, %s, style %+v, agent %v, %s: %s\n%s\nsaid %v", n, *seed, topology, m.path, style, m.Inputs[0].Agent, d.forgot,
				strings.Join(bad, "\n  "), m.files[m.Inputs[0].File], a.Mesh)
		}
	}
	t.Logf("%d of %d ends have their cluster", named, ends)
	require.Greater(t, named, ends/3)
}

func (m *made) reporterOf() *world.Place {
	p := m.world().Pod(m.Items[0].Reporter)
	return &p
}

// drawn draws a call of one mesh.
type drawn struct {
	*rand.Rand
	topology string
	pods     []world.Place
	// forgot says what the hub does not know.
	forgot string
}

func (d *drawn) pod() *world.Place {
	for {
		p := d.pods[d.IntN(len(d.pods))]
		carrier := p.IsGateway() || p.Workload.Waypoint || p.Workload.Name == "ztunnel" || strings.HasPrefix(p.Workload.Name, "istio-")
		if !carrier {
			return &p
		}
	}
}

// call draws who calls whom, how that goes, and which proxy writes it.
func (d *drawn) call() (c encode.Call, side encode.Role) {
	from, to := d.pod(), d.pod()
	c = encode.Call{
		From: from, To: to, Port: 8080, Protocol: "HTTP/1.1", Method: "GET", Path: "/", Status: 200, At: noon,
		Host: to.Workload.Service + "." + to.Workload.Namespace + ".svc.cluster.local",
	}
	side = encode.SidecarOutbound
	gateways := d.gatewaysInto(to)
	if from.End().Network != to.End().Network && len(gateways) > 0 {
		via := gateways[d.IntN(len(gateways))]
		for i := range via.Cluster.Gateways {
			c.Through, c.ThroughCluster = &via.Cluster.Gateways[i], via.Cluster
		}
		c.Client = via.IP()
		if d.IntN(5) == 0 {
			// kube-proxy put a node's address in the place of the gateway's.
			c.Client = to.Cluster.Nodes[0].Addresses[0]
		}
		if d.IntN(4) == 0 {
			c.Protocol, c.Proxy, c.Client = "TCP", &via, ""
			return c, encode.EastWestGateway
		}
	}
	if d.IntN(5) == 0 {
		c.Protocol = "TCP"
	}
	c.Plain = c.Through == nil && d.IntN(6) == 0
	if d.IntN(2) == 0 {
		return c, encode.SidecarInbound
	}
	d.fail(&c)
	return c, side
}

// gatewaysInto lists the pods of the gateways into the pod's network.
func (d *drawn) gatewaysInto(to *world.Place) []world.Place {
	return slices.DeleteFunc(slices.Clone(d.pods), func(p world.Place) bool {
		return !p.IsGateway() || p.End().Network != to.End().Network
	})
}

// fail lets the call fail now and then.
func (d *drawn) fail(c *encode.Call) {
	switch d.IntN(8) {
	case 0:
		c.Flags, c.Status, c.To, c.Server, c.Through, c.ThroughCluster = "UH", 503, nil, "-", nil, nil
	case 1:
		c.Flags, c.Status, c.NoAnswer = "UF,URX", 503, true
	case 2:
		c.Flags, c.Status, c.NoAnswer = "UT", 504, true
	}
}

func (d *drawn) style() encode.Style {
	s := encode.Style{Istio: 18 + d.IntN(14), Names: encode.Legacy, Peers: d.IntN(3) == 0}
	if s.Istio >= 29 {
		s.HostTag, s.WorkloadTag = d.IntN(2) == 0, d.IntN(2) == 0
		if d.IntN(2) == 0 {
			s = s.Guided()
		}
		s.Names = []encode.Names{encode.Legacy, encode.New, encode.Both}[d.IntN(3)]
	}
	switch {
	case d.topology == "every-kubernetes" || d.IntN(8) == 0:
		s.ClusterID = "Kubernetes"
	case d.IntN(8) == 0:
		s.ClusterID = "none"
	}
	return s
}

// forget draws what the hub does not know of: a whole cluster, the gateways, or some of the workloads. The limits that
// docs/resolution.md states are not drawn: a cluster alone of those that share a network, some pods of a workload, a
// workload in another network than its cluster's.
func (d *drawn) forget() func(*world.World) {
	which, kind, salt := d.IntN(8), d.IntN(6), d.Uint64()
	d.forgot = fmt.Sprintf("forgets %d of kind %d", which, kind)
	return func(w *world.World) {
		which %= len(w.Clusters)
		switch kind {
		case 0:
			network := w.Clusters[which].Network
			if slices.ContainsFunc(w.Clusters, func(c world.Cluster) bool { return c.Network != network }) {
				w.Clusters = slices.DeleteFunc(w.Clusters, func(c world.Cluster) bool { return c.Network == network })
			}
		case 1:
			w.Clusters[which].Gateways = nil
		case 2:
			draw := rand.New(rand.NewPCG(salt, 0))
			for i := range w.Clusters {
				c := &w.Clusters[i]
				c.Workloads = slices.DeleteFunc(c.Workloads, func(l world.Workload) bool {
					return draw.IntN(3) == 0 && !slices.ContainsFunc(l.Pods, func(p world.Pod) bool { return p.Network != "" })
				})
			}
		}
	}
}

// write draws the encoding.
func (d *drawn) write(c encode.Call, side encode.Role, s encode.Style) *made {
	var all []made
	f := family{d.topology, &all}
	look := shot{name: strconv.FormatUint(d.Uint64(), 10), style: s}
	kind := d.IntN(7)
	if side == encode.EastWestGateway && (kind == 0 || kind == 6) {
		// Such a gateway writes no spans.
		kind = 1
	}
	if c.Protocol == "TCP" && kind == 0 {
		kind = 2
	}
	switch kind {
	case 0, 1:
		if kind == 1 || c.Protocol == "TCP" {
			f.als(side, c, look)
			break
		}
		f.span(encode.SpanOf{Role: side}, c, look)
	case 2:
		f.otlp(side, c, look, true)
	case 3:
		f.otlp(side, c, look, false)
	case 4:
		f.json(side, c, look, d.IntN(2) == 0)
	case 5:
		f.text(side, c, look)
	case 6:
		reporter := encode.Source
		if side == encode.SidecarInbound {
			reporter = encode.Destination
		}
		f.metric(side, reporter, c, look)
	}
	return &all[0]
}
