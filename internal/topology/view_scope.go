// SPDX-License-Identifier: Apache-2.0

package topology

// Alone says whether the topology describes fewer than two clusters, as that of an agent does: then what it knows of is
// the only one of its kind by necessity, which tells nothing.
func (v View) Alone() bool { return len(v.s.names) < 2 }

// SoleIn returns the cluster whose pods are in the network if exactly one cluster's are and others are known at all, see
// [View.Alone].
func (v View) SoleIn(networkName string) (*Cluster, bool) {
	n := v.s.networks.find(networkName)
	if n == nil || v.Alone() || len(n.clusters) != 1 {
		return nil, false
	}
	return n.clusters[0], true
}

// Local returns the view for a collector that was told which cluster it is in, as an agent is.
func (v View) Local() View {
	v.local = true
	return v
}

// Partial says whether the topology may be that of an agent, which knows the pods of its own node alone: what is true of
// all pods of a workload there need not be true of all pods.
func (v View) Partial() bool { return v.local && v.Alone() }
