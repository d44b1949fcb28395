// SPDX-License-Identifier: Apache-2.0

// Package endpoints follows the endpoints of one Service. The entry point is [New].
package endpoints

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"

	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// Slices reads the EndpointSlices of a Service. It needs list and watch of endpointslices in the Service's namespace.
type Slices struct {
	namespace, service string
	port               int32

	stopped chan struct{}
	running sync.WaitGroup
}

// New follows the Service of a namespace, whose endpoints listen at the port.
func New(namespace, service string, port int32) *Slices {
	return &Slices{namespace: namespace, service: service, port: port, stopped: make(chan struct{})}
}

// Start begins to watch, and does not wait for the API server. At each change it tells, by host:port, whether each endpoint is
// ready; never two at a time. The credentials are those of $KUBECONFIG, else the pod's
// own, as the load_balancing exporter has it.
func (s *Slices) Start(told func(map[string]bool)) error {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return fmt.Errorf("endpoints of %s.%s: %w", s.service, s.namespace, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("endpoints of %s.%s: %w", s.service, s.namespace, err)
	}
	own := client.DiscoveryV1().EndpointSlices(s.namespace)
	selector := discovery.LabelServiceName + "=" + s.service
	informer := cache.NewSharedInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o meta.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return own.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o meta.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return own.Watch(ctx, o)
		},
	}, &discovery.EndpointSlice{}, 0)
	tell := func() { told(s.endpoints(informer.GetStore().List())) }
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { tell() }, UpdateFunc: func(_, _ any) { tell() }, DeleteFunc: func(any) { tell() },
	}); err != nil {
		return fmt.Errorf("endpoints of %s.%s: %w", s.service, s.namespace, err)
	}
	s.running.Go(func() { informer.Run(s.stopped) })
	return nil
}

// Stop ends what Start began, and waits for it.
func (s *Slices) Stop() {
	close(s.stopped)
	s.running.Wait()
}

// endpoints returns the addresses of all slices. One that is not ready yet counts, so that it knows the clusters before it
// gets telemetry; one that ends does not.
func (s *Slices) endpoints(objects []any) map[string]bool {
	found := map[string]bool{}
	for _, object := range objects {
		slice, ok := object.(*discovery.EndpointSlice)
		if !ok {
			continue
		}
		for i := range slice.Endpoints {
			conditions := slice.Endpoints[i].Conditions
			if conditions.Terminating != nil && *conditions.Terminating {
				continue
			}
			ready := conditions.Ready == nil || *conditions.Ready
			for _, address := range slice.Endpoints[i].Addresses {
				endpoint := net.JoinHostPort(address, strconv.Itoa(int(s.port)))
				found[endpoint] = found[endpoint] || ready
			}
		}
	}
	return found
}
