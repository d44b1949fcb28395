// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/leastprivilege"
)

const agentAccount = "otelcol-mesh-agent"

// costCluster is a cluster of Istio's pods, with the services and endpoints that the inventory reads.
func costCluster(t *testing.T) (*kubetest.Cluster, []*core.Node) {
	c := kubetest.Start(t, kubetest.Options{Name: "aks-westeurope"})
	c.CRDs(t)
	c.Istio(t, kubetest.Istio{Network: "net-west", MeshID: "mesh1", TrustDomain: "west.example"})
	c.Namespace(t, home, nil)
	c.Namespace(t, "shop", nil)
	for role, account := range map[string]string{"agent.yaml": agentAccount, "inventory.yaml": inventoryAccount} {
		text, err := os.ReadFile(filepath.Join("..", "..", "distribution", "rbac", role))
		require.NoError(t, err)
		c.Apply(t, string(text))
		granted, err := leastprivilege.Parse(string(text), home, account)
		require.NoError(t, err)
		awaitGrants(t, c, kubetest.ServiceAccountUser(home, account), granted)
	}
	nodes := c.Nodes(t, costNodes, kubetest.NodeOptions{})
	pods := c.Fill(t, nodes, costPodsEach, kubetest.PodOptions{Namespace: "shop", Network: "net-west"})
	endpoints := map[string][]*core.Pod{}
	for _, pod := range slices.Concat(pods...) {
		endpoints[pod.Labels["app"]] = append(endpoints[pod.Labels["app"]], pod)
	}
	for _, service := range slices.Sorted(maps.Keys(endpoints)) {
		c.EndpointSlice(t, c.Service(t, "shop", service, 80), nil, endpoints[service]...)
	}
	text, err := json.Marshal(pods[0][0])
	require.NoError(t, err)
	t.Logf("a pod is %d bytes of JSON", len(text))
	return c, nodes
}

// informerRules are what decides which informers k8sattributesprocessor v1.0.0 starts (internal/kube/client.go). With its
// default extract.metadata they are all off, and it watches pods alone. The uid of Deployments, which would add all the
// cluster's ReplicaSets whatever the filter, is left out, as the test has none.
type informerRules struct {
	// node is filter.node; empty for every node.
	node string
	// clusterUID is k8s.cluster.uid in extract.metadata, nodeLabels a label from: node in extract.labels, such as the zone.
	clusterUID, nodeLabels bool
}

const informerRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: k8sattributes}
rules: [{apiGroups: [""], resources: [pods, namespaces, nodes], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "%[1]s"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: k8sattributes}
subjects: [{kind: ServiceAccount, namespace: "%[2]s", name: "%[1]s"}]
`

// costInformers is client-go's informers as k8sattributesprocessor makes them, a set for each node: pods in full, all else
// as metadata, with client-go's defaults for everything else.
func costInformers(
	t *testing.T, c *kubetest.Cluster, account, title string, nodes []*core.Node, rules func(*core.Node) informerRules,
) *costParty {
	t.Helper()
	c.Apply(t, fmt.Sprintf(informerRole, account, home))
	granted := []leastprivilege.Permission{{Verb: "list", Resource: "pods"}, {Verb: "watch", Resource: "pods"}}
	awaitGrants(t, c, kubetest.ServiceAccountUser(home, account), granted)
	p := &costParty{title: title, account: account}
	var all []cache.SharedInformer
	for _, node := range nodes {
		proxy := newCostProxy(t, c)
		p.proxies = append(p.proxies, proxy)
		all = append(all, informers(t, c.KubeconfigVia(t, proxy, home, account), rules(node))...)
	}
	p.begin = func() {
		for _, informer := range all {
			costRun(t, informer.RunWithContext)
		}
	}
	p.synced = func() bool {
		pods := 0
		for _, informer := range all {
			if !informer.HasSynced() {
				return false
			}
			for _, o := range informer.GetStore().List() {
				if pod, ok := o.(*core.Pod); ok && pod.Namespace == "shop" {
					pods++
				}
			}
		}
		expected := costPodsEach * len(nodes)
		if rules(nodes[0]).node == "" {
			expected *= len(nodes)
		}
		return pods == expected
	}
	return p
}

func informers(t *testing.T, kubeconfig string, r informerRules) []cache.SharedInformer {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	require.NoError(t, err)
	typed, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	lean, err := metadata.NewForConfig(config)
	require.NoError(t, err)
	selector := fields.Everything()
	if r.node != "" {
		selector = fields.OneTermEqualSelector("spec.nodeName", r.node)
	}
	pods := cache.NewSharedInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o meta.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector.String()
			return typed.CoreV1().Pods("").List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o meta.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector.String()
			return typed.CoreV1().Pods("").Watch(ctx, o)
		},
	}, &core.Pod{}, 5*time.Minute)
	require.NoError(t, pods.SetTransform(func(o any) (any, error) {
		if pod, ok := o.(*core.Pod); ok { // what stays does not change what is asked for
			return &core.Pod{ObjectMeta: meta.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}, nil
		}
		return o, nil
	}))
	all := []cache.SharedInformer{pods}
	if r.clusterUID {
		all = append(all, metadataInformer(lean, "namespaces", "kube-system"))
	}
	if r.nodeLabels {
		all = append(all, metadataInformer(lean, "nodes", r.node))
	}
	return all
}

// metadataInformer follows the metadata of one object, or of all if the name is empty.
func metadataInformer(client metadata.Interface, resource, name string) cache.SharedInformer {
	collection := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource})
	selector := fields.Everything()
	if name != "" {
		selector = fields.OneTermEqualSelector("metadata.name", name)
	}
	return cache.NewSharedInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o meta.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector.String()
			return collection.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o meta.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector.String()
			return collection.Watch(ctx, o)
		},
	}, &meta.PartialObjectMetadata{}, 5*time.Minute)
}
