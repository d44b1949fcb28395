// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// bench feeds an engine with objects, without a server.
type bench struct {
	t        *testing.T
	e        *engine
	deltas   []*topology.Delta
	findings []topology.Finding
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t}
	s, err := New(Settings{
		Cluster: "c1", Scope: ScopeCluster, Client: ClientSettings{Config: &rest.Config{Host: "http://127.0.0.1:1"}},
		Report: func(f topology.Finding) { b.findings = append(b.findings, f) },
	})
	require.NoError(t, err)
	b.e = newEngine(s, func(d *topology.Delta) { b.deltas = append(b.deltas, d) })
	b.e.start = func(*watcher) {}
	for _, r := range s.resources() {
		b.e.follow(r, true)
	}
	b.e.take(&message{kind: messageCluster, value: identityItem{uid: "u1", version: "v1.33.2"}})
	return b
}

func (b *bench) watcher(plural string) *watcher {
	for _, w := range b.e.watchers {
		if w.resource.plural == plural {
			return w.watcher
		}
	}
	b.t.Fatal("no watcher of", plural)
	return nil
}

func (b *bench) put(plural string, objects ...runtime.Object) {
	w := b.watcher(plural)
	for _, o := range objects {
		m := message{watcher: w, name: nameOf(o.(metav1.Object)), value: w.resource.trim(o, observed), observed: observed, listing: w.listing}
		if m.value == nil {
			m.kind = messageGone
		}
		b.e.take(&m)
	}
}

func (b *bench) drop(plural, namespace, name string) {
	b.e.take(&message{watcher: b.watcher(plural), kind: messageGone, name: topology.ObjectName{Namespace: namespace, Name: name}, observed: observed})
}

// full ends all listings.
func (b *bench) full() *topology.Delta {
	for _, w := range b.e.watchers {
		if !w.settled {
			b.e.take(&message{watcher: w.watcher, kind: messageSynced, observed: observed, listing: w.listing})
		}
	}
	b.e.first()
	return b.last()
}

func (b *bench) flush() *topology.Delta {
	b.deltas = nil
	b.e.flush()
	if len(b.deltas) == 0 {
		return &topology.Delta{}
	}
	return b.last()
}

func (b *bench) last() *topology.Delta {
	require.NotEmpty(b.t, b.deltas)
	return b.deltas[len(b.deltas)-1]
}

func named(namespace, name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}
}

func aNode(name, zone, cidr string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: named("", name, map[string]string{labelRegion: "westeurope", labelZone: zone, labelAKSCluster: "mc"}),
		Spec:       corev1.NodeSpec{ProviderID: "azure:///subscriptions/x", PodCIDR: cidr},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: "192.168.0.4"}, {Type: corev1.NodeHostName, Address: name},
		}},
	}
}

func namespaceWith(network string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: named("", "istio-system", map[string]string{labelNetwork: network})}
}

func meshMap(name, mesh, networks string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: named("istio-system", name, nil), Data: map[string]string{"mesh": mesh, "meshNetworks": networks}}
}

func TestFacts(t *testing.T) {
	b := newBench(t)
	b.put("nodes", aNode("n1", "westeurope-1", "10.244.0.0/24"), aNode("n2", "2", "10.244.1.0/24"), aNode("n3", "0", "10.244.4.0/24"))
	b.put("namespaces", namespaceWith("net-we"))
	b.put("configmaps", meshMap("istio", "trustDomain: mesh.example\ndefaultConfig: {meshId: m1}\n", ""))
	istiodPod := aPod("istiod-1", "u", "10.0.0.1", "1")
	istiodPod.Namespace, istiodPod.Labels = "istio-system", map[string]string{"app": "istiod", labelRevision: "canary"}
	istiodPod.Spec.Containers = []corev1.Container{{Name: "discovery", Image: "istio/pilot:1.27.1"}}
	b.put("pods", istiodPod)
	b.put("mutatingwebhookconfigurations", &metav1.PartialObjectMetadata{ObjectMeta: named("", "t1", map[string]string{labelTag: "prod", labelRevision: "canary"})})
	d := b.full()
	assert.Equal(t, &topology.ClusterFacts{
		UID: "u1", Region: "westeurope", Zones: []string{"westeurope-1", "westeurope-2"}, Provider: "azure", Platform: "azure.aks",
		Network: "net-we", MeshID: "m1", TrustDomain: "mesh.example", KubernetesVersion: "v1.33.2",
		Istio:    []topology.IstioRevision{{Revision: "canary", Version: "1.27.1", Tags: []string{"prod"}}},
		PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/23"), netip.MustParsePrefix("10.244.4.0/24")},
	}, d.Facts)
	assert.Equal(t, topology.NodeSpec{Name: "n2", Zone: "westeurope-2", Region: "westeurope", Addresses: []netip.Addr{netip.MustParseAddr("192.168.0.4")}}, d.Nodes[1])
	assert.Equal(t, "metadata.name=istio-canary", b.e.watchers[len(b.e.watchers)-1].resource.fields, "its mesh configuration is followed")

	b.put("nodes", aNode("n1", "westeurope-1", "10.244.0.0/24"))
	assert.Nil(t, b.flush().Nodes, "a heartbeat is no news")
	other := aNode("n4", "northeurope-1", "")
	other.Labels[labelRegion] = "northeurope"
	b.put("nodes", other)
	assert.Empty(t, b.flush().Facts.Region, "nodes that do not agree")
	b.drop("nodes", "", "n4")
	d = b.flush()
	assert.Equal(t, "westeurope", d.Facts.Region)
	assert.Equal(t, []string{"n4"}, d.GoneNodes)
	b.drop("pods", "istio-system", "istiod-1")
	assert.Empty(t, b.flush().Facts.Istio)
	b.put("configmaps", meshMap("istio", "trustDomain: [", ""))
	assert.Nil(t, b.flush().Facts, "what it said before stays")
	require.Len(t, b.findings, 1)
	assert.Equal(t, topology.KindInvalidObject, b.findings[0].Kind)
	b.put("configmaps", meshMap("istio", "{}", ""))
	assert.Equal(t, "cluster.local", b.flush().Facts.TrustDomain)
}

