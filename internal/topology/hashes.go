// SPDX-License-Identifier: Apache-2.0

package topology

// The keys under which entries stand in their tables.

func (w *Writer) nameOfPod(p *Pod, yield func(uint64)) {
	yield(hashName(w.seed, p.Workload.Namespace, p.Name))
}

func (w *Writer) nameOfWorkload(l *Workload, yield func(uint64)) {
	yield(hashName(w.seed, l.Namespace, l.Name))
}

func (w *Writer) nameOfNode(n *Node, yield func(uint64)) { yield(hashName(w.seed, "", n.Name)) }

func (w *Writer) nameOfService(s *Service, yield func(uint64)) {
	yield(hashName(w.seed, s.Namespace, s.Name))
}

func (w *Writer) addressesOfPod(p *Pod, yield func(uint64)) {
	for a := range p.each {
		yield(hashAddress(w.seed, a))
	}
}

func (w *Writer) addressesOfNode(n *Node, yield func(uint64)) {
	for _, a := range n.addresses {
		yield(hashAddress(w.seed, a.As16()))
	}
}

func (w *Writer) addressesOfService(s *Service, yield func(uint64)) {
	for _, a := range s.spec.Addresses {
		yield(hashAddress(w.seed, a.As16()))
	}
}
