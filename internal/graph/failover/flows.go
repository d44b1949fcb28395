// SPDX-License-Identifier: Apache-2.0

package failover

import "github.com/otelcol-mesh/otelcol-mesh/internal/graph"

// Flows are the flows of an interval of the graph. TCP connections count as requests. Of an edge's response flags that are
// evidence the most frequent one counts, because a request may have several. Edges without a calling region or a called
// service, and those of the ceiling, are left out.
func Flows(s *graph.Snapshot) []Flow {
	flows := make([]Flow, 0, len(s.Edges))
	for i := range s.Edges {
		e := &s.Edges[i]
		requests := e.Interval.Requests() + e.Interval.Opened + e.Interval.Failed
		if requests == 0 || e.Overflow || e.Caller.Region == "" || e.Callee.Service == "" {
			continue
		}
		f := Flow{
			From: e.Caller.Region, Service: Service{Namespace: e.Callee.Namespace, Name: e.Callee.Service},
			To: Place{Region: e.Callee.Region, Cluster: e.Callee.Cluster}, Version: e.Callee.Version,
			Requests: requests, Errors: e.Interval.Errors() + e.Interval.Failed,
		}
		if e.Caller.Workload != "" {
			f.Caller = e.Caller.Namespace + "/" + e.Caller.Workload
		}
		for _, flag := range e.Flags {
			if EvidenceFlag(flag.Flag) {
				f.Flagged = max(f.Flagged, flag.Requests)
				f.Flags = insert(f.Flags, flag.Flag, maxVersions)
			}
		}
		flows = append(flows, f)
	}
	return flows
}
