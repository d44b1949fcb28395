// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
)

// agent is what a user agent claims to be.
type agent uint8

const (
	noAgent agent = iota
	prober
	frontDoor
	scraper
)

// frontDoorAgent is the user agent of Azure Front Door's probes.
const frontDoorAgent = "Edge Health Probe"

// agentOf reads the user agent: of a kubelet, of Azure's load balancer, traffic manager and Front Door, of Google's load
// balancers, of Envoy's active health checks, and of scrapers, this distribution's own among them.
func (r *Rules) agentOf(userAgent string) agent {
	if userAgent == "" {
		return noAgent
	}
	// Nearly every call comes here, and nearly no user agent begins with these letters.
	switch userAgent[0] {
	case 'k':
		return r.oneOf(userAgent, "kube-probe/", prober)
	case 'L':
		return r.oneOf(userAgent, "Load Balancer Agent", prober)
	case 'A':
		return r.oneOf(userAgent, "Azure Traffic Manager", prober)
	case 'G':
		return r.oneOf(userAgent, "GoogleHC/", prober)
	case 'E':
		if userAgent == frontDoorAgent {
			return frontDoor
		}
		return r.oneOf(userAgent, "Envoy/HC", prober)
	case 'P':
		return r.oneOf(userAgent, "Prometheus/", scraper)
	case 'o':
		return r.oneOf(userAgent, "otelcol", scraper)
	case 'v':
		if strings.HasPrefix(userAgent, "vm_promscrape") {
			return scraper
		}
		return r.oneOf(userAgent, "vmagent", scraper)
	}
	return r.oneOf(userAgent, "", noAgent)
}

// oneOf returns what begins with the prefix, else what is configured.
func (r *Rules) oneOf(userAgent, prefix string, builtIn agent) agent {
	switch {
	case prefix != "" && strings.HasPrefix(userAgent, prefix):
		return builtIn
	case hasAnyPrefix(userAgent, r.ProbeUserAgents):
		return prober
	case hasAnyPrefix(userAgent, r.ScrapeUserAgents):
		return scraper
	}
	return noAgent
}

// grpcHealth begins the paths of the gRPC health checking protocol (grpc.health.v1).
const grpcHealth = "/grpc.health.v1.Health/"

// readyPath is where Istio's agent answers for the proxy (port 15021).
const readyPath = "/healthz/ready"

// isProbe says whether the call is a health probe. A user agent counts only for calls without a body to a path that
// answers probes, and for those that came from where the prober is. By its path alone a call counts on the gRPC health
// service, and on the ports of Istio's agent.
func (r *Rules) isProbe(c *Call, path string) bool {
	if method, ok := strings.CutPrefix(path, grpcHealth); ok {
		return c.Method == http.MethodPost && (method == "Check" || method == "Watch" || method == "List")
	}
	if !c.reads() {
		return false
	}
	if c.onAgentPort() && (path == readyPath || isRewritten(path)) {
		return true
	}
	claimed := r.agentOf(c.UserAgent)
	if c.FrontDoorProbe == "1" && claimed != prober {
		claimed = frontDoor
	}
	switch claimed {
	case prober:
		return r.probePaths[path] || isRewritten(path) || r.fromProber(c)
	case frontDoor:
		// Its default probe is HEAD on the root. The id of an own profile is as good as a secret.
		return r.probePaths[path] || (c.Method == http.MethodHead && path == "/") || r.frontDoorIDs[c.FrontDoorID]
	}
	return false
}

// isRewritten says whether the path is one under which Istio's agent answers a kubelet for the application:
// "/app-health/<container>/livez" (istio/istio pilot/cmd/pilot-agent/status).
func isRewritten(path string) bool {
	rest, ok := strings.CutPrefix(path, "/app-health/")
	if !ok {
		return false
	}
	container, kind, ok := strings.Cut(rest, "/")
	return ok && container != "" && (kind == "livez" || kind == "readyz" || kind == "startupz")
}

// onAgentPort says whether the call was received on a port that Istio keeps for probes and scrapes, by what the caller
// cannot choose: the address of the connection, or where the proxy sent it.
func (c *Call) onAgentPort() bool {
	switch c.UpstreamCluster {
	case "agent", "prometheus_stats":
		return true
	}
	if _, port, ok := envoy.ParseAddress(c.LocalAddress); ok && isAgentPort(port) {
		return true
	}
	name, err := envoy.ParseClusterName(c.UpstreamCluster)
	return err == nil && name.Direction == envoy.Inbound && isAgentPort(name.Port)
}

func isAgentPort(port uint16) bool { return port == 15020 || port == 15021 || port == 15090 }

// fromProber says whether the connection came from where probers are: a load balancer's addresses, or a node's if the
// call was received by a workload's own proxy. At a gateway a node's address is that of anybody behind the node that
// translated it, and kubelets probe a gateway on its agent's port.
func (r *Rules) fromProber(c *Call) bool {
	text, port, ok := envoy.ParseAddress(c.Peer)
	if !ok || (port == 0 && strings.HasSuffix(c.Peer, ":0")) {
		// With port 0 Envoy prints an address that it took from a header.
		return false
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return false
	}
	ip = ip.Unmap()
	for _, prefix := range r.ProberAddresses {
		if prefix.Contains(ip) {
			return true
		}
	}
	if r.IsNode == nil {
		return false
	}
	name, err := envoy.ParseClusterName(c.UpstreamCluster)
	received := err == nil && (name.Direction == envoy.Inbound || name.Direction == envoy.InboundPassthrough)
	return received && r.IsNode(ip)
}

// statsPath is Envoy's page of metrics, and the one into which Istio's agent merges the application's.
const statsPath = "/stats/prometheus"

// isScrape says whether the call is a scrape: of Envoy's page on the ports of Istio's agent, or by a scraper's user agent
// of a path that has metrics and nothing else.
func (r *Rules) isScrape(c *Call, path string) bool {
	if !c.reads() {
		return false
	}
	if path == statsPath && c.onAgentPort() {
		return true
	}
	return r.agentOf(c.UserAgent) == scraper && (path == statsPath || r.scrapePaths[path])
}

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}
