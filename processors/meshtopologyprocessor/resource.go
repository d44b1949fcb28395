// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"net/netip"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/attrs"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// resourceReading is what a resource says.
type resourceReading struct {
	reporter rules.Reporter
	// proxy says that Envoy's own SDK, or the envoy receiver, made the resource.
	proxy bool
	// target is the address that was scraped, for metrics; invalid if that was a name. scraped says that something was.
	target  netip.Addr
	scraped bool
	// shared says that the connection brought the telemetry of several proxies, so it tells nobody's place.
	shared bool
}

func readResource(m pcommon.Map) resourceReading {
	var r resourceReading
	var podIP, instance, server string
	for key, value := range m.All() {
		switch key {
		case "k8s.cluster.name":
			r.reporter.Cluster = value.Str()
		case "k8s.namespace.name":
			r.reporter.Namespace = value.Str()
		case "k8s.pod.name":
			r.reporter.Pod = value.Str()
		case "k8s.pod.ip":
			podIP = value.Str()
		case "cloud.region":
			r.reporter.Region = value.Str()
		case "cloud.availability_zone":
			r.reporter.Zone = value.Str()
		case "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.job.name", "k8s.cronjob.name":
			r.reporter.Workload = value.Str()
		case "service.version":
			r.reporter.Version = value.Str()
		case "mesh.network":
			r.reporter.Network = value.Str()
		case "envoy.node.id":
			r.reporter.NodeID, r.reporter.PeerMetadata, r.proxy = value.Str(), true, true
		case "telemetry.sdk.name":
			r.proxy = r.proxy || value.Str() == "envoy"
		case "service.instance.id", "instance":
			instance = value.Str()
		case "server.address", "net.host.name":
			server = value.Str()
		}
	}
	r.reporter.Address = parseHost(podIP)
	if r.target = parseHost(instance); !r.target.IsValid() {
		r.target = parseHost(server)
	}
	r.scraped = server != "" || r.target.IsValid()
	return r
}

// parseHost returns the address of "ip" or "ip:port", invalid if it is no pod's.
func parseHost(text string) netip.Addr {
	host, _, ok := envoy.ParseAddress(text)
	if !ok {
		return netip.Addr{}
	}
	ip, err := netip.ParseAddr(host)
	if ip = ip.Unmap(); err != nil || rules.IsProxyLoopback(ip) {
		return netip.Addr{}
	}
	return ip
}

// kindKeys are the attributes that name a workload of each kind. A bare pod has none beside k8s.pod.name.
var kindKeys = map[string]string{
	"deployment": "k8s.deployment.name", "statefulset": "k8s.statefulset.name", "daemonset": "k8s.daemonset.name",
	"job": "k8s.job.name", "cronjob": "k8s.cronjob.name", "replicaset": "k8s.replicaset.name",
}

// additions are attributes that a resource has not and gets, all of them at once.
type additions struct {
	to           pcommon.Map
	keys, values [maxAdditions]string
	n            int
}

// maxAdditions is how many attributes a resource gets at most.
const maxAdditions = 13

// absent adds an attribute, if it has a value and the resource has none. No key may be added twice.
func (a *additions) absent(key, value string) {
	if value == "" {
		return
	}
	if _, ok := a.to.Get(key); !ok {
		a.keys[a.n], a.values[a.n] = key, value
		a.n++
	}
}

// stampResource writes the near end where the resource does not say it already: what the user, the application or an
// agent before us set stays.
func stampResource(resource pcommon.Map, near *rules.Near) {
	if !near.By.Known() {
		return
	}
	a := additions{to: resource}
	a.near(near)
	attrs.Append(resource, a.keys[:a.n], a.values[:a.n])
}

func (a *additions) near(near *rules.Near) {
	a.cluster(near)
	if pod, ok := a.to.Get("k8s.pod.name"); ok && near.PodName != "" && pod.AsString() != near.PodName {
		// The resource names another pod, such as that of a collector that forwarded. Two pods must not be mixed.
		return
	}
	a.absent("k8s.namespace.name", near.End.Namespace)
	a.absent("k8s.pod.name", near.PodName)
	a.absent("cloud.region", near.End.Region)
	a.absent("cloud.availability_zone", near.End.Zone)
	if near.Pod != nil {
		if near.Pod.Node != nil {
			a.absent("k8s.node.name", near.Pod.Node.Name)
		}
		if key := kindKeys[near.Pod.Workload.Kind]; key != "" {
			a.absent(key, near.Pod.Workload.Name)
		}
	}
	a.service(near)
}

func (a *additions) cluster(near *rules.Near) {
	if near.Cluster != nil {
		a.absent("cloud.provider", near.Cluster.Provider)
		a.absent("cloud.platform", near.Cluster.Platform)
	}
	if said, ok := a.to.Get("k8s.cluster.name"); ok && said.Str() == rules.DefaultClusterID && near.End.Cluster != "" {
		// The rules did not believe it: every Istio has this id until its owner sets one.
		said.SetStr(near.End.Cluster)
		return
	}
	a.absent("k8s.cluster.name", near.End.Cluster)
}

// service adds service.*. Envoy calls itself "<app>.<namespace>", and Azure Monitor builds the role name as
// namespace.name: a namespace beside such a name would be told twice, so it is left out.
func (a *additions) service(near *rules.Near) {
	name := near.End.Service
	if name == "" {
		name = near.End.Workload
	}
	a.absent("service.name", name)
	said, ok := a.to.Get("service.name")
	if ok {
		name = said.Str()
	}
	if (ok || name != "") && !endsWith(name, near.End.Namespace) {
		a.absent("service.namespace", near.End.Namespace)
	}
	a.absent("service.version", near.End.Version)
	if near.PodName == "" || near.End.Namespace == "" {
		return
	}
	if _, ok := a.to.Get("service.instance.id"); !ok {
		a.absent("service.instance.id", near.End.Namespace+"."+near.PodName)
	}
}

// endsWith says whether name ends in ".namespace".
func endsWith(name, namespace string) bool {
	head, ok := strings.CutSuffix(name, namespace)
	return ok && strings.HasSuffix(head, ".")
}
