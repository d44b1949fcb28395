// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// nodeItem is what is left of a node.
type nodeItem struct {
	spec topology.NodeSpec
	// azure and aks tell the provider and the platform.
	azure, aks bool
	cidrs      []netip.Prefix
}

func trimNode(node *corev1.Node) nodeItem {
	item := nodeItem{spec: topology.NodeSpec{Name: node.Name}}
	item.spec.Region, item.spec.Zone = nodeLocality(node.Labels)
	var set addressSet
	for i := range node.Status.Addresses {
		// The others are host names.
		if a := &node.Status.Addresses[i]; a.Type == corev1.NodeInternalIP || a.Type == corev1.NodeExternalIP {
			set.add(a.Address)
		}
	}
	item.spec.Addresses = set.list
	item.azure = strings.HasPrefix(node.Spec.ProviderID, "azure://")
	_, item.aks = node.Labels[labelAKSCluster]
	cidrs := node.Spec.PodCIDRs
	if len(cidrs) == 0 && node.Spec.PodCIDR != "" {
		cidrs = []string{node.Spec.PodCIDR}
	}
	for _, text := range cidrs {
		if p, err := netip.ParsePrefix(text); err == nil {
			item.cidrs = append(item.cidrs, p.Masked())
		}
	}
	return item
}
