// SPDX-License-Identifier: Apache-2.0

package churn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

// cluster asks a real API server, again and again until it answers: it may be down for a test's sake.
type cluster struct {
	client  kubernetes.Interface
	kubelet *kubetest.Kubelet
}

// Cluster returns the API of a real cluster. A request that fails because the server is not there is repeated until the
// context ends, so that the truth stays certain when servers are killed.
func Cluster(c *kubetest.Cluster) API { return &cluster{client: c.Client, kubelet: c.Kubelet()} }

// NodesOf returns the nodes of a cluster as a driver needs them.
func NodesOf(nodes []*core.Node) ([]Node, error) {
	var all []Node
	for _, node := range nodes {
		pods, err := netip.ParsePrefix(node.Spec.PodCIDR)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", node.Name, err)
		}
		address, err := netip.ParseAddr(node.Status.Addresses[0].Address)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", node.Name, err)
		}
		all = append(all, Node{Name: node.Name, Address: address, Pods: pods})
	}
	return all, nil
}

func (c *cluster) Create(ctx context.Context, pod *core.Pod) (*core.Pod, error) {
	pods := c.client.CoreV1().Pods(pod.Namespace)
	var created *core.Pod
	err := insist(ctx, func(ctx context.Context, again bool) (err error) {
		created, err = pods.Create(ctx, pod, meta.CreateOptions{})
		if again && apierrors.IsAlreadyExists(err) { // an attempt whose answer was lost: nobody else creates this name
			created, err = pods.Get(ctx, pod.Name, meta.GetOptions{})
		}
		return err
	})
	return created, err
}

func (c *cluster) Run(ctx context.Context, pod *core.Pod, host, address netip.Addr) (*core.Pod, error) {
	var running *core.Pod
	err := insist(ctx, func(ctx context.Context, _ bool) (err error) {
		running, err = c.kubelet.Run(ctx, pod, host, address)
		return err
	})
	return running, err
}

func (c *cluster) Complete(ctx context.Context, pod *core.Pod) (*core.Pod, error) {
	var completed *core.Pod
	err := insist(ctx, func(ctx context.Context, _ bool) (err error) {
		completed, err = c.kubelet.Complete(ctx, pod, true)
		return err
	})
	return completed, err
}

func (c *cluster) Terminate(ctx context.Context, pod *core.Pod) error {
	return insist(ctx, func(ctx context.Context, _ bool) error { return c.kubelet.Terminate(ctx, pod, 30*time.Second) })
}

func (c *cluster) Remove(ctx context.Context, pod *core.Pod) error {
	return insist(ctx, func(ctx context.Context, again bool) error {
		err := c.kubelet.Remove(ctx, pod)
		if again && apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// insist repeats a request until the API server has an opinion. Each attempt is bounded, for a server that stalls.
func insist(ctx context.Context, do func(ctx context.Context, again bool) error) error {
	for again := false; ; again = true {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := do(attempt, again)
		cancel()
		if err == nil || ctx.Err() != nil || final(err) {
			return err
		}
		if (wall{}).Wait(ctx, 50*time.Millisecond) != nil {
			return err
		}
	}
}

// final tells whether an error is the API server's last word: not if it starts, ends, has no etcd, has too much to do, or
// was not reached at all.
func final(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	code := status.Status().Code
	return code < http.StatusInternalServerError && code != http.StatusTooManyRequests
}
