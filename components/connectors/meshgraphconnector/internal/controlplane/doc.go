// SPDX-License-Identifier: Apache-2.0

// Package controlplane makes one record for each cluster of what its istiods say about themselves: versions, revisions,
// connected proxies, pushes, convergence, certificates and remote clusters.
//
// The metrics are Istio's own, as they are on port 15014 of each istiod. [Store.Metrics] takes them as they come,
// [Store.Roll] publishes what is known now, and readers of [Store.Document] never wait.
//
// Istio exports no number of proxies whose configuration is old (`istioctl proxy-status` asks each istiod for it). What
// its metrics do say, and what a record has: proxies that run another version than their istiod, proxies that refused a
// configuration, pushes that could not be sent, and how long configuration takes to reach a proxy.
package controlplane
