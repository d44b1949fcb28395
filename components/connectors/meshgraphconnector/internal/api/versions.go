// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/http"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/window"
)

// VersionsVersion is the version of the schema of /api/v1/versions.
const VersionsVersion = 1

// versions is how the traffic of a service is shared.
type versions struct {
	SchemaVersion int    `json:"schema_version"`
	Namespace     string `json:"namespace"`
	Service       string `json:"service"`
	State         string `json:"state"`
	Detail        string `json:"detail"`
	counts
	span
	Pattern pattern `json:"pattern"`
	// Versions are by version and cluster, Callers by those and the calling cluster.
	Versions       []versionRow `json:"versions"`
	VersionsHidden int          `json:"versions_left_out,omitempty"`
	Callers        []callerRow  `json:"callers"`
	CallersHidden  int          `json:"callers_left_out,omitempty"`
}

type pattern struct {
	Kind           window.Kind `json:"kind"`
	AcrossClusters bool        `json:"across_clusters"`
	Because        []string    `json:"because"`
}

// share is the traffic of a row. What nothing told is absent.
type share struct {
	Version string `json:"version,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	Region  string `json:"region,omitempty"`
	counts
	// Share is of all requests in the list of versions, and of those of the same calling cluster in that of callers. Of a
	// service without requests, it is of connections.
	Share     *float64 `json:"share"`
	ErrorRate *float64 `json:"error_rate"`
	Latency   *times   `json:"latency_ms,omitempty"`
}

type versionRow struct {
	share
	// First is the first minute of the version that is known, New says that the service was called before.
	First time.Time `json:"first_seen"`
	New   bool      `json:"new"`
}

type callerRow struct {
	CallerCluster string `json:"caller_cluster,omitempty"`
	CallerRegion  string `json:"caller_region,omitempty"`
	share
}

func (h *handler) versions(r *http.Request) (any, error) {
	if h.Window == nil {
		return nil, &problem{http.StatusNotFound, "versions are not on in this hub's configuration"}
	}
	namespace, service, over, err := parseVersions(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	var v window.Versions
	if err := h.look(r, func() { v = h.Window.Versions(namespace, service, over) }); err != nil {
		return nil, err
	}
	out := &versions{
		SchemaVersion: VersionsVersion, Namespace: namespace, Service: service, counts: countsOf(&v.Service), span: spanOf(&v.Span),
		Pattern:  pattern{v.Pattern.Kind, v.Pattern.AcrossClusters, v.Pattern.Because},
		Versions: []versionRow{}, VersionsHidden: v.RowsLeftOut, Callers: []callerRow{}, CallersHidden: v.CallersLeftOut,
	}
	out.State, out.Detail = state(&window.Answer{
		Span: v.Span, MissedRequests: v.MissedRequests, NamelessRequests: v.NamelessRequests,
	}, h.Now(), size(&v.Service, &v.Service), 1, "calls")
	if out.State == stateNoData {
		other, missing := h.Peers.ask(r)
		if other != nil {
			return other, nil
		}
		out.Detail += missing
	}
	for i := range v.Rows {
		row := &v.Rows[i]
		out.Versions = append(out.Versions, versionRow{shareOf(row.Place, &row.Totals, &v.Service), row.First, row.Since})
	}
	type caller struct{ cluster, region string }
	of := map[caller]*window.Counts{}
	for i := range v.Callers {
		row := &v.Callers[i]
		c := caller{row.CallerCluster, row.CallerRegion}
		if of[c] == nil {
			of[c] = &window.Counts{}
		}
		of[c].Requests += row.Requests
		of[c].ConnectionsOpened += row.ConnectionsOpened
	}
	for i := range v.Callers {
		row := &v.Callers[i]
		out.Callers = append(out.Callers, callerRow{
			row.CallerCluster, row.CallerRegion, shareOf(row.Place, &row.Totals, of[caller{row.CallerCluster, row.CallerRegion}]),
		})
	}
	return out, nil
}

// size is the number of requests, or of connections where a whole has no requests.
func size(c, whole *window.Counts) uint64 {
	if whole.Requests > 0 {
		return c.Requests
	}
	return c.ConnectionsOpened
}

func shareOf(p window.Place, t *window.Totals, whole *window.Counts) share {
	s := share{
		Version: p.Version, Cluster: p.Cluster, Region: p.Region, counts: countsOf(&t.Counts),
		Share: ratio(size(&t.Counts, whole), size(whole, whole)), ErrorRate: ratio(t.Errors, t.Requests),
	}
	s.Latency, _ = measured(t, "")
	return s
}
