// SPDX-License-Identifier: Apache-2.0

package kube

import "github.com/otelcol-mesh/otelcol-mesh/internal/topology"

// interner keeps one copy of texts that many pods share: each decoded object has its own.
type interner map[string]string

// maxInterned bounds it. When it is full it starts anew, and the copies that are in use stay.
const maxInterned = 1 << 16

func (in interner) text(p *string) {
	if *p == "" {
		return
	}
	if have, ok := in[*p]; ok {
		*p = have
		return
	}
	if len(in) >= maxInterned {
		clear(in)
	}
	in[*p] = *p
}

func (in interner) pod(p *topology.PodState) {
	for _, text := range [...]*string{
		&p.Namespace, &p.Node, &p.Network, &p.Region, &p.Zone, &p.Workload, &p.Kind, &p.Service, &p.Version, &p.ServiceAccount,
		&p.Revision,
	} {
		in.text(text)
	}
}
