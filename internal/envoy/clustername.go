// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"strconv"
	"strings"
)

// ErrClusterName reports that a cluster name follows none of Istio's forms.
var ErrClusterName error = &Error{Format: "an Istio cluster name"}

// Direction says which way the traffic of an Envoy cluster goes, seen from the proxy.
type Direction int

// The directions. The zero value stands for a name that [ParseClusterName] does not know.
const (
	DirectionUnknown Direction = iota
	// Inbound goes to the application beside the proxy.
	Inbound
	// Outbound goes to a service of the mesh or a ServiceEntry.
	Outbound
	// InboundVIP goes from a waypoint to a service that it serves.
	InboundVIP
	// Internal goes to the control plane, to the agent, or to another listener of the same proxy.
	Internal
	// Passthrough goes to an address that the mesh does not know (PassthroughCluster).
	Passthrough
	// BlackHole goes nowhere: the call was refused (BlackHoleCluster).
	BlackHole
	// InboundPassthrough goes to the application beside the proxy, on a port that no service declares.
	InboundPassthrough
)

var directionNames = [...]string{
	"unknown", "inbound", "outbound", "inbound-vip", "internal", "passthrough", "blackhole", "inbound-passthrough",
}

// String returns the direction in lower case, "unknown" for one out of range.
func (d Direction) String() string {
	if d < 0 || int(d) >= len(directionNames) {
		return directionNames[DirectionUnknown]
	}
	return directionNames[d]
}

// ClusterName is the name of an Envoy cluster that Istio built, in its parts.
type ClusterName struct {
	Direction Direction
	// Port is the service's port, 0 for names without one.
	Port uint16
	// Subset is the DestinationRule's subset, empty for none.
	Subset string
	// Host is the service's host name, for example "reviews.bookinfo.svc.cluster.local". It is empty for [Inbound]
	// since Istio 1.8, and for names without one.
	Host string
	// Protocol is "http" or "tcp" for [InboundVIP], else empty.
	Protocol string
	// Fixed is the name itself if it is one of the fixed ones, such as "PassthroughCluster" and "connect_originate", else
	// empty.
	Fixed string
}

// Tunnel says whether the cluster is a hop within the proxy, by which a call enters or leaves an HBONE tunnel: one call
// passes several of them, and each has its own access log entry and statistics.
func (c ClusterName) Tunnel() bool {
	switch c.Fixed {
	case "connect_originate", "connect_terminate", "main_internal", "encap", InnerConnect,
		"outer_connect_originate":
		return true
	}
	return false
}

// ParseClusterName reads the forms of istio/istio pilot/pkg/model/push_context.go: "outbound|9080|v1|host",
// "inbound|9080||", "inbound-vip|9080|http|host", the server name form "outbound_.9080_.v1_.host" that east/west
// gateways use, and the fixed names. A trailing ';', which Istio adds to upstream_cluster.name since 1.23, does not
// matter. It returns [ErrClusterName] and the zero value for other names; those are legal, as users may add clusters
// of their own. It does not allocate.
func ParseClusterName(name string) (ClusterName, error) {
	name = strings.TrimRight(name, ";")
	if d := fixedDirection(name); d != DirectionUnknown {
		return ClusterName{Direction: d, Fixed: name}, nil
	}
	direction, port, subset, host, ok := splitPipes(name)
	if !ok {
		direction, port, subset, host, ok = splitServerName(name)
	}
	if !ok {
		return ClusterName{}, ErrClusterName
	}
	return newClusterName(direction, port, subset, host)
}

// String returns the name in the form with pipes, or the fixed name.
func (c ClusterName) String() string {
	if c.Fixed != "" {
		return c.Fixed
	}
	subset := c.Subset
	switch c.Direction {
	case Inbound, Outbound:
	case InboundVIP:
		subset = c.Protocol
		if c.Subset != "" {
			subset += "/" + c.Subset
		}
	default:
		return c.Direction.String()
	}
	return c.Direction.String() + "|" + strconv.Itoa(int(c.Port)) + "|" + subset + "|" + c.Host
}

func newClusterName(direction, port, subset, host string) (ClusterName, error) {
	p, ok := parsePort(port)
	if !ok || strings.IndexByte(host, '|') >= 0 || strings.IndexByte(subset, '|') >= 0 {
		return ClusterName{}, ErrClusterName
	}
	c := ClusterName{Port: p, Subset: subset, Host: host}
	switch direction {
	case "inbound":
		c.Direction = Inbound
		return c, nil
	case "outbound":
		c.Direction = Outbound
	case "inbound-vip":
		c.Direction = InboundVIP
		c.Protocol, c.Subset, _ = strings.Cut(subset, "/")
	default:
		return ClusterName{}, ErrClusterName
	}
	if host == "" {
		return ClusterName{}, ErrClusterName
	}
	return c, nil
}

func splitPipes(name string) (direction, port, subset, host string, ok bool) {
	return cut4(name, "|")
}

// splitServerName reads a DNS SRV like name, in which '_' ends each part, as '|' is not legal in a host name.
func splitServerName(name string) (direction, port, subset, host string, ok bool) {
	return cut4(name, "_.")
}

func cut4(s, sep string) (a, b, c, d string, ok bool) {
	if a, s, ok = strings.Cut(s, sep); !ok {
		return "", "", "", "", false
	}
	if b, s, ok = strings.Cut(s, sep); !ok {
		return "", "", "", "", false
	}
	c, d, ok = strings.Cut(s, sep)
	return a, b, c, d, ok
}

func fixedDirection(name string) Direction {
	switch name {
	case "PassthroughCluster":
		return Passthrough
	case "BlackHoleCluster":
		return BlackHole
	case "InboundPassthroughCluster", "InboundPassthroughClusterIpv4", "InboundPassthroughClusterIpv6":
		return InboundPassthrough
	case "xds-grpc", "sds-grpc", "agent", "prometheus_stats", "zipkin", "encap", "main_internal",
		"connect_originate", "connect_terminate", InnerConnect, "outer_connect_originate":
		return Internal
	}
	return DirectionUnknown
}
