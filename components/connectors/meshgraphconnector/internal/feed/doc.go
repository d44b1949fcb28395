// SPDX-License-Identifier: Apache-2.0

// Package feed reads what arrives at the hub and hands it to the graph: a [graph.Point] for each data point of the mesh's
// own metrics, and a [graph.Exemplar] for each span that names both ends of its call.
//
// Metrics are complete and spans are a sample, so only metrics count. A mesh without Istio's metrics has no edges here,
// whatever spans it sends: a request rate that was guessed from a sample would be wrong without anybody seeing it.
//
// Who called whom is what mesh_topology wrote (mesh.source.*, mesh.destination.*) and nothing else: what it left unknown
// stays unknown. Everything that is not taken is counted by its reason, see [Outcome].
package feed