func TestNetworks(t *testing.T) {
	const networks = `
networks:
  vm-net: {endpoints: [{fromCidr: 10.0.0.0/8}, {fromCidr: 10.0.9.0/24}]}
  special: {endpoints: [{fromCidr: 10.0.1.0/24}]}
`
	b := newBench(t)
	b.put("configmaps", meshMap("istio", "", networks))
	labeled := aPod("c", "uc", "10.0.1.3", "1")
	labeled.Labels[labelNetwork] = "own"
	b.put("pods", aPod("a", "ua", "10.0.1.1", "1"), aPod("b", "ub", "172.16.0.1", "1"), labeled)
	d := b.full()
	assert.Equal(t, []string{"special", "", "own"}, []string{d.Pods[0].Network, d.Pods[1].Network, d.Pods[2].Network})
	assert.Empty(t, d.Facts.Network)
	select {
	case <-b.watcher("pods").relist:
		t.Fatal("listed again for nothing")
	default:
	}
	// A registry places the whole cluster, before any range, and the namespace's label goes before that.
	b.put("configmaps", meshMap("istio", "", networks+"  whole: {endpoints: [{fromRegistry: c1}]}\n"))
	assert.Equal(t, "whole", b.flush().Facts.Network)
	<-b.watcher("pods").relist
	b.put("pods", aPod("a", "ua", "10.0.1.1", "1"))
	d = b.flush()
	assert.Equal(t, "a", podNames(d), "told again for its network")
	assert.Empty(t, d.Pods[0].Network)
	b.put("namespaces", namespaceWith("label"))
	assert.Equal(t, "label", b.flush().Facts.Network)
	b.drop("namespaces", "", "istio-system")
	assert.Equal(t, "whole", b.flush().Facts.Network)
}

func gatewayService(namespace, name, network string, ips ...string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: named(namespace, name, map[string]string{labelNetwork: network})}
	s.Spec.ClusterIP = "10.96.0.9"
	s.Spec.Ports = []corev1.ServicePort{{Port: 15021}, {Port: 443, TargetPort: intstr.FromInt32(15443)}}
	for _, ip := range ips {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	return s
}

func sliceOf(namespace, service, pod string, zones ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: named(namespace, service+"-x", map[string]string{labelServiceName: service}), AddressType: discoveryv1.AddressTypeIPv4}
	for _, z := range zones {
		ready := z != "down"
		e := discoveryv1.Endpoint{Zone: &z, Conditions: discoveryv1.EndpointConditions{Ready: &ready}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod}}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

