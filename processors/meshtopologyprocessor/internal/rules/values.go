// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// known returns the value, or nothing for the words that Istio and Envoy write for nothing.
func known(value string) string {
	if value == "unknown" || value == "-" {
		return ""
	}
	return value
}

// revision returns a canonical revision, or nothing for "latest", which Istio writes for a workload without one.
func revision(value string) string {
	if value == "latest" {
		return ""
	}
	return known(value)
}

// believed drops the cluster that an end claims if it is the id that every Istio has whose owner set none: it counts only
// if the topology has a cluster of that name, beside others, with the workload in it.
func believed(at topology.View, end *mesh.End) *mesh.End {
	if end.Cluster != DefaultClusterID {
		return end
	}
	if _, ok := at.Workload(DefaultClusterID, end.Namespace, end.Workload); !ok || at.Alone() {
		end.Cluster = ""
	}
	return end
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// address is an address of a call, parsed.
type address struct {
	ip   netip.Addr
	port uint16
}

// parseAddress reads "ip", "ip:port" and Envoy's internal addresses. ok is false for a missing address, and for the
// loopback ones that the proxy and the application beside it use with each other.
func parseAddress(text string, port uint16) (a address, ok bool) {
	if text == "" || (text[0] > '9' && !spelledAsAddress(text)) {
		return address{}, false
	}
	ip, p, ok := envoy.ParseAddress(text)
	if !ok {
		return address{}, false
	}
	if a.ip, ok = parseIP(ip); !ok || IsProxyLoopback(a.ip) {
		return address{}, false
	}
	if a.port = p; p == 0 {
		a.port = port
	}
	return a, true
}

// spelledAsAddress says whether the text has no letter that an address has not. Host names mostly do, and to parse one
// would build an error.
func spelledAsAddress(text string) bool {
	if _, endpoint, internal := envoy.ParseInternalAddress(text); internal {
		text = endpoint
	}
	for i := range len(text) {
		switch c := text[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F', c == '.', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return text != ""
}

func parseIP(text string) (netip.Addr, bool) {
	if text == "" {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(text)
	return ip.Unmap(), err == nil
}

var (
	loopback4   = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	inboundBind = netip.AddrFrom4([4]byte{127, 0, 0, 6})
	inboundBin6 = netip.MustParseAddr("::6")
)

// IsProxyLoopback says whether the address is one that tells nobody's place: localhost, or 127.0.0.6 and ::6, from
// which Istio's proxies send to the application beside them.
func IsProxyLoopback(ip netip.Addr) bool {
	return ip == loopback4 || ip == inboundBind || ip == inboundBin6 || ip == netip.IPv6Loopback()
}

// normalizeZone spells the zone that a proxy gives as Kubernetes does: on Azure proxies say "1".
func normalizeZone(end *mesh.End) {
	if end.Zone != "" {
		end.Zone = envoy.NormalizeZone(end.Region, end.Zone)
	}
}

// NoUpstream says whether Envoy's response flags tell that no endpoint was chosen: there was no healthy host (UH), no
// route (NR), no cluster (NC), no filter configuration (NFCF) or no address for the name (DF), or a filter answered in
// the place of an upstream: the external authorization (UAEX), the rate limit (RL), an injected fault (FI) or the check
// of Envoy's own headers (IH). Source: envoy StreamInfo response flags, as the access log documents them.
func NoUpstream(flags string) bool {
	for flags != "" {
		var flag string
		flag, flags = envoy.NextResponseFlag(flags)
		switch flag {
		case "UH", "NR", "NC", "NFCF", "DF", "UAEX", "RL", "FI", "IH":
			return true
		}
	}
	return false
}

// completeFromTopology adds to an end with a known cluster what the topology knows of that cluster and workload. A zone
// is added only if all pods of the workload are in it. stale says that something was added and that nobody confirms the
// cluster any more.
func completeFromTopology(at topology.View, end *mesh.End) (stale bool) {
	complete := end.Region != "" && end.Zone != "" && end.Network != "" && end.Service != "" && end.Version != "" && end.Principal != ""
	if end.Cluster == "" || complete {
		return false
	}
	c, ok := at.Cluster(end.Cluster)
	if !ok {
		return false
	}
	if isStale(c) {
		before := *end
		fillFromTopology(at, c, end)
		return *end != before
	}
	fillFromTopology(at, c, end)
	return false
}

func fillFromTopology(at topology.View, c *topology.Cluster, end *mesh.End) {
	whole := c.End()
	if end.Workload != "" && end.Namespace != "" {
		if w, ok := at.Workload(end.Cluster, end.Namespace, end.Workload); ok && !at.Partial() {
			own := w.End()
			end.Fill(&own)
		}
		// The pods of a workload may be in other networks than the cluster's, a virtual machine for one. What is known of the
		// workload has said so; what is not known may be so.
		whole.Network = ""
	}
	end.Fill(&whole)
}
