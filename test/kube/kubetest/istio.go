// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// NetworkLabel carries the network of what it is on: https://istio.io/latest/docs/reference/config/labels/.
const NetworkLabel = "topology.istio.io/network"

// Istio describes an istiod to [Cluster.Istio].
type Istio struct {
	// Network labels the namespace istio-system; empty leaves it without a label.
	Network string
	// TrustDomain and MeshID become part of the mesh configuration unless they are empty.
	TrustDomain, MeshID string
	// MeshNetworks is the YAML under the key networks; empty leaves it out.
	MeshNetworks string
	// Revision of the control plane; empty is the default one.
	Revision string
	// Version is the tag of istiod's image; 1.27.1 if empty.
	Version string
	// Tags are revision tags that point here.
	Tags []string
}

// Istio creates what an installation of Istio leaves in a cluster and others read: the namespace istio-system with its
// network, the mesh configuration, the pod of istiod, and the revision tags. It is called once per revision.
func (c *Cluster) Istio(t testing.TB, o Istio) {
	t.Helper()
	labels := map[string]string{}
	if o.Network != "" {
		labels[NetworkLabel] = o.Network
	}
	c.Namespace(t, "istio-system", labels)
	revision, suffix := "default", ""
	if o.Revision != "" && o.Revision != "default" {
		revision, suffix = o.Revision, "-"+o.Revision
	}
	mesh := "defaultConfig:\n  discoveryAddress: istiod" + suffix + ".istio-system.svc:15012\n"
	if o.MeshID != "" {
		mesh += "  meshId: " + o.MeshID + "\n"
	}
	if o.TrustDomain != "" {
		mesh += "trustDomain: " + o.TrustDomain + "\n"
	}
	networks := "networks: {}"
	if o.MeshNetworks != "" {
		networks = "networks:\n  " + strings.ReplaceAll(strings.TrimSpace(o.MeshNetworks), "\n", "\n  ")
	}
	c.create(t, &core.ConfigMap{
		ObjectMeta: meta.ObjectMeta{Name: "istio" + suffix, Namespace: "istio-system", Labels: map[string]string{"istio.io/rev": revision}},
		Data:       map[string]string{"mesh": mesh, "meshNetworks": networks},
	})
	if o.Version == "" {
		o.Version = "1.27.1"
	}
	pod := Pod(PodOptions{Namespace: "istio-system", Workload: "istiod" + suffix, ServiceAccount: "istiod" + suffix, Plain: true})
	maps.Copy(pod.Labels, map[string]string{"app": "istiod", "istio": "pilot", "istio.io/rev": revision})
	pod.Spec.Containers[0].Name = "discovery"
	pod.Spec.Containers[0].Image = "istio/pilot:" + o.Version
	if err := c.ServiceAccount(t.Context(), "istio-system", "istiod"+suffix); err != nil {
		t.Fatal(err)
	}
	c.create(t, pod)
	for _, tag := range o.Tags {
		c.Apply(t, fmt.Sprintf(tagManifest, tag, revision))
	}
}

const tagManifest = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  name: istio-revision-tag-%[1]s
  labels: {app: sidecar-injector, istio.io/tag: "%[1]s", istio.io/rev: "%[2]s"}
