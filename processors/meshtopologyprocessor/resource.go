// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"net/netip"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
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

func readResource(attrs pcommon.Map) resourceReading {
	var r resourceReading
	var podIP, instance, server string
	for key, value := range attrs.All() {
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

// stampResource writes the near end where the resource does not say it already: what the user, the application or an
// agent before us set stays.
func stampResource(attrs pcommon.Map, near *rules.Near) {
	if !near.By.Known() {
		return
	}
	attrs.EnsureCapacity(attrs.Len() + 13)
	stampCluster(attrs, near)
	if pod, ok := attrs.Get("k8s.pod.name"); ok && near.PodName != "" && pod.AsString() != near.PodName {
		// The resource names another pod, such as that of a collector that forwarded. Two pods must not be mixed.
		return
	}
	putAbsent(attrs, "k8s.namespace.name", near.End.Namespace)
	putAbsent(attrs, "k8s.pod.name", near.PodName)
	putAbsent(attrs, "cloud.region", near.End.Region)
	putAbsent(attrs, "cloud.availability_zone", near.End.Zone)
	if near.Pod != nil {
		if near.Pod.Node != nil {
			putAbsent(attrs, "k8s.node.name", near.Pod.Node.Name)
		}
		if key := kindKeys[near.Pod.Workload.Kind]; key != "" {
			putAbsent(attrs, key, near.Pod.Workload.Name)
		}
	}
	stampService(attrs, near)
}

func stampCluster(attrs pcommon.Map, near *rules.Near) {
	if near.Cluster != nil {
		putAbsent(attrs, "cloud.provider", near.Cluster.Provider)
		putAbsent(attrs, "cloud.platform", near.Cluster.Platform)
	}
	if said, ok := attrs.Get("k8s.cluster.name"); ok && said.Str() == rules.DefaultClusterID && near.End.Cluster != "" {
		// The rules did not believe it: every Istio has this id until its owner sets one.
		said.SetStr(near.End.Cluster)
		return
	}
	putAbsent(attrs, "k8s.cluster.name", near.End.Cluster)
}

// stampService writes service.*. Envoy calls itself "<app>.<namespace>", and Azure Monitor builds the role name as
// namespace.name: a namespace beside such a name would be told twice, so it is left out.
func stampService(attrs pcommon.Map, near *rules.Near) {
	service := near.End.Service
	if service == "" {
		service = near.End.Workload
	}
	putAbsent(attrs, "service.name", service)
	if name, ok := attrs.Get("service.name"); ok && near.End.Namespace != "" && !endsWith(name.Str(), near.End.Namespace) {
		putAbsent(attrs, "service.namespace", near.End.Namespace)
	}
	putAbsent(attrs, "service.version", near.End.Version)
	if near.PodName == "" || near.End.Namespace == "" {
		return
	}
	if _, ok := attrs.Get("service.instance.id"); !ok {
		attrs.PutStr("service.instance.id", near.End.Namespace+"."+near.PodName)
	}
}

// endsWith says whether name ends in ".namespace".
func endsWith(name, namespace string) bool {
	head, ok := strings.CutSuffix(name, namespace)
	return ok && strings.HasSuffix(head, ".")
}

func putAbsent(attrs pcommon.Map, key, value string) {
	if value == "" {
		return
	}
	if _, ok := attrs.Get(key); !ok {
		attrs.PutStr(key, value)
	}
}
