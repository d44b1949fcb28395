// SPDX-License-Identifier: Apache-2.0

package fakeapi_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/otelcol-mesh/otelcol-mesh/test/bench/kube/fakeapi"
)

const (
	pods  = 1000
	nodes = 20
)

func serve(t *testing.T, o fakeapi.Options) (*fakeapi.Cluster, *fakeapi.Server, *rest.Config) {
	t.Helper()
	c, err := fakeapi.NewCluster(pods, nodes)
	if err != nil {
		t.Fatal(err)
	}
	s := fakeapi.Serve(c, o)
	t.Cleanup(s.Close)
	return c, s, &rest.Config{Host: s.URL(), QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: s.CA()}}
}

// client-go's own informer must see the same pods whichever way it asks, and what happens to them afterwards.
func TestInformersSeeTheCluster(t *testing.T) {
	for _, contentType := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		for _, streaming := range []bool{true, false} {
			for _, node := range []string{"", fakeapi.NodeName(3)} {
				t.Run(fmt.Sprintf("%s, streaming %v, node %q", contentType, streaming, node), func(t *testing.T) {
					c, server, config := serve(t, fakeapi.Options{NoStreamingLists: !streaming})
					config.ContentType = contentType
					client := kubernetes.NewForConfigOrDie(config)
					selector := fields.Everything()
					if node != "" {
						selector = fields.OneTermEqualSelector("spec.nodeName", node)
					}
					source := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "pods", "", selector)
					store := follow(t, source)
					want := expected(c, node)
					eventually(t, func() error { return same(store, want) })
					c.Replace(3)
					want = expected(c, node)
					eventually(t, func() error { return same(store, want) })
					counts := server.Take()
					if total := counts.Total(); total.Bytes < int64(len(want))*5000 || total.Requests < 1 {
						t.Errorf("counted %+v", counts)
					}
				})
			}
		}
	}
}

func TestListsComeInPages(t *testing.T) {
	_, server, config := serve(t, fakeapi.Options{Keep: true})
	client := kubernetes.NewForConfigOrDie(config)
	seen, next, asked := map[string]bool{}, "", 0
	for {
		list, err := client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{Limit: 300, Continue: next})
		if err != nil {
			t.Fatal(err)
		}
		asked++
		for i := range list.Items {
			seen[list.Items[i].Namespace+"/"+list.Items[i].Name] = true
		}
		if next = list.Continue; next == "" {
			break
		}
		if rest := list.RemainingItemCount; rest == nil || int(*rest) != pods-len(seen) {
			t.Errorf("%v remain after %d", rest, len(seen))
		}
	}
	if len(seen) != pods || asked != 4 {
		t.Errorf("%d pods in %d pages", len(seen), asked)
	}
	// client-go asks for gzip, and such lists are large enough for it.
	if total := server.Take().Total(); total.Requests != 4 || total.Wire == 0 || total.Wire >= total.Bytes/2 {
		t.Errorf("counted %+v", total)
	}
}

func TestMetadataAlone(t *testing.T) {
	c, _, config := serve(t, fakeapi.Options{})
	client := metadata.NewForConfigOrDie(config)
	list, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != pods || string(list.Items[7].UID) != c.Pod(7).UID || list.Items[7].Labels["app"] == "" {
		t.Errorf("%d pods, the seventh is %+v", len(list.Items), list.Items[7])
	}
	entries := schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "destinationrules"}
	if list, err = client.Resource(entries).List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) == 0 {
		t.Errorf("%d rules, %v", len(list.Items), err)
	}
}

// The bench is about pods of a real size, with addresses that name one pod each.
func TestPodsAreLikeRealOnes(t *testing.T) {
	c, _, config := serve(t, fakeapi.Options{})
	config.ContentType = "application/json"
	client := kubernetes.NewForConfigOrDie(config)
	raw, err := client.CoreV1().RESTClient().Get().AbsPath("/api/v1/namespaces/" + c.Pod(0).Namespace + "/pods/" + c.Pod(0).Name).DoRaw(t.Context())
	if err != nil || len(raw) < 9500 || len(raw) > 11000 {
		t.Errorf("a pod has %d bytes of JSON, %v", len(raw), err)
	}
	for life := range 6 {
		holders := map[string]string{}
		for i := range c.Pods() {
			p := c.Pod(i)
			if other, taken := holders[p.Address.String()]; taken && !p.HostNetwork {
				t.Fatalf("life %d: %s and %s have one address", life, other, p.Name)
			}
			holders[p.Address.String()] = p.Name
		}
		for i := life; i < c.Pods(); i += 2 {
			c.Replace(i)
		}
	}
}

func follow(t *testing.T, source cache.ListerWatcher) cache.Store {
	t.Helper()
	informer := cache.NewSharedInformer(source, &corev1.Pod{}, 0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		informer.Run(stop)
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
	})
	return informer.GetStore()
}

func describe(address, namespace, name, node string) string {
	return address + " " + namespace + "/" + name + " on " + node
}

func expected(c *fakeapi.Cluster, node string) map[string]string {
	want := map[string]string{}
	for i := range c.Pods() {
		if p := c.Pod(i); node == "" || p.Node == node {
			want[p.UID] = describe(p.Address.String(), p.Namespace, p.Name, p.Node)
		}
	}
	return want
}

func same(store cache.Store, want map[string]string) error {
	have := store.List()
	if len(have) != len(want) {
		return fmt.Errorf("%d pods, want %d", len(have), len(want))
	}
	for _, o := range have {
		p := o.(*corev1.Pod)
		if got := describe(p.Status.PodIP, p.Namespace, p.Name, p.Spec.NodeName); got != want[string(p.UID)] {
			return fmt.Errorf("%s is %q, want %q", p.UID, got, want[string(p.UID)])
		}
	}
	return nil
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