webhooks: []
`

// Namespace creates a namespace with its default service account, which controllers would do, or adds labels to it.
func (c *Cluster) Namespace(t testing.TB, name string, labels map[string]string) {
	t.Helper()
	if err := c.namespace(t.Context(), name, labels); err != nil {
		t.Fatal(err)
	}
}

func (c *Cluster) namespace(ctx context.Context, name string, labels map[string]string) error {
	namespaces := c.Client.CoreV1().Namespaces()
	namespace := &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name, Labels: labels}}
	_, err := namespaces.Create(ctx, namespace, meta.CreateOptions{})
	if errors.IsAlreadyExists(err) && len(labels) > 0 {
		if namespace, err = namespaces.Get(ctx, name, meta.GetOptions{}); err != nil {
			return err
		}
		maps.Copy(namespace.Labels, labels) // never nil: kubernetes.io/metadata.name is always there
		_, err = namespaces.Update(ctx, namespace, meta.UpdateOptions{})
	}
	if err != nil && !errors.IsAlreadyExists(err) {
		return err
	}
	account := &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: "default"}}
	_, err = c.Client.CoreV1().ServiceAccounts(name).Create(ctx, account, meta.CreateOptions{})
	if errors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// Service creates a service that selects the pods of a workload (label app).
func (c *Cluster) Service(t testing.TB, namespace, name string, ports ...int32) *core.Service {
	t.Helper()
	s := &core.Service{
		ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec:       core.ServiceSpec{Selector: map[string]string{"app": name}},
	}
	for _, port := range ports {
		s.Spec.Ports = append(s.Spec.Ports, core.ServicePort{
			Name: fmt.Sprintf("http-%d", port), Port: port, TargetPort: intstr.FromInt32(port),
		})
	}
	return c.createService(t, s)
}

// EastWestGateway creates the service of an east/west gateway into a network, with these addresses of its load balancer;
// with none the load balancer is not there yet ([Cluster.LoadBalancer]).
func (c *Cluster) EastWestGateway(t testing.TB, network string, addresses ...netip.Addr) *core.Service {
	t.Helper()
	const namespace, name = "istio-system", "istio-eastwestgateway"
	labels := map[string]string{"app": name, "istio": "eastwestgateway", NetworkLabel: network}
	s := &core.Service{
		ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec: core.ServiceSpec{
			Type: core.ServiceTypeLoadBalancer, Selector: map[string]string{"app": name, "istio": "eastwestgateway"},
		},
	}
	for port, portName := range map[int32]string{15021: "status-port", 15443: "tls", 15012: "tls-istiod", 15017: "tls-webhook"} {
		s.Spec.Ports = append(s.Spec.Ports, core.ServicePort{Name: portName, Port: port, TargetPort: intstr.FromInt32(port)})
	}
	slices.SortFunc(s.Spec.Ports, func(a, b core.ServicePort) int { return int(a.Port - b.Port) })
	s = c.createService(t, s)
	if len(addresses) > 0 {
		s = c.LoadBalancer(t, namespace, name, addresses...)
	}
	return s
}

// LoadBalancer says what addresses the load balancer of a service has.
func (c *Cluster) LoadBalancer(t testing.TB, namespace, name string, addresses ...netip.Addr) *core.Service {
	t.Helper()
	services := c.Client.CoreV1().Services(namespace)
	s, err := services.Get(t.Context(), name, meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Status.LoadBalancer.Ingress = nil
	for _, a := range addresses {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, core.LoadBalancerIngress{IP: a.String()})
	}
	if s, err = services.UpdateStatus(t.Context(), s, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (c *Cluster) createService(t testing.TB, s *core.Service) *core.Service {
	t.Helper()
	s, err := c.Client.CoreV1().Services(s.Namespace).Create(t.Context(), s, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// EndpointSlice creates the slice of a service with these pods, which must have addresses; zones are those of the nodes by
// name (nil leaves them out).
func (c *Cluster) EndpointSlice(t testing.TB, service *core.Service, zones map[string]string, pods ...*core.Pod) *discovery.EndpointSlice {
	t.Helper()
	slice := &discovery.EndpointSlice{
		ObjectMeta: meta.ObjectMeta{
			Namespace: service.Namespace, GenerateName: service.Name + "-",
			Labels: map[string]string{discovery.LabelServiceName: service.Name, discovery.LabelManagedBy: "endpointslice-controller.k8s.io"},
			OwnerReferences: []meta.OwnerReference{{
				APIVersion: "v1", Kind: "Service", Name: service.Name, UID: service.UID, Controller: new(true),
			}},
		},
		AddressType: discovery.AddressTypeIPv4,
	}
	for i := range service.Spec.Ports {
		port := service.Spec.Ports[i]
		slice.Ports = append(slice.Ports, discovery.EndpointPort{Name: &port.Name, Port: &port.Port, Protocol: &port.Protocol})
	}
	for _, pod := range pods {
		endpoint := discovery.Endpoint{
			Addresses:  []string{pod.Status.PodIP},
			Conditions: discovery.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
			NodeName:   &pod.Spec.NodeName,
			TargetRef:  &core.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		}
		if zone, ok := zones[pod.Spec.NodeName]; ok {
			endpoint.Zone = &zone
		}
		slice.Endpoints = append(slice.Endpoints, endpoint)
	}
	slice, err := c.Client.DiscoveryV1().EndpointSlices(service.Namespace).Create(t.Context(), slice, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return slice
}

// create creates an object of the few kinds that the helpers above need.
func (c *Cluster) create(t testing.TB, object meta.Object) {
	t.Helper()
	var err error
	switch o := object.(type) {
	case *core.ConfigMap:
		_, err = c.Client.CoreV1().ConfigMaps(o.Namespace).Create(t.Context(), o, meta.CreateOptions{})
	case *core.Pod:
		_, err = c.Client.CoreV1().Pods(o.Namespace).Create(t.Context(), o, meta.CreateOptions{})
	default:
		err = fmt.Errorf("cannot create a %T", object)
	}
	if err != nil {
		t.Fatal(err)
	}
}
