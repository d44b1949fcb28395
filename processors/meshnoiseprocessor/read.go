// SPDX-License-Identifier: Apache-2.0

package meshnoiseprocessor

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor/internal/rules"
)

// readSuspect reads what [rules.Rules.Suspect] asks for, and whether the item is a proxy's. Nearly every item is done
// with after it, so it reads no more. Envoy's own names, those of the envoy_semconv processor and of the envoy receiver,
// and the keys of Istio's JSON access log are understood.
func readSuspect(attrs pcommon.Map, c *rules.Call) (proxy bool) {
	for key, value := range attrs.All() {
		switch key {
		case "component":
			proxy = proxy || value.Str() == "proxy"
		case "upstream_cluster", "envoy.upstream.cluster":
			c.UpstreamCluster = strings.TrimSuffix(value.Str(), ";")
			proxy = proxy || c.UpstreamCluster != ""
		case "node_id", "envoy.node.id":
			c.NodeID = value.Str()
		case "response_flags", "envoy.response.flags":
			proxy = true
		case "http.url", "url.full", "path":
			c.URL = value.Str()
		case "url.path":
			c.Path = value.Str()
		case "user_agent", "user_agent.original":
			c.UserAgent = value.Str()
		case "http.request.header.x-fd-healthprobe":
			c.FrontDoorProbe = header(value)
		case "mesh.source.workload":
			c.Source.Name = value.Str()
		case "mesh.source.namespace":
			c.Source.Namespace = value.Str()
		case "mesh.destination.workload":
			c.Destination.Name = value.Str()
		case "mesh.destination.namespace":
			c.Destination.Namespace = value.Str()
		}
	}
	if !proxy && c.NodeID != "" {
		_, err := envoy.ParseNodeID(c.NodeID)
		proxy = err == nil
	}
	return proxy
}

// addresses are those of the connection that a call came on, under the names that tell them.
type addresses struct {
	direct, remote, peer, networkPeer, client string
	// upstream says that the item has the address of an upstream; then Envoy writes it under the peer's name too.
	upstream bool
}

// readRest reads what else there is to know. server says that the item is a span of the called side: there network.peer.*
// and client.* are the caller's.
func readRest(attrs pcommon.Map, c *rules.Call, server bool) {
	c.GRPCStatus = -1
	var from addresses
	for key, value := range attrs.All() {
		switch key {
		case "http.method", "http.request.method", "method":
			c.Method = value.Str()
		case "http.status_code", "http.response.status_code", "response_code":
			c.Status = number(value, 0)
		case "grpc.status_code", "rpc.grpc.status_code":
			c.GRPCStatus = number(value, -1)
		case "url.query":
			c.Query = value.Str()
		case "http.request.header.x-azure-fdid":
			c.FrontDoorID = header(value)
		case "downstream_local_address", "envoy.downstream.local_address":
			c.LocalAddress = value.Str()
		default:
			from.read(key, value)
		}
	}
	c.Peer = from.settle(server)
}

func (a *addresses) read(key string, value pcommon.Value) {
	switch key {
	case "envoy.downstream.direct_address":
		a.direct = value.Str()
	case "downstream_remote_address", "envoy.downstream.address":
		a.remote = value.Str()
	case "peer.address":
		a.peer = value.Str()
	case "network.peer.address":
		a.networkPeer = value.Str()
	case "client.address":
		a.client = value.Str()
	case "upstream_address":
		a.upstream = value.Str() != ""
	}
}

func (a *addresses) settle(server bool) string {
	switch {
	case a.direct != "":
		return a.direct
	case a.remote != "":
		return a.remote
	case a.peer != "" && !a.upstream:
		return a.peer
	case server && a.networkPeer != "":
		return a.networkPeer
	case server:
		return a.client
	}
	return ""
}

// header returns the value of a header, which is a list by semantic conventions and a text as a custom tag.
func header(value pcommon.Value) string {
	if value.Type() == pcommon.ValueTypeSlice {
		if value.Slice().Len() == 0 {
			return ""
		}
		value = value.Slice().At(0)
	}
	return value.Str()
}

func number(value pcommon.Value, none int) int {
	if value.Type() == pcommon.ValueTypeInt {
		return int(value.Int())
	}
	n, err := strconv.Atoi(value.Str())
	if err != nil {
		return none
	}
	return n
}

// ownResource says whether the resource is one of the telemetry's own workloads, so that whatever its proxy reports is
// the telemetry's traffic.
func (p *meshNoise) ownResource(attrs pcommon.Map) bool {
	var namespace, pod, workload, service string
	for key, value := range attrs.All() {
		switch key {
		case "k8s.namespace.name":
			namespace = value.Str()
		case "k8s.pod.name":
			pod = value.Str()
		case "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name":
			workload = value.Str()
		case "service.name":
			service = value.Str()
		}
	}
	if namespace == "" {
		// Envoy calls itself "<app>.<namespace>".
		if i := strings.LastIndexByte(service, '.'); i > 0 {
			service, namespace = service[:i], service[i+1:]
		}
	}
	return p.rules.Own(namespace, pod) || p.rules.Own(namespace, workload) || p.rules.Own(namespace, service)
}
