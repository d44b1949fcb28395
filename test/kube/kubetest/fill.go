// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Fill runs as many pods on each of the nodes, at most 250, with addresses of the node's range, and returns them by node.
// Of the options the node, the ordinal and the workload are its own: there are as many workloads as nodes.
func (c *Cluster) Fill(t testing.TB, nodes []*core.Node, each int, o PodOptions) [][]*core.Pod {
	t.Helper()
	pods, errs := make([][]*core.Pod, len(nodes)), make([]error, len(nodes))
	var wait sync.WaitGroup
	for i, node := range nodes {
		wait.Go(func() { pods[i], errs[i] = c.fill(t.Context(), node, i*each, each, len(nodes), o) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return pods
}

func (c *Cluster) fill(ctx context.Context, node *core.Node, first, n, workloads int, o PodOptions) ([]*core.Pod, error) {
	host, err := netip.ParseAddr(node.Status.Addresses[0].Address)
	if err != nil {
		return nil, err
	}
	addresses, err := netip.ParsePrefix(node.Spec.PodCIDR)
	if err != nil {
		return nil, err
	}
	var pods []*core.Pod
	for i := range n {
		o.Node, o.Ordinal = node.Name, first+i
		o.Workload = fmt.Sprintf("workload-%d", i%workloads)
		pod, err := c.Client.CoreV1().Pods(o.Namespace).Create(ctx, Pod(o), meta.CreateOptions{})
		if err != nil {
			return nil, err
		}
		// The first addresses of a range are the node's own.
		if pod, err = c.Kubelet().Run(ctx, pod, host, offset(addresses.Addr(), 4+i)); err != nil {
			return nil, err
		}
		pods = append(pods, pod)
	}
	return pods, nil
}