func addresses(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestServiceGateways(t *testing.T) {
	b := newBench(t)
	b.put("services", gatewayService("istio-system", "eastwest", "net-a", "20.1.1.1", "2001:db8::1"))
	d := b.full()
	want := topology.GatewaySpec{Name: "eastwest", Namespace: "istio-system", Addresses: addresses("20.1.1.1", "2001:db8::1"), Port: 443, Network: "net-a"}
	assert.Equal(t, []topology.GatewaySpec{want}, d.Gateways)
	gatewayPod := aPod("gw-1", "ug", "10.0.0.5", "1")
	gatewayPod.Namespace = "istio-system"
	gatewayPod.OwnerReferences = ownedBy("ReplicaSet", "gw-deploy-5d8f")
	b.put("pods", gatewayPod)
	b.put("endpointslices", sliceOf("istio-system", "eastwest", "gw-1", "westeurope-1"))
	want.Name = "gw-deploy"
	assert.Equal(t, []topology.GatewaySpec{want}, b.flush().Gateways, "named after the workload behind the service")

	s := gatewayService("istio-system", "eastwest", "net-a")
	s.Labels[labelGatewayPort] = "16443"
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "lb.example"}}
	s.Spec.ExternalIPs = []string{"20.2.2.2", "no-address"}
	b.put("services", s)
	want.Addresses, want.Port = addresses("20.2.2.2"), 16443
	assert.Equal(t, []topology.GatewaySpec{want}, b.flush().Gateways)
	require.Len(t, b.findings, 1)
	assert.Contains(t, b.findings[0].Detail, "lb.example")
	b.drop("services", "istio-system", "eastwest")
	d = b.flush()
	assert.NotNil(t, d.Gateways)
	assert.Empty(t, d.Gateways)
}

func gatewayOf(class, raw string) *gatewayResource {
	g := &gatewayResource{}
	if err := json.Unmarshal([]byte(raw), g); err != nil {
		panic(err)
	}
	g.Name, g.Namespace, g.Labels, g.Spec.GatewayClassName = "ew", "istio-system", map[string]string{labelNetwork: "net-b"}, class
	return g
}

func TestGatewayAPI(t *testing.T) {
	const status = `{"spec":{"listeners":[{"port":80,"protocol":"HTTP"},{"port":15018,"protocol":"HBONE"}]},"status":{"addresses":[{"type":"IPAddress","value":"20.3.3.3"},{"type":"Hostname","value":"h.example"}]}}`
	b := newBench(t)
	b.put("gateways", gatewayOf(classEastWest, status))
	// Istio makes a service for it, with the same label.
	s := gatewayService("istio-system", "ew-istio-east-west", "net-b", "20.3.3.3")
	s.Labels[labelGatewayPort] = "15018"
	b.put("services", s)
	want := topology.GatewaySpec{Name: "ew-istio-east-west", Namespace: "istio-system", Addresses: addresses("20.3.3.3"), Port: 15018, Network: "net-b"}
	assert.Equal(t, []topology.GatewaySpec{want}, b.full().Gateways)
	b.put("gateways", gatewayOf(classRemote, `{"spec":{"addresses":[{"type":"IPAddress","value":"20.4.4.4"}]}}`))
	b.drop("services", "istio-system", "ew-istio-east-west")
	want = topology.GatewaySpec{Name: "ew", Namespace: "istio-system", Addresses: addresses("20.4.4.4"), Port: 15008, Network: "net-b", Remote: true}
	assert.Equal(t, []topology.GatewaySpec{want}, b.flush().Gateways)
	b.put("gateways", gatewayOf("nginx", status))
	assert.Empty(t, b.flush().Gateways)
}

func TestMeshNetworkGateways(t *testing.T) {
	const networks = `
networks:
  own:
    endpoints: [{fromRegistry: c1}]
    gateways: [{registryServiceName: ingress.istio-system.svc.cluster.local, port: 443}]
  other:
    endpoints: [{fromRegistry: c2}]
    gateways: [{address: 20.9.9.9, port: 15443}, {address: gw.example, port: 15443}, {registryServiceName: ingress.istio-system.svc.cluster.local}]
`
	b := newBench(t)
	s := gatewayService("istio-system", "ingress", "", "20.5.5.5")
	delete(s.Labels, labelNetwork)
	b.put("services", s)
	b.put("configmaps", meshMap("istio", "", networks))
	assert.Equal(t, []topology.GatewaySpec{
		{Name: "other", Namespace: "istio-system", Addresses: addresses("20.9.9.9"), Port: 15443, Network: "other", Remote: true},
		{Name: "ingress", Namespace: "istio-system", Addresses: addresses("20.5.5.5"), Port: 443, Network: "own"},
	}, b.full().Gateways)
	require.Len(t, b.findings, 1)
	assert.Contains(t, b.findings[0].Detail, "gw.example")
}

