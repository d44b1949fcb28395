// SPDX-License-Identifier: Apache-2.0

// Package posture says how the mesh is secured, from its graph: which edges have mutual TLS, which are in plain text, under
// which identities the ends speak, and which identities do not fit the cluster, namespace or workload that an end was
// resolved to. What nobody declared is not judged: see [Unjudged].
//
//   - [Store.Update] judges an interval and publishes a [Report], which readers take without a lock.
//   - [Store.Findings] are those worth telling people; [Store.AppendMetrics] appends gauges.
//
// docs/graph.md describes the report and the rules, in its section "Security posture".
package posture
