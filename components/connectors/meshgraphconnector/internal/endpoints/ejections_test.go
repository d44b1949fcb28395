// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/feed"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

func ejection(proxy uint32, region, service string, hosts uint64) *feed.Ejection {
	e := &feed.Ejection{Caller: graph.Caller{Region: region}, Namespace: "shop", Service: service, Hosts: hosts}
	binary.LittleEndian.PutUint32(e.Proxy[:], proxy)
	e.Series = e.Proxy
	return e
}

func TestEjections(t *testing.T) {
	x := NewEjections()
	assert.Nil(t, x.List(start))
	for _, e := range []*feed.Ejection{
		ejection(1, "west", "reviews", 1), ejection(2, "west", "reviews", 3), ejection(3, "north", "reviews", 2),
		ejection(1, "west", "details", 1), ejection(4, "", "details", 1), ejection(5, "west", "ratings", 0),
	} {
		x.Add(e, start)
	}
	details := failover.Service{Namespace: "shop", Name: "details"}
	reviews := failover.Service{Namespace: "shop", Name: "reviews"}
	assert.Equal(t, []failover.Ejection{
		{From: "west", Service: details, Hosts: 1, Proxies: 1},
		{From: "north", Service: reviews, Hosts: 2, Proxies: 1},
		{From: "west", Service: reviews, Hosts: 3, Proxies: 2},
	}, x.List(start))
	x.Add(ejection(2, "west", "reviews", 0), start.Add(time.Minute))
	x.Add(ejection(1, "west", "reviews", 2), start.Add(time.Minute))
	assert.Equal(t, []failover.Ejection{{From: "west", Service: reviews, Hosts: 2, Proxies: 1}}, x.List(start.Add(ejectedFor+time.Second)),
		"those that did not tell again are forgotten")
}

// TestEjectionsOfOnePortDoNotHideAnother has a proxy whose Envoy counts each port and subset of a service by itself.
func TestEjectionsOfOnePortDoNotHideAnother(t *testing.T) {
	x := NewEjections()
	port := func(n byte, hosts uint64) *feed.Ejection {
		e := ejection(1, "west", "reviews", hosts)
		e.Series[15] = n
		return e
	}
	for _, e := range []*feed.Ejection{port(1, 2), port(2, 0), port(3, 1), ejection(2, "west", "reviews", 1)} {
		x.Add(e, start)
	}
	reviews := failover.Service{Namespace: "shop", Name: "reviews"}
	assert.Equal(t, []failover.Ejection{{From: "west", Service: reviews, Hosts: 2, Proxies: 2}}, x.List(start))
	x.Add(port(1, 0), start)
	assert.Equal(t, []failover.Ejection{{From: "west", Service: reviews, Hosts: 1, Proxies: 2}}, x.List(start))
}

func TestEjectionsHaveACeiling(t *testing.T) {
	x := NewEjections()
	for i := range uint32(maxEjections + 2) {
		x.Add(ejection(i, "west", "reviews", 1), start)
	}
	x.Add(ejection(0, "west", "reviews", 9), start)
	assert.Equal(t, uint64(2), x.Refused())
	assert.Equal(t, 9, x.List(start)[0].Hosts)
}
