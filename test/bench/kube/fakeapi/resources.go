// SPDX-License-Identifier: Apache-2.0

package fakeapi

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// resourceKind is one resource of the API. Its objects have numbers from 0 to count-1.
type resourceKind struct {
	group, version, plural, kind string
	namespaced                   bool
	// custom resources come in JSON only, as from a real API server.
	custom bool
	// id tells the kinds apart in versions.
	id    int
	count int
	// object returns the object of a number as it is now. The cluster is locked for reading.
	object func(i int) runtime.Object
	// key returns what selectors need without making the object; nil takes it from the object.
	key func(i int) key
	// kept holds what was encoded before, of objects that did not change since; nil where that costs too much memory.
	kept *encodings
}

// key is what list and watch select by, besides labels.
type key struct{ namespace, name, node string }

func (r *resourceKind) apiVersion() string {
	if r.group == "" {
		return r.version
	}
	return r.group + "/" + r.version
}

// allResources is every resource that a mesh's cluster has and one of the clients might ask for.
func (c *Cluster) allResources() []*resourceKind {
	workloads := (c.pods + podsPerWorkload - 1) / podsPerWorkload
	namespaces := (workloads + workloadsPerNamespace - 1) / workloadsPerNamespace
	pods := &resourceKind{
		version: "v1", plural: "pods", kind: "Pod", namespaced: true, id: kindPod, count: c.pods,
		object: func(i int) runtime.Object { return c.podObject(i) },
		key: func(i int) key {
			p := c.pod(i)
			return key{p.Namespace, p.Name, p.Node}
		},
	}
	all := []*resourceKind{
		pods,
		{
			version: "v1", plural: "nodes", kind: "Node", id: kindNode, count: c.nodes, object: func(i int) runtime.Object { return c.nodeObject(i) },
			key: func(i int) key { return key{name: NodeName(i)} },
		},
		{
			version: "v1", plural: "services", kind: "Service", namespaced: true, id: kindService, count: workloads + 1,
			object: func(i int) runtime.Object { return c.serviceObject(i, workloads) },
		},
		{
			group: "discovery.k8s.io", version: "v1", plural: "endpointslices", kind: "EndpointSlice", namespaced: true, id: kindSlice,
			count: workloads, object: func(i int) runtime.Object { return c.sliceObject(i) },
		},
		{version: "v1", plural: "namespaces", kind: "Namespace", id: kindNamespace, count: namespaces + 3, object: c.namespaceObject},
		{
			version: "v1", plural: "configmaps", kind: "ConfigMap", namespaced: true, id: kindOther, count: 1,
			object: func(int) runtime.Object { return c.meshConfig() },
		},
		{group: "apps", version: "v1", plural: "replicasets", kind: "ReplicaSet", namespaced: true, id: kindReplicaSet},
		{group: "gateway.networking.k8s.io", version: "v1", plural: "gateways", kind: "Gateway", custom: true},
		{group: "networking.istio.io", version: "v1", plural: "serviceentries", kind: "ServiceEntry", custom: true},
		{group: "networking.istio.io", version: "v1", plural: "workloadentries", kind: "WorkloadEntry", custom: true},
		{group: "networking.istio.io", version: "v1", plural: "destinationrules", kind: "DestinationRule", custom: true},
		{group: "networking.istio.io", version: "v1", plural: "gateways", kind: "Gateway", custom: true},
		{group: "admissionregistration.k8s.io", version: "v1", plural: "mutatingwebhookconfigurations", kind: "MutatingWebhookConfiguration"},
	}
	for _, r := range all {
		if r.custom {
			r.namespaced = true
		}
	}
	rules := all[10]
	rules.count = min(workloads, 50)
	rules.object = func(i int) runtime.Object { return destinationRule(i) }
	return all
}

func (c *Cluster) meta(kind, i int, namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: namespace, UID: objectUID(uint64(kind), i),
		ResourceVersion: c.version(kind, i), CreationTimestamp: metav1.NewTime(epoch),
	}
}

func (c *Cluster) nodeObject(i int) *corev1.Node {
	n := &corev1.Node{ObjectMeta: c.meta(kindNode, i, "", NodeName(i))}
	zone := Region + "-" + strconv.Itoa(1+i%3)
	n.Labels = map[string]string{
		"kubernetes.io/hostname": n.Name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "agentpool": "user",
		"topology.kubernetes.io/region": Region, "topology.kubernetes.io/zone": zone, "topology.disk.csi.azure.com/zone": zone,
		"node.kubernetes.io/instance-type": "Standard_D16s_v5", "kubernetes.azure.com/cluster": "MC_shop_weu-1_westeurope",
		"kubernetes.azure.com/mode": "user", "kubernetes.azure.com/node-image-version": "AKSUbuntu-2204gen2containerd-202602.10.0",
	}
	n.ManagedFields = podManagedFields
	n.Spec = corev1.NodeSpec{
		PodCIDR: podCIDR(i), PodCIDRs: []string{podCIDR(i)},
		ProviderID: "azure:///subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mc_shop/providers/" +
			"Microsoft.Compute/virtualMachineScaleSets/aks-user/virtualMachines/" + strconv.Itoa(i),
	}
	n.Status = corev1.NodeStatus{
		Capacity: limits("16", "64Gi"), Allocatable: limits("15", "57Gi"),
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeAddress(i).String()}, {Type: corev1.NodeHostName, Address: n.Name}},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: "v1.35.4", OSImage: "Ubuntu 22.04.5 LTS", ContainerRuntimeVersion: "containerd://1.7.27", KernelVersion: "5.15.0-1092-azure",
		},
	}
	n.Status.Capacity[corev1.ResourcePods] = resource.MustParse("250")
	for _, t := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeReady} {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
			Type: t, Status: corev1.ConditionTrue, Reason: "KubeletIsFine", Message: "the kubelet has nothing to complain of", LastHeartbeatTime: metav1.NewTime(epoch),
		})
	}
	// Kubelets report the 50 largest images, which is most of a node's size.
	for image := range 50 {
		name := "registry.example/platform/image-" + strconv.Itoa(image)
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{SizeBytes: 1 << 28, Names: []string{
			name + "@sha256:" + suffix(uint64(image), 13), name + ":1.0." + strconv.Itoa(image),
		}})
	}
	return n
}

