// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

var createOptions = meta.CreateOptions{}

// endpoints plays the EndpointSlice controller of a headless Service: one slice, which it writes as the pods' states change.
type endpoints struct {
	t       *testing.T
	cluster *kubetest.Cluster
	slice   *discovery.EndpointSlice
}

func newEndpoints(t *testing.T, c *kubetest.Cluster, namespace, service string) *endpoints {
	t.Helper()
	created, err := c.Client.CoreV1().Services(namespace).Create(t.Context(), &core.Service{
		ObjectMeta: meta.ObjectMeta{Name: service},
		Spec:       core.ServiceSpec{ClusterIP: core.ClusterIPNone, Ports: []core.ServicePort{{Name: "otlp-grpc", Port: 14317}}},
	}, createOptions)
	require.NoError(t, err)
	e := &endpoints{t: t, cluster: c}
	e.slice, err = c.Client.DiscoveryV1().EndpointSlices(namespace).Create(t.Context(), &discovery.EndpointSlice{
		ObjectMeta: meta.ObjectMeta{
			GenerateName: service + "-",
			Labels:       map[string]string{discovery.LabelServiceName: service, discovery.LabelManagedBy: "endpointslice-controller.k8s.io"},
			OwnerReferences: []meta.OwnerReference{{
				APIVersion: "v1", Kind: "Service", Name: service, UID: created.UID, Controller: new(true),
			}},
		},
		// The API server takes no address of the loopback as IPv4. Readers take addresses as they are.
		AddressType: discovery.AddressTypeFQDN,
		Ports:       []discovery.EndpointPort{{Name: new("otlp-grpc"), Port: new(int32(14317)), Protocol: new(core.ProtocolTCP)}},
	}, createOptions)
	require.NoError(t, err)
	return e
}

// set writes the state of a pod: starting (neither ready nor terminating), ready, or terminating.
func (e *endpoints) set(p *pod, ready, terminating bool) {
	e.t.Helper()
	conditions := discovery.EndpointConditions{Ready: new(ready), Serving: new(ready || terminating), Terminating: new(terminating)}
	for i := range e.slice.Endpoints {
		if e.slice.Endpoints[i].Addresses[0] == p.host {
			e.slice.Endpoints[i].Conditions = conditions
			e.write()
			return
		}
	}
	e.slice.Endpoints = append(e.slice.Endpoints, discovery.Endpoint{
		Addresses: []string{p.host}, Conditions: conditions, TargetRef: &core.ObjectReference{Kind: "Pod", Namespace: e.slice.Namespace, Name: p.name},
	})
	e.write()
}

// remove takes out a pod that is gone.
func (e *endpoints) remove(p *pod) {
	e.t.Helper()
	e.slice.Endpoints = slices.DeleteFunc(e.slice.Endpoints, func(one discovery.Endpoint) bool { return one.Addresses[0] == p.host })
	e.write()
}

// ready counts the endpoints that are to get something.
func (e *endpoints) ready() int {
	n := 0
	for _, one := range e.slice.Endpoints {
		if *one.Conditions.Ready {
			n++
		}
	}
	return n
}

func (e *endpoints) write() {
	e.t.Helper()
	var err error
	e.slice, err = e.cluster.Client.DiscoveryV1().EndpointSlices(e.slice.Namespace).Update(e.t.Context(), e.slice, meta.UpdateOptions{})
	require.NoError(e.t, err)
}
