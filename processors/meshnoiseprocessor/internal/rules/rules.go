// SPDX-License-Identifier: Apache-2.0

// Package rules says what is noise: a health probe, a scrape, or the telemetry's own traffic. It takes plain strings and
// knows nothing of pdata.
//
//   - [Look.Suspect] says quickly that a call cannot be noise, which nearly all are not.
//   - [Rules.Judge] says what a call is, by all that is known of it.
//   - [Rules.JudgePoint] does so for a point of a metric.
//
// What a caller may choose freely, its user agent above all, is never enough: whoever wants to hide could write it. A
// rule needs evidence beside it that the caller cannot choose (where the connection came from, on which port it was
// received, where the proxy sent it), or that leaves nothing worth hiding (a path that answers probes alone).
package rules

import (
	"net/http"
	"net/netip"
	"strings"
)

// Reason is what kind of noise an item is.
type Reason uint8

// The reasons.
const (
	// None: not noise, or nothing proves it. The zero value.
	None Reason = iota
	// HealthProbe is a health probe that was answered well.
	HealthProbe
	// FailedHealthProbe is a health probe that got no answer, or a bad one: see [Call.Failed].
	FailedHealthProbe
	// Scrape is a scrape of metrics.
	Scrape
	// Telemetry is traffic of the telemetry itself.
	Telemetry
	// ReasonCount is one past the last reason.
	ReasonCount
)

var reasonWords = [ReasonCount]string{"", "health_probe", "failed_health_probe", "scrape", "telemetry"}

// String returns the word of the reason, as in the attribute mesh.noise; empty for [None].
func (r Reason) String() string { return reasonWords[min(r, ReasonCount-1)] }

// Call is what a span or an access log record of a proxy says of a call. Strings are as they stand in the telemetry;
// "-", Envoy's word for nothing, never matches anything.
type Call struct {
	Method string
	// URL is the whole URL, or the path with its query: what Envoy and Istio log. Path and Query, where they stand apart,
	// go before it.
	URL, Path, Query string
	UserAgent        string
	// UpstreamCluster is the Envoy cluster the call went to.
	UpstreamCluster string
	// NodeID is Envoy's node id.
	NodeID string
	// Peer is the address the connection came from, LocalAddress the one it was received on.
	Peer, LocalAddress string
	// FrontDoorProbe and FrontDoorID are the headers X-FD-HealthProbe and X-Azure-FDID.
	FrontDoorProbe, FrontDoorID string
	// Status is the HTTP status, 0 if there was none. GRPCStatus is the gRPC status, negative if there was none.
	Status, GRPCStatus int
	// Source and Destination are the workloads at the two ends, as the mesh_topology processor stamped them.
	Source, Destination Workload
}

// Workload names a workload; empty if not known.
type Workload struct{ Namespace, Name string }

// Settings are what [New] makes rules of. See the README of the processor for their meaning.
type Settings struct {
	ProbePaths, ScrapePaths           []string
	ProbeUserAgents, ScrapeUserAgents []string
	// ProberAddresses are where load balancers' probes come from.
	ProberAddresses []netip.Prefix
	FrontDoorIDs    []string
	// Workloads are the telemetry's own: "name" or "namespace/name", where the name may end in "*".
	Workloads []string
	// ScrapeWorkloads are those whose calls are scrapes, for metrics that name no path.
	ScrapeWorkloads []string
	// IngestionHosts are hosts that take telemetry; one that begins with a dot stands for all below it.
	IngestionHosts []string
	// IsNode says whether an address is a node's; nil if nothing tells.
	IsNode func(netip.Addr) bool
}

// Rules are [Settings] made ready. Nothing changes them, so any number of goroutines may use them.
type Rules struct {
	Settings
	probePaths, scrapePaths, frontDoorIDs map[string]bool
	workloads, scrapers                   []pattern
}

// New returns the rules of the settings.
func New(s Settings) *Rules {
	return &Rules{
		Settings: s, probePaths: setOf(s.ProbePaths), scrapePaths: setOf(s.ScrapePaths), frontDoorIDs: setOf(s.FrontDoorIDs),
		workloads: patternsOf(s.Workloads), scrapers: patternsOf(s.ScrapeWorkloads),
	}
}

// Judge says what the call is.
func (r *Rules) Judge(c *Call) Reason {
	path, query := c.path()
	switch {
	case r.isTelemetry(c, path, query):
		return Telemetry
	case query:
		// Probes and scrapes of the kinds below have none, and what it says may be worth hiding.
		return None
	case r.isProbe(c, path):
		if c.Failed() {
			return FailedHealthProbe
		}
		return HealthProbe
	case r.isScrape(c, path):
		return Scrape
	}
	return None
}

// Look is a quick look at the calls of one batch. It remembers the last cluster and the last node, as calls in a row have
// the same ones; it must not be shared.
type Look struct {
	rules           *Rules
	cluster, node   string
	byCluster, byID bool
}

// Look returns a new look.
func (r *Rules) Look() Look { return Look{rules: r} }

// Suspect says whether the call may be noise by what is cheap to read: URL, path, user agent, cluster, node id, the Front
// Door header and the workloads. For anything else [Rules.Judge] says [None]. It does not allocate.
func (l *Look) Suspect(c *Call) bool {
	r := l.rules
	if r.agentOf(c.UserAgent) != noAgent || c.FrontDoorProbe != "" || suspectPath(c.pathStart()) {
		return true
	}
	if c.UpstreamCluster != l.cluster {
		l.cluster, l.byCluster = c.UpstreamCluster, onlyTelemetry(c.UpstreamCluster) || r.suspectCluster(c.UpstreamCluster)
	}
	if c.NodeID != l.node {
		l.node, l.byID = c.NodeID, r.ownNode(c.NodeID)
	}
	return l.byCluster || l.byID || r.Own(c.Source.Namespace, c.Source.Name) || r.Own(c.Destination.Namespace, c.Destination.Name)
}

// Failed says whether a probe failed: no answer, or none from 200 to 399 (what a kubelet takes for good), or a gRPC
// status that is not OK.
func (c *Call) Failed() bool {
	return c.Status < 200 || c.Status > 399 || c.GRPCStatus > 0
}

// PathOnly returns the path of the call without its query.
func (c *Call) PathOnly() string {
	path, _ := c.path()
	return path
}

// path returns the path of the call, and whether a query follows it.
func (c *Call) path() (path string, query bool) {
	path = c.pathStart()
	if c.Path != "" && c.Query != "" {
		query = true
	}
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		return path[:i], true
	}
	return path, query
}

// pathStart returns the path with what follows it.
func (c *Call) pathStart() string {
	if c.Path != "" {
		return c.Path
	}
	i := strings.Index(c.URL, "://")
	if i < 0 {
		return c.URL
	}
	rest := c.URL[i+len("://"):]
	if i = strings.IndexByte(rest, '/'); i < 0 {
		return ""
	}
	return rest[i:]
}

// reads says whether the call asks for something without a body.
func (c *Call) reads() bool { return c.Method == http.MethodGet || c.Method == http.MethodHead }

func setOf(values []string) map[string]bool {
	set := make(map[string]bool, len(values))
	for _, v := range values {
		set[v] = true
	}
	return set
}
