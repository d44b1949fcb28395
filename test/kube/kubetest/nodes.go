// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"fmt"
	"net/netip"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodeOptions describe nodes of an AKS node pool.
type NodeOptions struct {
	// Pool names the node pool; "nodepool1" if empty.
	Pool string
	// Region is the Azure region; "westeurope" if empty.
	Region string
	// Zones are the values of the zone label, in turn: "westeurope-1" as AKS writes them, or "0" without zones. None gives
	// the region's three.
	Zones []string
	// PodCIDR is the cluster's range, of which each node gets a /24; 10.244.0.0/16 if invalid. Clusters overlap by default.
	PodCIDR netip.Prefix
	// NodeCIDR is the range of the nodes' own addresses; 10.224.0.0/16 if invalid.
	NodeCIDR netip.Prefix
}

// Nodes creates n nodes as AKS labels them: labels of the zone and region, provider id, range of pod addresses, addresses.
// More calls with the same pool fail, as names would repeat.
func (c *Cluster) Nodes(t testing.TB, n int, o NodeOptions) []*core.Node {
	t.Helper()
	o = o.withDefaults()
	var nodes []*core.Node
	for i := range n {
		node, err := c.Client.CoreV1().Nodes().Create(t.Context(), Node(i, o), meta.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	return nodes
}

func (o NodeOptions) withDefaults() NodeOptions {
	if o.Pool == "" {
		o.Pool = "nodepool1"
	}
	if o.Region == "" {
		o.Region = "westeurope"
	}
	if len(o.Zones) == 0 {
		o.Zones = []string{o.Region + "-1", o.Region + "-2", o.Region + "-3"}
	}
	if !o.PodCIDR.IsValid() {
		o.PodCIDR = netip.MustParsePrefix("10.244.0.0/16")
	}
	if !o.NodeCIDR.IsValid() {
		o.NodeCIDR = netip.MustParsePrefix("10.224.0.0/16")
	}
	return o
}

// Node returns the i-th node of a pool, up to 65 536, without creating it.
func Node(i int, o NodeOptions) *core.Node {
	o = o.withDefaults()
	scaleSet := "aks-" + o.Pool + "-31718369-vmss"
	name := fmt.Sprintf("%s%06d", scaleSet, i)
	zone := o.Zones[i%len(o.Zones)]
	pods := netip.PrefixFrom(offset(o.PodCIDR.Addr(), i<<8), 24).String()
	labels := map[string]string{
		"agentpool": o.Pool, "kubernetes.azure.com/agentpool": o.Pool, "kubernetes.azure.com/mode": "system",
		"kubernetes.azure.com/cluster": "MC_rg_" + o.Region, "kubernetes.azure.com/node-image-version": "AKSUbuntu-2204gen2containerd-202610.01.0",
		"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": name,
		"node.kubernetes.io/instance-type": "Standard_D8s_v5",
		"topology.kubernetes.io/region":    o.Region, "topology.kubernetes.io/zone": zone,
		"failure-domain.beta.kubernetes.io/region": o.Region, "failure-domain.beta.kubernetes.io/zone": zone,
		"topology.disk.csi.azure.com/zone": zone,
	}
	var conditions []core.NodeCondition
	for _, kind := range []core.NodeConditionType{core.NodeMemoryPressure, core.NodeDiskPressure, core.NodePIDPressure, core.NodeReady} {
		condition := core.NodeCondition{
			Type: kind, Status: core.ConditionFalse, LastHeartbeatTime: meta.Now(), LastTransitionTime: meta.Now(), Reason: "KubeletHas",
		}
		if kind == core.NodeReady {
			condition.Status, condition.Reason = core.ConditionTrue, "KubeletReady"
		}
		conditions = append(conditions, condition)
	}
	return &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: name, Labels: labels},
		Spec: core.NodeSpec{
			PodCIDR: pods, PodCIDRs: []string{pods},
			ProviderID: fmt.Sprintf("azure:///subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mc_rg_%s/providers/"+
				"Microsoft.Compute/virtualMachineScaleSets/%s/virtualMachines/%d", o.Region, scaleSet, i),
		},
		Status: core.NodeStatus{
			Addresses: []core.NodeAddress{
				{Type: core.NodeInternalIP, Address: offset(o.NodeCIDR.Addr(), 4+i).String()},
				{Type: core.NodeHostName, Address: name},
			},
			Conditions: conditions,
			NodeInfo: core.NodeSystemInfo{
				KubeletVersion: "v1.35.4", OperatingSystem: "linux", Architecture: "amd64",
				KernelVersion: "5.15.0-1090-azure", OSImage: "Ubuntu 22.04.5 LTS", ContainerRuntimeVersion: "containerd://1.7.28-1",
			},
		},
	}
}

// offset returns the IPv4 address that is n further.
func offset(a netip.Addr, n int) netip.Addr {
	b := a.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += uint32(n)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}
