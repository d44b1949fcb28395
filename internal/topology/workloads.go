// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"slices"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

var kinds = map[string]bool{
	"": true, "deployment": true, "statefulset": true, "daemonset": true, "job": true, "cronjob": true,
	"replicaset": true, "pod": true,
}

func (a *adder) addWorkloads() error {
	for i := range a.spec.Workloads {
		spec := &a.spec.Workloads[i]
		a.at.List, a.at.Index, a.at.Pod = "workloads", i, -1
		if err := a.addWorkload(spec); err != nil {
			return err
		}
	}
	return nil
}

func (a *adder) addWorkload(spec *WorkloadSpec) error {
	if err := a.needName("workload", spec.Namespace, spec.Name); err != nil {
		return err
	}
	if !kinds[spec.Kind] {
		return a.fail(ErrInvalid, "kind",
			"%q is no kind; write deployment, statefulset, daemonset, job, cronjob, replicaset or pod", spec.Kind)
	}
	key := objectName{spec.Namespace, spec.Name}
	if a.cluster.workloads[key] != nil {
		return a.fail(ErrConflict, "name", "workload %s/%s of cluster %q is described twice",
			spec.Namespace, spec.Name, a.cluster.Name)
	}
	w := &Workload{Cluster: a.cluster, Namespace: spec.Namespace, Name: spec.Name, Kind: spec.Kind, end: a.endOf(spec)}
	for _, g := range a.cluster.gateways {
		if g.Namespace == w.Namespace && g.Name == w.Name {
			w.EastWest = g
		}
	}
	a.cluster.workloads[key] = w
	// One array for the workload's pods keeps them together and spares the allocator.
	pods := make([]Pod, len(spec.Pods))
	for i := range spec.Pods {
		a.at.Pod = i
		if err := a.addPod(w, &spec.Pods[i], &pods[i]); err != nil {
			return err
		}
	}
	agree(w, pods)
	return nil
}

func (a *adder) endOf(spec *WorkloadSpec) mesh.End {
	end := mesh.End{
		Cluster: a.cluster.Name, Region: a.cluster.Region, Namespace: spec.Namespace, Workload: spec.Name,
		Service: spec.Service, Version: spec.Version,
	}
	if a.cluster.TrustDomain != "" && spec.ServiceAccount != "" {
		end.Principal = "spiffe://" + a.cluster.TrustDomain + "/ns/" + spec.Namespace + "/sa/" + spec.ServiceAccount
	}
	return end
}

func (a *adder) addPod(w *Workload, spec *PodSpec, pod *Pod) error {
	key := objectName{w.Namespace, spec.Name}
	if spec.Name == "" {
		return a.fail(ErrInvalid, "name", "write the pod's name")
	}
	if other, taken := a.cluster.pods[key]; taken {
		return a.fail(ErrConflict, "name", "pod %s/%s of cluster %q is described twice: under workload %s and under workload %s",
			w.Namespace, spec.Name, a.cluster.Name, other.Workload.Name, w.Name)
	}
	stats := &a.b.s.stats
	if max := a.b.limits.MaxPods; max > 0 && stats.Pods >= max {
		return a.fail(ErrLimit, "", "more than %d pods; raise 'max_pods' or describe fewer", max)
	}
	*pod = Pod{Workload: w, Name: spec.Name, Zone: spec.Zone, Network: spec.Network, Addressed: len(spec.Addresses) > 0}
	if spec.Node != "" {
		if pod.Node = a.nodes[spec.Node]; pod.Node == nil {
			return a.fail(ErrInvalid, "node", "cluster %q has no node %q; describe it under nodes, or leave the key out",
				a.cluster.Name, spec.Node)
		}
		if pod.Zone == "" {
			pod.Zone = pod.Node.Zone
		}
	}
	if pod.Network == "" {
		pod.Network = a.cluster.Network
	} else if pod.Network != a.cluster.Network {
		// Pods of this cluster are in more than one network, so the cluster alone no longer tells it.
		a.cluster.end.Network = ""
		a.b.network(pod.Network).add(a.cluster)
	}
	a.cluster.pods[key] = pod
	stats.Pods++
	return a.addAddresses(pod, spec)
}

func (a *adder) addAddresses(pod *Pod, spec *PodSpec) error {
	n := a.b.network(pod.Network)
	for _, address := range spec.Addresses {
		if other, taken := n.pods[address.Unmap()]; taken {
			return a.fail(ErrConflict, "addresses", "address %s in network %q belongs to pod %s/%s of cluster %q and to pod %s/%s of cluster %q",
				address, display(pod.Network), other.Workload.Namespace, other.Name, other.Workload.Cluster.Name,
				pod.Workload.Namespace, pod.Name, a.cluster.Name)
		}
		n.pods[address.Unmap()] = pod
	}
	return nil
}

// agree sets the workload's zone and network where all of its pods have the same one.
func agree(w *Workload, pods []Pod) {
	if len(pods) == 0 {
		return
	}
	zone, network := pods[0].Zone, pods[0].Network
	for i := range pods {
		if pods[i].Zone != zone {
			zone = ""
		}
		if pods[i].Network != network {
			network = ""
		}
	}
	w.end.Zone, w.end.Network = zone, display(network)
}

// add notes that pods of the cluster are in the network.
func (n *network) add(c *Cluster) {
	if !slices.Contains(n.clusters, c) {
		n.clusters = append(n.clusters, c)
	}
}

// common returns what is true of every end in the network.
func (n *network) common(name string) mesh.End {
	end := n.clusters[0].end
	end.Network = display(name)
	for _, c := range n.clusters[1:] {
		end.Cluster = ""
		if c.Region != end.Region {
			end.Region = ""
		}
	}
	return end
}

// nameless starts the internal name of the network of a cluster that names none. It cannot start a real name.
const nameless = "\x00"

// display returns the network's name for people and attributes: empty for a nameless one.
func display(networkName string) string {
	if strings.HasPrefix(networkName, nameless) {
		return ""
	}
	return networkName
}
