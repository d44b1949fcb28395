// SPDX-License-Identifier: Apache-2.0

// Package envoy reads the small formats in which Envoy and Istio pack facts about a call: one parser a file, no
// dependency beyond the standard library, and no allocation on the paths that run per span or log record, as results
// point into the input.
//
//   - [ParseNodeID]: which proxy reported this (node_id)
//   - [ParseClusterName]: where a call was sent (upstream_cluster, SNI)
//   - [ParseServiceHost]: the Kubernetes service behind a host name
//   - [ParseAddress]: IP and port of upstream_address, peer.address and the like
//   - [ParseInternalAddress]: the listener within the proxy, and the endpoint behind a tunnel
//   - [ParseResponseFlags]: why a call failed
//   - [ParseSPIFFE]: the identity in a peer certificate
//   - [ParseEndpointMetadata]: what Istio says about the endpoint that was picked
//   - [Peer.Parse]: what the proxy at the other end said of its workload, in any of six forms: [Peer.ParseStruct],
//     [Peer.ParseText] and [Peer.ParseJSON] of filter state, [Peer.ParseFlatBuffer] of Istio before 1.24,
//     [Peer.ParseHeader] of x-envoy-peer-metadata, and [Peer.ParseBaggage] of ambient proxies
//   - [ParseZoneStat] and [Zones.ParseMetric]: the zones that hide in the names of zone statistics
//   - [NormalizeZone]: Azure zones in one spelling
//
// Parsers return package level errors without the offending text ([Error]): callers count failures by kind and reason,
// and a text that a client may control must not reach a log line for each span.
package envoy
