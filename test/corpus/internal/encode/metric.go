// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/world"
)

// Reporter is the label "reporter" of Istio's metrics.
type Reporter string

// Who counts a call.
const (
	Source      Reporter = "source"
	Destination Reporter = "destination"
	ByWaypoint  Reporter = "waypoint"
)

// Metric returns the sample that the proxy exposes of one such call, in Prometheus' text format. Labels come in Istio's
// order.
func Metric(reporter Reporter, c *Call, s *Style) string {
	l := labels{}
	l.put("reporter", string(reporter))
	// Without an answer the calling proxy knows of the other side what istiod says of the endpoint.
	l.end("source", c.From, s, c.principal(c.From))
	to := c.To
	if reporter == Source && c.server() == "" {
		to = nil
	}
	l.end("destination", to, s, c.principal(to))
	l.service(c)
	name := "istio_requests_total"
	protocol := "http"
	switch {
	case c.tcp():
		name, protocol = "istio_tcp_sent_bytes_total", "tcp"
	case c.GRPC:
		protocol = "grpc"
	}
	l.put("request_protocol", protocol)
	if !c.tcp() {
		l.put("response_code", strconv.Itoa(c.Status))
	}
	if c.GRPC {
		l.put("grpc_response_status", strconv.Itoa(c.GRPCStatus))
	}
	l.put("response_flags", c.flags())
	l.put("connection_security_policy", c.policy(reporter))
	return name + "{" + strings.Join(l, ",") + "} 1"
}

// ZtunnelMetric returns ztunnel's sample of a connection. From Istio 1.25 on it has labels of its own for the places.
func ZtunnelMetric(reporter Reporter, c *Call, s *Style) string {
	l := labels{}
	l.put("reporter", string(reporter))
	l.end("source", c.From, s, c.principal(c.From))
	l.end("destination", c.To, s, c.principal(c.To))
	l.service(c)
	l.put("request_protocol", "tcp")
	l.put("response_flags", c.flags())
	policy := "mutual_tls"
	if c.Plain {
		policy = "unknown"
	}
	l.put("connection_security_policy", policy)
	if s.Istio >= 25 {
		l.place("source", c.From)
		l.place("destination", c.To)
	}
	return "istio_tcp_sent_bytes_total{" + strings.Join(l, ",") + "} 1"
}

type labels []string

func (l *labels) put(name, value string) { *l = append(*l, fmt.Sprintf("%s=%q", name, value)) }

func (l *labels) end(side string, p *world.Place, s *Style, principal string) {
	put := func(name, value string) { l.put(side+"_"+name, or(value, "unknown")) }
	if p == nil {
		for _, name := range []string{
			"workload", "canonical_service", "canonical_revision", "workload_namespace", "principal", "app", "version", "cluster",
		} {
			value := ""
			if name == "canonical_revision" {
				value = "latest"
			}
			put(name, value)
		}
		return
	}
	put("workload", p.Workload.Name)
	put("canonical_service", p.Workload.Service)
	put("canonical_revision", or(p.Workload.Version, "latest"))
	put("workload_namespace", p.Workload.Namespace)
	put("principal", principal)
	put("app", p.Workload.Service)
	put("version", p.Workload.Version)
	put("cluster", s.clusterOf(p))
}

func (l *labels) service(c *Call) {
	host := c.Host
	name, rest, _ := strings.Cut(host, ".")
	namespace, _, _ := strings.Cut(rest, ".")
	if !strings.Contains(host, ".svc.") {
		name, namespace = host, "unknown"
	}
	if c.Cluster == "PassthroughCluster" || c.Cluster == "BlackHoleCluster" {
		name, namespace = c.Cluster, "unknown"
	}
	l.put("destination_service", or(host, "unknown"))
	l.put("destination_service_name", or(name, "unknown"))
	l.put("destination_service_namespace", namespace)
}

func (l *labels) place(side string, p *world.Place) {
	region, zone := "unknown", "unknown"
	if p != nil {
		region, zone = or(p.Cluster.Region, "unknown"), or(p.End().Zone, "unknown")
	}
	l.put(side+"_region", region)
	l.put(side+"_zone", zone)
}

// principal is what a label says of an end's identity: nothing without mutual TLS.
func (c *Call) principal(p *world.Place) string {
	if p == nil || c.Plain || c.To == nil || c.NoAnswer {
		return ""
	}
	return p.Principal()
}

// policy is always unknown at the calling side.
func (c *Call) policy(reporter Reporter) string {
	switch {
	case reporter == Source:
		return "unknown"
	case c.Plain:
		return "none"
	}
	return "mutual_tls"
}

// ZtunnelLog returns ztunnel's line about a connection. outbound says which of the two ztunnels wrote it; failed lines
// have addresses alone.
func ZtunnelLog(c *Call, s *Style, outbound, failed bool) string {
	var b strings.Builder
	message, level := "connection complete", "info"
	if failed {
		message, level = "connection failed", "error"
	}
	fmt.Fprintf(&b, "%s\t%s\taccess\t%s", c.At.UTC().Format("2006-01-02T15:04:05.000000Z"), level, message)
	put := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s=%s", name, value)
		}
	}
	quoted := func(name, value string) {
		if value != "" {
			put(name, strconv.Quote(value))
		}
	}
	put("src.addr", join(c.client(), 46238))
	if !failed {
		ztunnelEnd(quoted, "src", c.From, c, s)
	}
	if outbound {
		ip, _, _ := net.SplitHostPort(c.server())
		put("dst.addr", join(ip, 15008))
		put("dst.hbone_addr", c.hboneTarget())
	} else {
		put("dst.addr", join(c.To.IP(), 15008))
		put("dst.hbone_addr", join(c.To.IP(), c.Port))
	}
	if !failed {
		quoted("dst.service", c.Host)
		to := c.To
		if outbound && c.Waypoint != nil {
			to = c.Waypoint
		}
		ztunnelEnd(quoted, "dst", to, c, s)
	}
	quoted("direction", map[bool]string{true: "outbound", false: "inbound"}[outbound])
	if failed {
		quoted("error", "connection refused")
		return b.String()
	}
	put("bytes_sent", "67")
	put("bytes_recv", "490")
	quoted("duration", "13ms")
	return b.String()
}

// hboneTarget is what the caller's ztunnel asks the other side of the tunnel for: the called pod, or the service where
// that side is a waypoint or a gateway into another network.
func (c *Call) hboneTarget() string {
	switch {
	case c.Through != nil:
		return fmt.Sprintf("%s:%d", c.Host, c.Port)
	case c.Waypoint != nil:
		return join("10.96.108.116", c.Port)
	}
	return join(c.To.IP(), c.Port)
}

func ztunnelEnd(put func(name, value string), side string, p *world.Place, c *Call, s *Style) {
	if p == nil {
		return
	}
	put(side+".workload", p.Pod.Name)
	put(side+".namespace", p.Workload.Namespace)
	if s.Istio >= 27 {
		put(side+".cluster", s.clusterOf(p))
	}
	if !c.Plain {
		put(side+".identity", p.Principal())
	}
}
