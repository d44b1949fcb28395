// SPDX-License-Identifier: Apache-2.0

// Package kube reads the topology of one cluster from its API server and says what changed.
//
//   - [New] takes [Settings], with a kubeconfig, the pod's own service account or a ready [rest.Config].
//   - [Source.Run] emits a full delta first, then changes, until its context ends. Errors never end it.
//   - [Source.State] and [Source.Counters] tell how it fares.
//
// [ScopeNode] reads one node and its pods: N agents cost the API server next to nothing. [ScopeCluster] reads all.
//
// Objects are trimmed as they are decoded, a page or an event at a time, and are not cached: for a pod the source keeps
// its name, its uid and a hash, which is what it takes to tell changes and what is gone.
package kube
