// SPDX-License-Identifier: Apache-2.0

package envoy

import "strings"

const internalScheme = "envoy://"

// InnerConnect is the internal listener through which waypoints reach another network by two tunnels, one in the other.
// The endpoint of its addresses is the east/west gateway's own, and not the called workload's (istio/istio
// pilot/pkg/xds/endpoints, EndpointsByNetworkFilter).
const InnerConnect = "inner_connect_originate"

// ParseInternalAddress reads the address of a listener within the proxy, as Envoy prints it:
// "envoy://connect_originate/10.0.0.1:9080" names the listener and the endpoint that the tunnel leads to, and
// "envoy://main_internal" a listener alone. The endpoint is as spelled, for [ParseAddress]; it may be empty. ok is false
// for other addresses. It does not allocate.
func ParseInternalAddress(s string) (listener, endpoint string, ok bool) {
	name, ok := strings.CutPrefix(s, internalScheme)
	if !ok {
		return "", "", false
	}
	listener, endpoint, _ = strings.Cut(name, "/")
	if listener == "" || strings.HasSuffix(s, "/") {
		return "", "", false
	}
	return listener, endpoint, true
}
