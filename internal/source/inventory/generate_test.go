// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the present of the tests.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 123456789, time.UTC)

// milli returns a moment that the wire format carries unchanged.
func milli(t time.Time) time.Time { return t.Truncate(time.Millisecond) }

func ago(d time.Duration) time.Time { return milli(noon).Add(-d) }

// generator makes up what sources may say.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 1))} }

func (g generator) maybe() bool { return g.IntN(2) == 0 }

func (g generator) pick(values ...string) string { return values[g.IntN(len(values))] }

func (g generator) time() time.Time {
	if g.IntN(4) == 0 {
		return time.Time{}
	}
	return ago(time.Duration(g.IntN(90*86400*1000)-5000) * time.Millisecond)
}

func (g generator) addresses(most int) []netip.Addr {
	var list []netip.Addr
	for range g.IntN(most + 1) {
		if g.maybe() {
			list = append(list, netip.AddrFrom4([4]byte{10, byte(g.IntN(256)), byte(g.IntN(256)), byte(g.IntN(256))}))
			continue
		}
		raw := [16]byte{0xfd}
		binary.BigEndian.PutUint64(raw[8:], g.Uint64())
		list = append(list, netip.AddrFrom16(raw))
	}
	return list
}

func (g generator) texts(most int) []string {
	var list []string
	for i := range g.IntN(most + 1) {
		list = append(list, fmt.Sprintf("text-%d", i))
	}
	return list
}

func (g generator) uid() (uid topology.UID) {
	if g.IntN(8) > 0 {
		binary.BigEndian.PutUint64(uid[:], g.Uint64())
		uid[15] = 1
	}
	return uid
}

func (g generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.IntN(256))
	}
	return b
}

func (g generator) name() string {
	return g.pick("", "web-", "reviews-v1-6d5f7c9b8-", "a-b-c-", "-") + fmt.Sprintf("x%04x", g.IntN(1<<16))
}

func (g generator) pod() topology.PodState {
	return topology.PodState{
		PodSpec: topology.PodSpec{
			Name: g.name(), Addresses: g.addresses(3), Node: g.pick("", "node-1", "node-2"), Network: g.pick("", "other"),
			Region: g.pick("", "r1"), Zone: g.pick("", "r1-1"),
		},
		UID: g.uid(), Namespace: g.pick("shop", "pay"), Workload: g.pick("reviews-v1", "web"), Kind: g.pick("", "deployment"),
		Service: g.pick("", "reviews"), Version: g.pick("", "v1", "1.10"), ServiceAccount: g.pick("", "default"), Revision: g.pick("", "5d8f", "reviews-66cc"),
		Waypoint: g.maybe(), HostNetwork: g.maybe(), Unseen: g.maybe(), Since: g.time(), Seen: g.time(),
	}
}

func (g generator) service() topology.ServiceSpec {
	s := topology.ServiceSpec{
		Namespace: g.pick("shop", "pay"), Name: g.name(), Addresses: g.addresses(3), Hosts: g.texts(3), External: g.maybe(),
	}
	for range g.IntN(4) {
		s.Ports = append(s.Ports, uint16(g.IntN(1<<16)))
	}
	if g.maybe() {
		s.Endpoints = []topology.ZoneEndpoints{}
		for range g.IntN(3) {
			s.Endpoints = append(s.Endpoints, topology.ZoneEndpoints{Zone: g.pick("", "r1-1"), Ready: g.Uint32(), Total: g.Uint32(), Ending: g.Uint32()})
		}
		s.EndingKnown, s.Canonical = g.maybe(), g.pick("", "reviews", "ratings")
	}
	return s
}

func (g generator) facts() *topology.ClusterFacts {
	f := &topology.ClusterFacts{
		UID: g.pick("", "6f3a"), Region: g.pick("", "westeurope"), Zones: g.texts(3), Provider: g.pick("", "azure"),
		Platform: g.pick("", "azure.aks"), Network: g.pick("", "n1"), MeshID: g.pick("", "mesh1"),
		TrustDomain: g.pick("", "cluster.local"), KubernetesVersion: g.pick("", "v1.33.2"),
	}
	for range g.IntN(3) {
		f.Istio = append(f.Istio, topology.IstioRevision{Revision: g.pick("default", "1-27"), Version: g.pick("", "1.27.1"), Tags: g.texts(2)})
		f.PodCIDRs = append(f.PodCIDRs, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(g.IntN(256))}), g.IntN(33)))
	}
	return f
}

func (g generator) gateways() []topology.GatewaySpec {
	list := []topology.GatewaySpec{}
	for range g.IntN(3) {
		list = append(list, topology.GatewaySpec{
			Namespace: "istio-system", Name: g.name(), Addresses: g.addresses(2), Port: uint16(g.IntN(1 << 16)),
			Network: g.pick("", "n1"), Remote: g.maybe(),
		})
	}
	return list
}

func (g generator) failovers() []topology.FailoverSpec {
	list := []topology.FailoverSpec{}
	for range g.IntN(3) {
		list = append(list, topology.FailoverSpec{
			Namespace: "shop", Name: g.name(), Host: g.pick("", "reviews"), From: g.texts(2), To: g.texts(2),
			Priority: g.texts(2), Disabled: g.maybe(), OutlierDetection: g.maybe(),
		})
	}
	return list
}

