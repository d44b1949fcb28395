// SPDX-License-Identifier: Apache-2.0

// Package endpoints tells the failover detector what the clusters' inventories know of a service's endpoints in each place. What
// no inventory tells is left out, or -1: it never guesses.
//
//   - Total and Healthy are counted from the EndpointSlices. Endpoints that are being deleted are in neither: a scale-down and
//     a deployment are no failure. An inventory that does not say which those are is believed only while all are ready.
//   - Desired is known only for a place without endpoints. Whoever wants pods makes new ones at once when some are deleted: if
//     pods wait for a node, so many there should be; if there were pods of the service and are none, it was scaled to zero.
//   - Rollout is told by pods of two ReplicaSets of one Deployment, or of one Rollout of Argo's.
//   - Since is when the service got endpoints where it had none while somebody watched.
//   - Ejected is never told: no inventory knows what callers' proxies do.
package endpoints
