// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// schema compiles inventory.proto.
func schema(t *testing.T) protoreflect.MessageDescriptors {
	t.Helper()
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{"."}},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), "inventory.proto")
	require.NoError(t, err)
	require.Equal(t, protoreflect.FullName("otelcolmesh.inventory.v1"), files[0].Package())
	return files[0].Messages()
}

// TestSchemaIsTrue decodes what the encoder wrote by the documented schema alone: the documentation cannot lie.
func TestSchemaIsTrue(t *testing.T) {
	descriptor := schema(t).ByName("Inventory")
	for seed := range uint64(200) {
		g := newGenerator(seed)
		d := g.delta(8)
		e := NewEncoder("west", "u", 1)
		for m := range e.Delta(d) {
			want, _, err := Decode(&m)
			require.NoError(t, err)
			require.Equal(t, normal(&Update{Delta: *d}), normal(want))
			require.Equal(t, normal(want), normal(read(t, descriptor, &m)), "seed %d", seed)
		}
		past := g.past(5)
		c := contentOf(d)
		c.past, c.gonePods, c.goneNodes, c.goneServices = slices.Values(past), nil, nil, nil
		for m := range e.whole(c, d.At, d.Made) {
			got := read(t, descriptor, &m)
			require.Equal(t, past, got.Past)
			require.Equal(t, none(d.Pods), got.Pods)
		}
	}
}

// TestSchemaIsDocumented holds every field of the file to having a comment.
func TestSchemaIsDocumented(t *testing.T) {
	messages := schema(t)
	for i := range messages.Len() {
		locations := messages.Get(i).ParentFile().SourceLocations()
		require.NotEmpty(t, locations.ByDescriptor(messages.Get(i)).LeadingComments, messages.Get(i).Name())
		fields := messages.Get(i).Fields()
		for j := range fields.Len() {
			require.NotEmpty(t, locations.ByDescriptor(fields.Get(j)).LeadingComments, fields.Get(j).FullName())
		}
	}
}

// record reads fields of a message by their names in the schema.
type record struct {
	t *testing.T
	protoreflect.Message
	strings []string
	base    int64
}

func (r record) field(name string) protoreflect.FieldDescriptor {
	r.t.Helper()
	f := r.Descriptor().Fields().ByName(protoreflect.Name(name))
	require.NotNil(r.t, f, "%s has no field %s", r.Descriptor().Name(), name)
	return f
}

func (r record) index(name string) string {
	i := r.Get(r.field(name)).Uint()
	if i == 0 {
		return ""
	}
	return r.strings[i-1]
}

func (r record) text(name string) string { return r.Get(r.field(name)).String() }
func (r record) uint(name string) uint64 { return r.Get(r.field(name)).Uint() }
func (r record) bool(name string) bool   { return r.Get(r.field(name)).Bool() }

func (r record) uid() (uid topology.UID) {
	copy(uid[:], r.Get(r.field("uid")).Bytes())
	return uid
}

func (r record) texts(name string) (out []string) {
	list := r.Get(r.field(name)).List()
	for i := range list.Len() {
		out = append(out, list.Get(i).String())
	}
	return out
}

func (r record) addresses() (out []netip.Addr) {
	list := r.Get(r.field("addresses")).List()
	for i := range list.Len() {
		a, ok := netip.AddrFromSlice(list.Get(i).Bytes())
		require.True(r.t, ok)
		out = append(out, a)
	}
	return out
}

func (r record) each(name string) func(func(record) bool) {
	list := r.Get(r.field(name)).List()
	return func(yield func(record) bool) {
		for i := range list.Len() {
			if !yield(record{r.t, list.Get(i).Message(), r.strings, r.base}) {
				return
			}
		}
	}
}

// times follows the schema's words about two moments, of which the second is relative to the first.
func (r record) times(first, second string) (a, b time.Time) {
	base := r.base
	if r.Has(r.field(first)) {
		base += r.Get(r.field(first)).Int()
		a = time.UnixMilli(base).UTC()
	}
	if r.Has(r.field(second)) {
		b = time.UnixMilli(base + r.Get(r.field(second)).Int()).UTC()
	}
	return a, b
}

// read decodes a message by the schema.
func read(t *testing.T, descriptor protoreflect.MessageDescriptor, m *Message) *Update {
	t.Helper()
	message := dynamicpb.NewMessage(descriptor)
	require.NoError(t, proto.Unmarshal(m.Body, message))
	require.Empty(t, message.GetUnknown(), "the encoder writes what the schema does not know")
	r := record{t: t, Message: message}
	if !m.At.IsZero() {
		r.base = m.At.UnixMilli()
	}
	r.strings = r.texts("strings")
	u := &Update{Delta: topology.Delta{Cluster: m.Cluster, At: m.At, Full: m.Kind == KindSnapshot}}
	r.readCluster(u)
	_, u.Made = r.times("more", "made_ms")
	for n := range r.each("nodes") {
		u.Nodes = append(u.Nodes, topology.NodeSpec{
			Name: n.index("name"), Zone: n.index("zone"), Region: n.index("region"), Addresses: n.addresses(),
		})
	}
	u.GoneNodes = r.texts("gone_nodes")
	for s := range r.each("services") {
		u.Services = append(u.Services, s.service())
	}
	for o := range r.each("gone_services") {
		u.GoneServices = append(u.GoneServices, topology.ObjectName{Namespace: o.index("namespace"), Name: o.text("name")})
	}
	workloads := slices.Collect(r.each("workloads"))
	for p := range r.each("pods") {
		u.Pods = append(u.Pods, p.pod(workloads))
	}
	for p := range r.each("gone_pods") {
		end := topology.PodEnd{
			Namespace: p.index("namespace"), Name: p.index("name_prefix") + p.text("name_suffix"), UID: p.uid(), Gap: p.bool("gap"),
		}
		end.Earliest, end.Latest = p.times("earliest_ms", "latest_ms")
		u.GonePods = append(u.GonePods, end)
	}
	for p := range r.each("past_pods") {
		past := PastPod{PodState: p.pod(workloads), Gap: p.bool("gap")}
		past.Earliest, past.Latest = p.times("earliest_ms", "latest_ms")
		u.Past = append(u.Past, past)
	}
	return u
}