func podCIDR(node int) string {
	return "10." + strconv.Itoa(128+node>>8) + "." + strconv.Itoa(node&255) + ".0/24"
}

func (c *Cluster) serviceObject(i, workloads int) *corev1.Service {
	s := &corev1.Service{}
	if i == workloads {
		s.ObjectMeta = c.meta(kindService, i, "istio-system", "istio-eastwestgateway")
		s.Labels = map[string]string{"istio": "eastwestgateway", "app": "istio-eastwestgateway", "topology.istio.io/network": Network}
		s.Spec = corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.0.255.250", ClusterIPs: []string{"10.0.255.250"},
			Ports: []corev1.ServicePort{{Name: "tls", Port: 15443, TargetPort: intstr.FromInt32(15443), Protocol: corev1.ProtocolTCP}},
		}
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "20.50.1.1"}}
		return s
	}
	s.ObjectMeta = c.meta(kindService, i, namespaceName(i/workloadsPerNamespace), workloadName(i))
	s.Labels = map[string]string{"app": s.Name, "app.kubernetes.io/part-of": "shop"}
	s.ManagedFields = podManagedFields[:1]
	address := "10.0." + strconv.Itoa(i>>8&255) + "." + strconv.Itoa(i&255)
	if i >= 1<<16-1<<9 {
		address = "10.1." + strconv.Itoa(i>>8&255) + "." + strconv.Itoa(i&255)
	}
	s.Spec = corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ClusterIP: address, ClusterIPs: []string{address}, Selector: map[string]string{"app": s.Name},
		IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
		Ports:      []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http"), Protocol: corev1.ProtocolTCP}},
	}
	return s
}

func (c *Cluster) sliceObject(w int) *discoveryv1.EndpointSlice {
	name, port, portName, protocol := workloadName(w), int32(8080), "http", corev1.ProtocolTCP
	s := &discoveryv1.EndpointSlice{ObjectMeta: c.meta(kindSlice, w, namespaceName(w/workloadsPerNamespace), name+"-"+suffix(uint64(w), 5))}
	s.Labels = map[string]string{discoveryv1.LabelServiceName: name, discoveryv1.LabelManagedBy: "endpointslice-controller.k8s.io", "app": name}
	s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: name, UID: objectUID(kindService, w)}}
	s.AddressType = discoveryv1.AddressTypeIPv4
	s.Ports = []discoveryv1.EndpointPort{{Name: &portName, Port: &port, Protocol: &protocol}}
	s.ManagedFields = podManagedFields[:1]
	for i := w * podsPerWorkload; i < min(c.pods, (w+1)*podsPerWorkload); i++ {
		p := c.pod(i)
		if p.HostNetwork {
			continue
		}
		ready, zone := c.phases[i] == running, Region+"-"+strconv.Itoa(1+i%c.nodes%3)
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{p.Address.String()}, NodeName: &p.Node, Zone: &zone,
			Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &ready},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name},
		})
	}
	return s
}

func (c *Cluster) namespaceObject(i int) runtime.Object {
	names := [...]string{"kube-system", "istio-system", "default"}
	if i >= len(names) {
		n := &corev1.Namespace{ObjectMeta: c.meta(kindNamespace, i, "", namespaceName(i-len(names)))}
		n.Labels = map[string]string{"kubernetes.io/metadata.name": n.Name, "istio.io/rev": "asm-1-27"}
		return n
	}
	n := &corev1.Namespace{ObjectMeta: c.meta(kindNamespace, i, "", names[i])}
	n.Labels = map[string]string{"kubernetes.io/metadata.name": n.Name}
	if n.Name == "istio-system" {
		n.Labels["topology.istio.io/network"] = Network
	}
	return n
}

func (c *Cluster) meshConfig() *corev1.ConfigMap {
	m := &corev1.ConfigMap{ObjectMeta: c.meta(kindOther, 0, "istio-system", "istio")}
	m.Labels = map[string]string{"istio.io/rev": "default", "release": "istio"}
	m.Data = map[string]string{
		"mesh":         "trustDomain: " + TrustDomain + "\ndefaultConfig:\n  meshId: shop\n  discoveryAddress: istiod.istio-system.svc:15012\n",
		"meshNetworks": "networks: {}",
	}
	return m
}

func destinationRule(i int) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
		"metadata": map[string]any{
			"name": workloadName(i), "namespace": namespaceName(i / workloadsPerNamespace), "uid": uid(kindOther, i, 7),
			"resourceVersion": "1", "creationTimestamp": "2026-03-01T08:00:00Z",
		},
		"spec": map[string]any{
			"host": workloadName(i) + "." + namespaceName(i/workloadsPerNamespace) + ".svc.cluster.local",
			"trafficPolicy": map[string]any{
				"outlierDetection": map[string]any{"consecutive5xxErrors": int64(5)},
				"loadBalancer": map[string]any{"localityLbSetting": map[string]any{
					"enabled": true, "failover": []any{map[string]any{"from": Region, "to": "northeurope"}},
				}},
			},
		},
	}}
}
