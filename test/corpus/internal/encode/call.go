// SPDX-License-Identifier: Apache-2.0

// Package encode writes one call as each proxy on its way writes it: as a span, as an access log in each of its
// encodings, as a metric. The forms are those of the recordings of the demo mesh and of the sources of Envoy, Istio and
// ztunnel, by Istio's version.
package encode

import (
	"crypto/sha256"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/world"
)

// Role is what a proxy is in a call.
type Role string

// The roles of proxies. A gateway writes two spans: of the request, and of its call into the mesh.
const (
	SidecarOutbound Role = "sidecar_outbound"
	SidecarInbound  Role = "sidecar_inbound"
	IngressGateway  Role = "ingress_gateway"
	EgressGateway   Role = "egress_gateway"
	EastWestGateway Role = "east_west_gateway"
	Waypoint        Role = "waypoint"
	Ztunnel         Role = "ztunnel"
)

// Names are the attribute names that Envoy's tracer is told to write.
type Names string

// Envoy's names, those of the semantic conventions, and both side by side.
const (
	Legacy Names = "legacy"
	New    Names = "new"
	Both   Names = "both"
)

// Style is how the proxies of a mesh write.
type Style struct {
	// Istio is the minor version: 28 is 1.28.
	Istio int
	Names Names
	// HostTag and WorkloadTag say that the mesh has these two custom tags, possible from Istio 1.29; Guide that it has all
	// five that the guide recommends.
	HostTag, WorkloadTag, Guide bool
	// ClusterID is what each proxy calls its cluster; empty for the cluster's name, "none" for no tag at all.
	ClusterID string
	// Peers says that the access log service is told to log the peers' metadata.
	Peers bool
}

// Guided returns the style of a mesh with the custom tags of the guide.
func (s Style) Guided() Style { s.HostTag, s.WorkloadTag, s.Guide = true, true, true; return s }

// clusterOf returns what a proxy says its cluster is.
func (s *Style) clusterOf(p *world.Place) string {
	switch s.ClusterID {
	case "":
		return p.Cluster.Name
	case "none":
		return ""
	}
	return s.ClusterID
}

// Call is a call as it happened.
type Call struct {
	// Name makes the ids of the call.
	Name string
	// From and To are the two ends; nil for one that is outside of the mesh or, for To, that was never chosen.
	From, To *world.Place
	// Proxy is who wrote, where that is neither end.
	Proxy *world.Place
	// Host and Port are what was called, Subset its subset.
	Host   string
	Port   int
	Subset string
	// Client is the address from which the call reached the proxy at the called end, where it is not the caller's; for
	// an ingress gateway, the address of the client outside. Where both are wanted, Outside is the latter.
	Client, Outside string
	// Server is the ip:port that the calling proxy sent to, where it is not the called pod's; "-" if it chose none.
	Server string
	// Through and ThroughCluster are the east/west gateway into the other network, and its cluster.
	Through        *world.Gateway
	ThroughCluster *world.Cluster
	// Cluster is the Envoy cluster, where it is not that of Host.
	Cluster string
	// Protocol is HTTP/1.1, HTTP/2, HTTP/3 or TCP.
	Protocol string
	GRPC     bool
	Method   string
	Path     string
	Status   int
	// GRPCStatus is the number of the status.
	GRPCStatus int
	// Flags are response flags, joined by commas; empty for none.
	Flags string
	// Details is the response code details.
	Details string
	Retries int
	// Plain says that there was no TLS between the two proxies.
	Plain bool
	// Waypoint is the waypoint of the called namespace, if the call went through it.
	Waypoint *world.Place
	// Attempts says that the calling proxy writes a span of each attempt, which is then the parent of the called side's.
	Attempts bool
	// NoAnswer says that the other side never answered, so that the proxies exchanged no metadata.
	NoAnswer bool
	At       time.Time
	// Authority is the host header, where it is not the short name of Host.
	Authority string
}

func (c *Call) tcp() bool { return c.Protocol == "TCP" }

func (c *Call) flags() string { return or(c.Flags, "-") }

func (c *Call) authority() string {
	if c.Authority != "" {
		return c.Authority
	}
	short, _, _ := strings.Cut(c.Host, ".")
	return fmt.Sprintf("%s:%d", short, c.Port)
}

// outbound returns the Envoy cluster at the calling side.
func (c *Call) outbound() string {
	if c.Cluster != "" {
		return c.Cluster
	}
	return fmt.Sprintf("outbound|%d|%s|%s", c.Port, c.Subset, c.Host)
}

// sni returns the server name that Istio's proxies call each other by.
func (c *Call) sni() string {
	if c.Plain {
		return ""
	}
	return fmt.Sprintf("outbound_.%d_.%s_.%s", c.Port, or(c.Subset, "_"), c.Host)
}

// server returns the ip:port that the calling proxy sent to, empty if it chose none.
func (c *Call) server() string {
	switch {
	case c.Server == "-":
		return ""
	case c.Server != "":
		return c.Server
	case c.Through != nil:
		return join(c.Through.Addresses[0], c.Through.Port)
	case c.To != nil:
		return join(c.To.IP(), c.Port)
	}
	return ""
}

// client returns the address that the proxy at the called side saw.
func (c *Call) client() string {
	if c.Client != "" || c.From == nil {
		return c.Client
	}
	return c.From.IP()
}

// endpointMetadata is istiod's metadata of the endpoint: workload;namespace;canonical name;revision;cluster, of which
// the gateway into another network has the cluster alone.
func (c *Call) endpointMetadata(s *Style) string {
	switch {
	case c.server() == "" || c.To == nil:
		return ""
	case c.Through != nil:
		return ";;;;" + s.clusterOf(&world.Place{Cluster: c.ThroughCluster})
	}
	l := c.To.Workload
	return strings.Join([]string{l.Name, l.Namespace, l.Service, or(l.Version, "latest"), s.clusterOf(c.To)}, ";")
}

// reporter returns the pod whose proxy wrote.
func (c *Call) reporter(role Role) *world.Place {
	switch {
	case c.Proxy != nil:
		return c.Proxy
	case role == SidecarInbound:
		return c.To
	}
	return c.From
}

// nodeID returns the id of the pod's proxy.
func nodeID(role Role, p *world.Place) string {
	kind := "sidecar"
	switch role {
	case IngressGateway, EgressGateway, EastWestGateway:
		kind = "router"
	case Waypoint:
		kind = "waypoint"
	}
	ns := p.Workload.Namespace
	return kind + "~" + p.IP() + "~" + p.Pod.Name + "." + ns + "~" + ns + ".svc.cluster.local"
}

// serviceCluster is Envoy's --service-cluster, as Istio sets it.
func serviceCluster(p *world.Place) string {
	return or(p.Workload.Service, p.Workload.Name) + "." + p.Workload.Namespace
}

// bareZone is the zone as Azure's instance metadata has it: westeurope-1 is "1".
func bareZone(p *world.Place) string {
	zone := p.End().Zone
	return strings.TrimPrefix(zone, p.Cluster.Region+"-")
}

func (c *Call) digest(what string) [sha256.Size]byte {
	return sha256.Sum256([]byte(c.Name + "/" + what))
}

// requestID is the x-request-id of the call.
func (c *Call) requestID() string {
	d := c.digest("request")
	return fmt.Sprintf("%x-%x-%x-%x-%x", d[0:4], d[4:6], d[6:8], d[8:10], d[10:16])
}

func join(ip string, port int) string { return net.JoinHostPort(ip, strconv.Itoa(port)) }

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}