func (r record) pod(workloads []record) topology.PodState {
	var w record
	if i := r.uint("workload"); i > 0 {
		w = workloads[i-1]
	} else {
		r.t.Fatal("a pod without a workload")
	}
	s := topology.PodState{
		PodSpec: topology.PodSpec{
			Name: r.index("name_prefix") + r.text("name_suffix"), Addresses: r.addresses(), Node: r.index("node"),
			Network: r.index("network"), Region: r.index("region"), Zone: r.index("zone"),
		},
		UID: r.uid(), Namespace: w.index("namespace"), Workload: w.index("name"), Kind: w.index("kind"), Service: w.index("service"),
		Version: w.index("version"), ServiceAccount: w.index("service_account"), Revision: w.index("revision"), Waypoint: w.bool("waypoint"), HostNetwork: r.bool("host_network"), Unseen: r.bool("unseen"),
	}
	s.Since, s.Seen = r.times("since_ms", "seen_ms")
	return s
}

func (r record) service() topology.ServiceSpec {
	s := topology.ServiceSpec{
		Namespace: r.index("namespace"), Name: r.text("name"), Addresses: r.addresses(), Hosts: r.texts("hosts"),
		External: r.bool("external"), EndingKnown: r.bool("ending_known"), Canonical: r.index("canonical"),
	}
	ports := r.Get(r.field("ports")).List()
	for i := range ports.Len() {
		s.Ports = append(s.Ports, uint16(ports.Get(i).Uint()))
	}
	if r.bool("endpoints_known") {
		s.Endpoints = []topology.ZoneEndpoints{}
	}
	for e := range r.each("endpoints") {
		s.Endpoints = append(s.Endpoints, topology.ZoneEndpoints{
			Zone: e.index("zone"), Ready: uint32(e.uint("ready")), Total: uint32(e.uint("total")), Ending: uint32(e.uint("ending")),
		})
	}
	return s
}

// readCluster reads what concerns the cluster as a whole.
func (r record) readCluster(u *Update) {
	inner := func(name string) record {
		return record{r.t, r.Get(r.field(name)).Message(), r.strings, r.base}
	}
	if r.Has(r.field("facts")) {
		f := inner("facts")
		u.Facts = &topology.ClusterFacts{
			UID: f.text("uid"), Region: f.text("region"), Zones: f.texts("zones"), Provider: f.text("provider"),
			Platform: f.text("platform"), Network: f.text("network"), MeshID: f.text("mesh_id"),
			TrustDomain: f.text("trust_domain"), KubernetesVersion: f.text("kubernetes_version"),
		}
		for i := range f.each("istio") {
			u.Facts.Istio = append(u.Facts.Istio, topology.IstioRevision{
				Revision: i.text("revision"), Version: i.text("version"), Tags: i.texts("tags"),
			})
		}
		list := f.Get(f.field("pod_cidrs")).List()
		for i := range list.Len() {
			b := list.Get(i).Bytes()
			a, ok := netip.AddrFromSlice(b[:len(b)-1])
			require.True(r.t, ok)
			u.Facts.PodCIDRs = append(u.Facts.PodCIDRs, netip.PrefixFrom(a, int(b[len(b)-1])))
		}
	}
	if r.Has(r.field("gateways")) {
		u.Gateways = []topology.GatewaySpec{}
		for g := range inner("gateways").each("gateways") {
			u.Gateways = append(u.Gateways, topology.GatewaySpec{
				Namespace: g.index("namespace"), Name: g.text("name"), Addresses: g.addresses(), Port: uint16(g.uint("port")),
				Network: g.index("network"), Remote: g.bool("remote"),
			})
		}
	}
	if r.Has(r.field("failovers")) {
		u.Failovers = []topology.FailoverSpec{}
		for f := range inner("failovers").each("failovers") {
			u.Failovers = append(u.Failovers, topology.FailoverSpec{
				Namespace: f.index("namespace"), Name: f.text("name"), Host: f.text("host"), From: f.texts("from"),
				To: f.texts("to"), Priority: f.texts("priority"), Disabled: f.bool("disabled"),
				OutlierDetection: f.bool("outlier_detection"),
			})
		}
	}
}