// delta returns a delta with up to so many objects of each sort.
func (g generator) delta(most int) *topology.Delta {
	d := &topology.Delta{Cluster: "west", At: noon.Add(-time.Duration(g.IntN(1e9))), Made: g.time()}
	if g.maybe() {
		d.Facts = g.facts()
	}
	if g.maybe() {
		d.Gateways = g.gateways()
	}
	if g.maybe() {
		d.Failovers = g.failovers()
	}
	for range g.IntN(most + 1) {
		d.Nodes = append(d.Nodes, topology.NodeSpec{
			Name: g.name(), Zone: g.pick("", "r1-1"), Region: g.pick("", "r1"), Addresses: g.addresses(2),
		})
		d.GoneNodes = append(d.GoneNodes, g.name())
		d.Services = append(d.Services, g.service())
		d.GoneServices = append(d.GoneServices, topology.ObjectName{Namespace: g.pick("", "shop"), Name: g.name()})
	}
	for range g.IntN(most + 1) {
		d.Pods = append(d.Pods, g.pod())
		d.GonePods = append(d.GonePods, topology.PodEnd{
			Namespace: g.pick("", "shop"), Name: g.name(), UID: g.uid(), Earliest: g.time(), Latest: g.time(), Gap: g.maybe(),
		})
	}
	return d
}

// past returns pods that ended.
func (g generator) past(n int) []PastPod {
	var list []PastPod
	for range n {
		list = append(list, PastPod{PodState: g.pod(), Earliest: g.time(), Latest: g.time(), Gap: g.maybe()})
	}
	return list
}

// realistic returns a cluster as they are: replicas of deployments with the names that Kubernetes gives, spread over
// nodes of three zones.
func realistic(pods int) *topology.Delta {
	g := newGenerator(7)
	nodes := max(pods/20, 1)
	d := &topology.Delta{Cluster: "aks-westeurope", At: noon, Full: true, Facts: &topology.ClusterFacts{
		UID: "6f3a1c2e-7b1d-4b7e-9a55-0d2f3c4b5a69", Region: "westeurope", Zones: []string{"westeurope-1", "westeurope-2", "westeurope-3"},
		Network: "network-west", TrustDomain: "cluster.local", KubernetesVersion: "v1.33.2",
	}, Gateways: []topology.GatewaySpec{}, Failovers: []topology.FailoverSpec{}}
	nodeName := func(i int) string { return fmt.Sprintf("aks-userpool-31415926-vmss%06x", i) }
	for i := range nodes {
		d.Nodes = append(d.Nodes, topology.NodeSpec{
			Name: nodeName(i), Zone: fmt.Sprintf("westeurope-%d", i%3+1),
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 224, byte(i >> 8), byte(i)})},
		})
	}
	for i := 0; len(d.Pods) < pods; i++ {
		replicas := min(1+g.IntN(9), pods-len(d.Pods))
		name := fmt.Sprintf("%s-%s-%d", g.pick("payments", "catalog", "reviews", "inventory"), g.pick("api", "worker", "web"), i)
		hash := fmt.Sprintf("%09x", g.Uint64()&0xfffffffff)
		for range replicas {
			at := len(d.Pods)
			d.Pods = append(d.Pods, topology.PodState{
				PodSpec: topology.PodSpec{
					Name: fmt.Sprintf("%s-%s-%05x", name, hash, g.IntN(1<<20)), Node: nodeName(g.IntN(nodes)),
					Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 244, byte(at >> 8), byte(at)})},
				},
				UID: topology.UID(g.bytes(16)), Namespace: fmt.Sprintf("team-%d", i%20), Workload: name, Kind: "deployment", Service: name,
				Version: "v1", ServiceAccount: name, Since: ago(time.Duration(g.IntN(30*86400)) * time.Second),
			})
			pod := &d.Pods[at]
			pod.Since = pod.Since.Truncate(time.Second)
			pod.Seen = pod.Since.Add(time.Duration(200+g.IntN(800)) * time.Millisecond)
		}
	}
	return d
}

// normal makes an update comparable: it tells an empty list from none only where that means something.
func normal(u *Update) *Update {
	c := *u
	d := &c.Delta
	d.At = d.At.UTC()
	if d.Facts != nil {
		facts := *d.Facts
		facts.Zones, facts.PodCIDRs = slices.Clip(facts.Zones), slices.Clip(facts.PodCIDRs)
		d.Facts = &facts
	}
	for _, empty := range []func(){
		func() { d.Nodes = none(d.Nodes) }, func() { d.GoneNodes = none(d.GoneNodes) },
		func() { d.Services = none(d.Services) }, func() { d.GoneServices = none(d.GoneServices) },
		func() { d.Pods = none(d.Pods) }, func() { d.GonePods = none(d.GonePods) }, func() { c.Past = none(c.Past) },
	} {
		empty()
	}
	return &c
}

func none[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

// assemble decodes messages and merges what belongs together.
func assemble(t testing.TB, messages []Message) *Update {
	t.Helper()
	var whole *Update
	for i := range messages {
		u, _, err := Decode(&messages[i])
		if err != nil {
			t.Fatal(err)
		}
		if whole == nil {
			whole = u
			continue
		}
		merge(whole, u)
	}
	return whole
}

// g4 returns one address.
func g4(last byte) []netip.Addr { return []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, last})} }

// execute does what the assembler says, as the mesh_topology extension does.
func execute(actions []Action, w *topology.Writer) {
	for i := range actions {
		switch action := &actions[i]; action.Kind {
		case ActionApply:
			for i := range action.Update.Past {
				p := &action.Update.Past[i]
				w.ApplyPast(action.Cluster, &p.PodState, p.Earliest, p.Latest, p.Gap)
			}
			w.Apply(&action.Update.Delta)
		case ActionStale:
			w.MarkStale(action.Cluster, action.Since)
		case ActionRemove:
			w.Remove(action.Cluster)
		}
	}
}
