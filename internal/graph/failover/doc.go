// SPDX-License-Identifier: Apache-2.0

// Package failover tells a failover from all other reasons why traffic goes elsewhere. It is a pure function of what it is
// given: one [Observation] for each interval of the graph, in the order of time.
//
// For each pair of a calling region and a called service it learns where the calls go. Calls that go to another region or
// cluster than they used to are
//
//   - a failover, if there is evidence that their usual place failed: response flags, unhealthy or vanished endpoints,
//     outlier ejections, errors before the shift;
//   - nothing, if they are explained: a new version (canary, blue/green), a place that was scaled to zero, a deployment, a
//     new cluster, calls that come home;
//   - a shift of a deployment, if one deleted all endpoints before there were new ones: nothing that anybody has to mend;
//   - an unexpected shift otherwise, once it has lasted.
//
// A shift from or to a cluster of which an inventory is expected at any moment waits for it.
package failover