func TestServicesAndEndpoints(t *testing.T) {
	b := newBench(t)
	b.put("nodes", aNode("n1", "westeurope-1", ""))
	s := &corev1.Service{ObjectMeta: named("shop", "cart", nil), Spec: corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.1", "fd00::96"}, Ports: []corev1.ServicePort{{Port: 80}}}}
	headless := &corev1.Service{ObjectMeta: named("shop", "db", nil), Spec: corev1.ServiceSpec{ClusterIP: "None"}}
	b.put("services", s, headless)
	b.put("endpointslices", sliceOf("shop", "cart", "p", "westeurope-1", "1", "0", "down"))
	six := sliceOf("shop", "cart", "p", "1")
	six.Name, six.AddressType = "cart-six", discoveryv1.AddressTypeIPv6
	b.put("endpointslices", six)
	d := b.full()
	want := topology.ServiceSpec{
		Name: "cart", Namespace: "shop", Addresses: addresses("10.96.0.1", "fd00::96"), Ports: []uint16{80},
		Endpoints:   []topology.ZoneEndpoints{{Ready: 1, Total: 1}, {Zone: "down", Total: 1}, {Zone: "westeurope-1", Ready: 2, Total: 2}},
		EndingKnown: true,
	}
	assert.Equal(t, []topology.ServiceSpec{want, {Name: "db", Namespace: "shop"}}, d.Services)

	b.put("services", s)
	assert.Empty(t, b.flush().Services, "nothing changed")
	b.put("endpointslices", sliceOf("shop", "cart", "p", "1"))
	assert.Empty(t, b.flush().Services, "counts wait")
	b.e.tick()
	want.Endpoints = []topology.ZoneEndpoints{{Zone: "westeurope-1", Ready: 1, Total: 1}}
	assert.Equal(t, []topology.ServiceSpec{want}, b.flush().Services)

	count := func() {
		b.e.pending.countsAt = time.Time{}
		b.e.tick()
	}
	scaledDown := sliceOf("shop", "cart", "p", "1", "1", "down")
	for i := 1; i < 3; i++ {
		scaledDown.Endpoints[i].Conditions.Ready, scaledDown.Endpoints[i].Conditions.Terminating = new(false), new(true)
	}
	b.drop("endpointslices", "shop", "cart-six")
	b.put("endpointslices", scaledDown)
	count()
	want.Endpoints = []topology.ZoneEndpoints{{Zone: "down", Total: 1, Ending: 1}, {Zone: "westeurope-1", Ready: 1, Total: 2, Ending: 1}}
	assert.Equal(t, []topology.ServiceSpec{want}, b.flush().Services)
	b.put("endpointslices", sliceOf("shop", "cart", ""))
	count()
	told := b.flush().Services
	require.Len(t, told, 1)
	assert.NotNil(t, told[0].Endpoints, "none is a number")
	assert.Empty(t, told[0].Endpoints)
	b.drop("endpointslices", "shop", "cart-x")
	count()
	told = b.flush().Services
	require.Len(t, told, 1)
	assert.Nil(t, told[0].Endpoints, "without a slice nobody knows")
	assert.False(t, told[0].EndingKnown)
	b.drop("services", "shop", "cart")
	assert.Equal(t, []topology.ObjectName{{Namespace: "shop", Name: "cart"}}, b.flush().GoneServices)
}

func TestCustomResources(t *testing.T) {
	b := newBench(t)
	var entry serviceEntry
	require.NoError(t, json.Unmarshal([]byte(`{"metadata":{"name":"ext","namespace":"shop"},"spec":{"hosts":["api.example"],"addresses":["240.0.0.1","10.0.0.0/8"],"location":"MESH_INTERNAL","ports":[{"number":443},{"number":99999}],"endpoints":[{"address":"10.7.7.7","locality":"westeurope/1/x"},{"address":"unix:///x"}]}}`), &entry))
	var rule, plain destinationRule
	require.NoError(t, json.Unmarshal([]byte(`{"metadata":{"name":"r","namespace":"shop"},"spec":{"host":"cart","trafficPolicy":{"outlierDetection":{},"loadBalancer":{"localityLbSetting":{"enabled":false,"failover":[{"from":"a","to":"b"}],"failoverPriority":["x"]}}}}}`), &rule))
	require.NoError(t, json.Unmarshal([]byte(`{"metadata":{"name":"p","namespace":"shop"},"spec":{"host":"x"}}`), &plain))
	var vm workloadEntry
	require.NoError(t, json.Unmarshal([]byte(`{"metadata":{"name":"vm-1","namespace":"shop","uid":"u","annotations":{"istio.io/autoRegistrationGroup":"vms"}},"spec":{"address":"10.8.8.8","labels":{"app":"legacy"},"network":"vm-net","locality":"westeurope/2","serviceAccount":"sa"}}`), &vm))
	b.put("serviceentries", &entry)
	b.put("destinationrules", &rule, &plain)
	b.put("workloadentries", &vm)
	d := b.full()
	assert.Equal(t, []topology.ServiceSpec{{
		Name: "ext", Namespace: "shop", Hosts: []string{"api.example"}, Addresses: addresses("240.0.0.1", "10.7.7.7"), Ports: []uint16{443},
		Endpoints: []topology.ZoneEndpoints{{Ready: 1, Total: 1}, {Zone: "westeurope-1", Ready: 1, Total: 1}},
	}}, d.Services)
	assert.Equal(t, []topology.FailoverSpec{{Namespace: "shop", Name: "r", Host: "cart", From: []string{"a"}, To: []string{"b"}, Priority: []string{"x"}, Disabled: true, OutlierDetection: true}}, d.Failovers)
	require.Len(t, d.Pods, 1)
	p := d.Pods[0]
	assert.Equal(t, []string{"vm-1", "vms", "workloadentry", "legacy", "vm-net", "westeurope", "westeurope-2", "sa"},
		[]string{p.Name, p.Workload, p.Kind, p.Service, p.Network, p.Region, p.Zone, p.ServiceAccount})
	// The names of pods and entries meet in one place.
	b.put("pods", aPod("vm-1", "up", "10.0.0.1", "1"))
	assert.Equal(t, "deployment", b.flush().Pods[0].Kind)
	vm.Spec.Address = "10.8.8.9"
	b.put("workloadentries", &vm)
	assert.Empty(t, b.flush().Pods)
	assert.Len(t, b.findings, 1)

	// A definition that is gone takes its objects with it.
	w := b.watcher("serviceentries")
	b.e.take(&message{watcher: w, kind: messageAbsent, listing: w.listing, observed: observed})
	assert.Len(t, b.flush().GoneServices, 1)
}

// In a delta ends count before beginnings, so one pod's beginning and end must not be in the same.
func TestBeginningIsToldBeforeItsEnd(t *testing.T) {
	b := newBench(t)
	b.put("pods", aPod("early", "u0", "10.0.0.9", "1"), aPod("early-2", "u9", "10.0.0.8", "1"), aPod("early-3", "u8", "10.0.0.7", "1"))
	b.drop("pods", "shop", "early")
	b.put("pods", aPod("early-3", "u8", "10.0.0.6", "2"))
	d := b.full()
	assert.Equal(t, "early-3 early-2", podNames(d), "nobody heard of the other")
	assert.Equal(t, addresses("10.0.0.6"), d.Pods[0].Addresses)
	assert.Empty(t, d.GonePods)

	b.deltas = nil
	b.put("pods", aPod("a", "ua", "10.0.0.1", "6"))
	b.drop("pods", "shop", "a")
	b.put("pods", aPod("a", "ub", "10.0.0.2", "8"))
	b.e.flush()
	require.Len(t, b.deltas, 2)
	assert.Equal(t, []string{"a", "", "a", "a"}, []string{podNames(b.deltas[0]), endNames(b.deltas[0]), podNames(b.deltas[1]), endNames(b.deltas[1])})
	assert.Equal(t, uidOf("ua"), b.deltas[1].GonePods[0].UID)
	assert.Equal(t, uidOf("ub"), b.deltas[1].Pods[0].UID)

	// A finished pod gave up what its status still says.
	done := aPod("a", "ub", "10.0.0.2", "9")
	done.Status.Phase = corev1.PodFailed
	b.put("pods", done)
	d = b.flush()
	assert.Equal(t, "a", endNames(d))
	b.drop("pods", "shop", "a")
	assert.Empty(t, b.flush().GonePods, "it ended before")
}

func TestMergePrefixes(t *testing.T) {
	parse := func(list ...string) (out []netip.Prefix) {
		for _, p := range list {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	assert.Equal(t, parse("10.0.0.0/22", "fd00::/64"), mergePrefixes(parse("10.0.3.0/24", "10.0.0.0/24", "fd00::/64", "10.0.2.0/24", "10.0.1.0/24", "10.0.1.0/25"), 8))
	assert.Equal(t, parse("10.0.1.0/24", "10.0.2.0/24"), mergePrefixes(parse("10.0.1.0/24", "10.0.2.0/24"), 8), "neighbors that are no halves")
	assert.Equal(t, parse("10.0.0.0/22"), mergePrefixes(parse("10.0.1.0/24", "10.0.2.0/24"), 1))
	assert.Equal(t, parse("0.0.0.0/0", "::/0"), mergePrefixes(parse("10.0.0.0/8", "fd00::/8"), 1), "two families never meet")
}
