// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// TestCanonicalOfAService prevents that the endpoints of a service are looked for under the name of others: Istio names who answers by the
// labels of the pods, which need not have the service's name.
func TestCanonicalOfAService(t *testing.T) {
	// pods are name, app label and owner; a pod of no owner is its own workload.
	type p struct{ name, app, owner string }
	many := func(n int) (list []p) {
		for i := range n {
			list = append(list, p{fmt.Sprintf("w%d-5d8f-a", i), "basket", fmt.Sprintf("w%d-5d8f", i)})
		}
		return list
	}
	for name, tt := range map[string]struct {
		pods []p
		want string
		more func(*discoveryv1.EndpointSlice)
	}{
		"the service's own":     {[]p{{"cart-5d8f-a", "cart", "cart-5d8f"}, {"cart-5d8f-b", "cart", "cart-5d8f"}}, "", nil},
		"another":               {[]p{{"v1-5d8f-a", "basket", "v1-5d8f"}, {"v2-5d8f-a", "basket", "v2-5d8f"}}, "basket", nil},
		"two":                   {[]p{{"v1-5d8f-a", "basket", "v1-5d8f"}, {"v2-5d8f-a", "cart", "v2-5d8f"}}, "", nil},
		"pods of no owner":      {[]p{{"x-a", "basket", ""}, {"x-b", "other", ""}}, "", nil},
		"one pod of no owner":   {[]p{{"x-a", "basket", ""}}, "basket", nil},
		"some that are no pods": {[]p{{"v1-5d8f-a", "basket", "v1-5d8f"}}, "", func(s *discoveryv1.EndpointSlice) { s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{}) }},
		"as many as are kept":   {many(maxGroups), "basket", nil},
		"more than are kept":    {many(maxGroups + 1), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.put("services", &corev1.Service{ObjectMeta: named("shop", "cart", nil)})
			slice := sliceOf("shop", "cart", "")
			for i, one := range tt.pods {
				pod := aPod(one.name, fmt.Sprint("u", i), fmt.Sprint("10.0.0.", i+1), "1")
				pod.Labels["app"], pod.OwnerReferences = one.app, nil
				if one.owner != "" {
					pod.OwnerReferences = ownedBy("ReplicaSet", one.owner)
				}
				b.put("pods", pod)
				slice.Endpoints = append(slice.Endpoints, sliceOf("shop", "cart", one.name, "1").Endpoints...)
			}
			if tt.more != nil {
				tt.more(slice)
			}
			b.put("endpointslices", slice)
			services := b.full().Services
			assert.Len(t, services, 1)
			assert.Equal(t, tt.want, services[0].Canonical)
		})
	}
}

// TestCanonicalOfAServiceThatIsGone prevents that a service is nobody's in the very moment in which its endpoints are gone.
func TestCanonicalOfAServiceThatIsGone(t *testing.T) {
	b := newBench(t)
	b.put("services", &corev1.Service{ObjectMeta: named("shop", "cart", nil)})
	pod := aPod("v1-5d8f-a", "u1", "10.0.0.1", "1")
	pod.Labels["app"], pod.OwnerReferences = "basket", ownedBy("ReplicaSet", "v1-5d8f")
	b.put("pods", pod)
	b.put("endpointslices", sliceOf("shop", "cart", "v1-5d8f-a", "1"))
	assert.Equal(t, "basket", b.full().Services[0].Canonical)
	tell := func() topology.ServiceSpec {
		b.e.pending.countsAt = time.Time{}
		b.e.tick()
		services := b.flush().Services
		if assert.Len(t, services, 1) {
			return services[0]
		}
		return topology.ServiceSpec{}
	}
	b.put("endpointslices", sliceOf("shop", "cart", ""))
	assert.Equal(t, "basket", tell().Canonical, "no endpoints")
	b.put("endpointslices", sliceOf("shop", "cart", "v1-66cc-a", "1"))
	assert.Equal(t, "basket", tell().Canonical, "a pod that is not known yet")
	next := aPod("v1-66cc-a", "u2", "10.0.0.2", "1")
	next.Labels["app"], next.OwnerReferences = "cart", ownedBy("ReplicaSet", "v1-66cc")
	b.put("pods", next)
	b.put("endpointslices", sliceOf("shop", "cart", "v1-66cc-a", "1", "1"))
	assert.Empty(t, tell().Canonical)
	b.put("endpointslices", sliceOf("shop", "cart", ""))
	assert.Empty(t, tell().Canonical)
}
