// SPDX-License-Identifier: Apache-2.0

// Package envoy reads the small text formats in which Envoy and Istio pack facts about a call: one parser a file, no
// dependency beyond the standard library, and no allocation on the paths that run per span or log record.
//
//   - [ParseNodeID]: which proxy reported this (node_id)
//   - [ParseClusterName]: where a call was sent (upstream_cluster, SNI)
//   - [ParseServiceHost]: the Kubernetes service behind a host name
//   - [ParseAddress]: IP and port of upstream_address, peer.address and the like
//   - [ParseResponseFlags]: why a call failed
//   - [ParseSPIFFE]: the identity in a peer certificate
//   - [ParseEndpointMetadata]: what Istio says about the endpoint that was picked
//   - [NormalizeZone]: Azure zones in one spelling
//
// Parsers return package level errors without the offending text: callers count failures by kind, and a text that a
// client may control must not reach a log line for each span.
package envoy
