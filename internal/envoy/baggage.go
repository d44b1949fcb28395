// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"net/url"
	"strings"
)

// Ceilings of a baggage header: what every implementation carries at least (W3C Baggage, 3.3.2; 180 members in its
// earlier versions).
const (
	maxBaggageSize    = 8192
	maxBaggageMembers = 180
)

// ParseBaggage reads the header "baggage" by which ambient proxies tell their workload:
// "k8s.deployment.name=reviews-v1,k8s.namespace.name=bookinfo,k8s.cluster.name=aks-westeurope,…" (envoyproxy/envoy
// contrib/istio/filters/common, metadata_object.cc; ztunnel writes the same). Members of others are passed over, without
// being counted in p.Unknown: the header is shared. Values are percent-decoded; properties of a member are ignored (W3C
// Baggage, 3.2.1). More than 8192 bytes or 180 members are [ErrPeerTooLarge]; a member without "=", a value that is not
// percent-encoded UTF-8, is [ErrPeerMalformed]. It allocates only for values that are encoded. A header proves nothing
// by itself: outside the mesh any client can write one.
func (p *Peer) ParseBaggage(s string) error {
	p.reset()
	if len(s) > maxBaggageSize {
		return ErrPeerTooLarge
	}
	var pod string
	for members := 0; s != ""; members++ {
		if members == maxBaggageMembers {
			return p.fail(ErrPeerTooLarge)
		}
		var member string
		member, s, _ = strings.Cut(s, ",")
		if err := p.baggageMember(member, &pod); err != nil {
			return p.fail(err)
		}
	}
	p.settlePod(pod)
	if p.Service == "" {
		// Envoy takes the application for the service, too, if no service is told.
		p.Service = p.App
	}
	if p.Revision == "" {
		p.Revision = p.Version
	}
	return p.finish()
}

// settlePod places the name of a pod: it is the workload's if no other kind of workload is told.
func (p *Peer) settlePod(pod string) {
	switch {
	case pod == "":
	case p.Workload == "":
		p.Workload, p.Type = pod, "pod"
	case p.Name == "":
		p.Name = pod
	}
}

// baggageMember reads "key = value; property".
func (p *Peer) baggageMember(member string, pod *string) error {
	member, _, _ = strings.Cut(member, ";")
	key, value, ok := strings.Cut(member, "=")
	key, value = strings.Trim(key, " \t"), strings.Trim(value, " \t")
	if !ok {
		if key == "" {
			return nil // An empty member, as of a trailing comma, does no harm.
		}
		return ErrPeerMalformed
	}
	if kind, found := workloadKind(key); found {
		if kind != "pod" {
			if err := put(&p.Type, kind); err != nil {
				return err
			}
			return p.putDecoded(&p.Workload, value)
		}
		return p.putDecoded(pod, value)
	}
	field := p.baggageField(key)
	if field == nil {
		return nil
	}
	return p.putDecoded(field, value)
}

func (p *Peer) putDecoded(field *string, value string) error {
	if strings.IndexByte(value, '%') >= 0 {
		decoded, err := url.PathUnescape(value)
		if err != nil {
			return ErrPeerMalformed
		}
		value = decoded
	}
	if !isPlain(value) {
		return ErrPeerMalformed
	}
	return put(field, value)
}

func (p *Peer) baggageField(key string) *string {
	switch key {
	case "k8s.namespace.name":
		return &p.Namespace
	case "k8s.cluster.name":
		return &p.Cluster
	case "k8s.instance.name":
		return &p.Name
	case "service.name":
		return &p.Service
	case "service.version":
		return &p.Revision
	case "app.name":
		return &p.App
	case "app.version":
		return &p.Version
	case "cloud.region":
		return &p.Region
	case "cloud.availability_zone":
		return &p.Zone
	}
	return nil
}

// workloadKind returns the kind of workload that a key such as "k8s.deployment.name" tells the name of.
func workloadKind(key string) (kind string, ok bool) {
	switch key {
	case "k8s.deployment.name":
		return "deployment", true
	case "k8s.job.name":
		return "job", true
	case "k8s.cronjob.name":
		return "cronjob", true
	case "k8s.statefulset.name":
		return "statefulset", true
	case "k8s.daemonset.name":
		return "daemonset", true
	case "k8s.pod.name":
		return "pod", true
	}
	return "", false
}
