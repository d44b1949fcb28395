// SPDX-License-Identifier: Apache-2.0

package topology

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
	if a.workloads[key] {
		return a.fail(ErrConflict, "name", "workload %s/%s of cluster %q is described twice",
			spec.Namespace, spec.Name, a.spec.Name)
	}
	a.workloads[key] = true
	if len(spec.Pods) == 0 {
		a.delta.Workloads = append(a.delta.Workloads, *spec)
	}
	for i := range spec.Pods {
		a.at.Pod = i
		if err := a.addPod(spec, &spec.Pods[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *adder) addPod(w *WorkloadSpec, spec *PodSpec) error {
	if spec.Name == "" {
		return a.fail(ErrInvalid, "name", "write the pod's name")
	}
	key := objectName{w.Namespace, spec.Name}
	if other, taken := a.pods[key]; taken {
		return a.fail(ErrConflict, "name", "pod %s/%s of cluster %q is described twice: under workload %s and under workload %s",
			w.Namespace, spec.Name, a.spec.Name, other, w.Name)
	}
	if max := a.b.limits.MaxPods; max > 0 && a.b.pods >= max {
		return a.fail(ErrLimit, "", "more than %d pods; raise 'max_pods' or describe fewer", max)
	}
	if spec.Node != "" && !a.nodes[spec.Node] {
		return a.fail(ErrInvalid, "node", "cluster %q has no node %q; describe it under nodes, or leave the key out",
			a.spec.Name, spec.Node)
	}
	state := w.state(spec)
	if problem := checkPod(&state); problem != "" {
		return a.fail(ErrInvalid, "", "pod %q: %s", clip(spec.Name), problem)
	}
	a.pods[key] = w.Name
	a.b.pods++
	a.delta.Pods = append(a.delta.Pods, state)
	return a.addAddresses(w, spec)
}

func (a *adder) addAddresses(w *WorkloadSpec, spec *PodSpec) error {
	network := spec.Network
	if network == "" {
		network = a.network
	}
	n := a.b.network(network)
	for _, address := range spec.Addresses {
		if other, taken := n.pods[address.Unmap()]; taken {
			return a.fail(ErrConflict, "addresses", "address %s in network %q belongs to pod %s/%s of cluster %q and to pod %s/%s of cluster %q",
				address, display(network), other.namespace, other.name, other.cluster, w.Namespace, spec.Name, a.spec.Name)
		}
		n.pods[address.Unmap()] = holderName{a.spec.Name, w.Namespace, spec.Name}
	}
	return nil
}
