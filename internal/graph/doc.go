// SPDX-License-Identifier: Apache-2.0

// Package graph is the graph of the mesh: one edge for each caller, callee and protocol, with what happened on it in an
// interval and since the edge is known. It counts each request once, whichever proxies report it, by the rule of
// docs/adr/013-each-request-once.md, and knows nothing of OpenTelemetry: the connector reads points and hands them over.
//
//   - [Graph.Add] takes what one data point says, from any goroutine.
//   - [Graph.Roll] closes the interval and publishes a [Snapshot], which readers take without a lock.
//   - [Snapshot.Document] is the graph as JSON; docs/graph.md describes it.
//   - [Graph.Encode] and [Graph.Restore] carry the graph over a restart.
package graph
