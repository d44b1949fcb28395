// SPDX-License-Identifier: Apache-2.0

// Package kube reads the topology of one cluster from its API server and says what changed.
//
//   - [New] takes [Settings], with a kubeconfig, the pod's own service account or a ready [rest.Config].
//   - [Source.Run] emits a full delta first, then changes, until its context ends. Errors never end it.
//   - [Source.State] and [Source.Counters] tell how it fares.
//
// [ScopeNode] reads one node and its pods: N agents cost the API server next to nothing. [ScopeCluster] reads all.
//
// While the API server does not answer, one request of a source asks for all of them, at most every ten seconds (two in
// [ScopeCluster]). The first answer wakes the others, within two seconds (0.2). What a server that has just come back refuses
// is asked for again after 1, 2, 4 and 8 seconds before it is believed: it has not read yet who may what. So an agent knows
// its node at most 13 seconds after its server answers and allows it. 1 000 agents send less than 250 requests a second while
// their server is away, and less than 1 500 in any second after it is back: 9 each.
//
// Objects are trimmed as they are decoded, a page or an event at a time, and are not cached: for a pod the source keeps
// its name, its uid and a hash, which is what it takes to tell changes and what is gone.
package kube
