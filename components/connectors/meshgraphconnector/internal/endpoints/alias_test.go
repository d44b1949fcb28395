// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// A service that is named otherwise than those who answer, by Istio's canonical name, which the graph has.
func TestAServiceOfAnotherName(t *testing.T) {
	is := func(canonical string, s topology.ServiceSpec) topology.ServiceSpec {
		s.Canonical = canonical
		return s
	}
	for name, tt := range map[string]struct {
		services []topology.ServiceSpec
		// want are the endpoints that are ready, by service.
		want map[string]int
	}{
		"one":                         {[]topology.ServiceSpec{is("reviews", has("web", "west", 3, 4, 0))}, map[string]int{"web": 3, "reviews": 3}},
		"one has the name":            {[]topology.ServiceSpec{is("reviews", has("web", "west", 3, 4, 0)), has("reviews", "west", 2, 4, 0)}, map[string]int{"web": 3, "reviews": 2}},
		"nobody told":                 {[]topology.ServiceSpec{has("web", "west", 3, 4, 0)}, map[string]int{"web": 3}},
		"several, the larger one":     {[]topology.ServiceSpec{is("reviews", has("a", "west", 1, 1, 0)), is("reviews", has("b", "west", 3, 4, 0))}, map[string]int{"a": 1, "b": 3, "reviews": 3}},
		"several alike, the first":    {[]topology.ServiceSpec{is("reviews", has("b", "west", 3, 4, 0)), is("reviews", has("a", "west", 2, 4, 0))}, map[string]int{"a": 2, "b": 3, "reviews": 2}},
		"names that changed places":   {[]topology.ServiceSpec{is("reviews", has("ratings", "west", 1, 1, 0)), is("ratings", has("reviews", "west", 2, 2, 0))}, map[string]int{"ratings": 2, "reviews": 1}},
		"the name's endpoints aren't": {[]topology.ServiceSpec{is("reviews", has("web", "west", 3, 4, 0)), {Namespace: "shop", Name: "reviews"}}, map[string]int{"web": 3, "reviews": 3}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMesh(t)
			m.join("west", tt.services...)
			got := map[string]int{}
			rows := m.observe()
			for i := range rows {
				got[rows[i].Service.Name] = rows[i].Healthy
			}
			assert.Equal(t, tt.want, got)
			assert.Len(t, rows, len(got), "one row for a service and place")
		})
	}
}

// What the pods tell is told of their service, under both names.
func TestPodsOfAServiceOfAnotherName(t *testing.T) {
	m := newMesh(t)
	web := has("web", "west", 2, 2, 0)
	web.Canonical = "reviews"
	m.join("west", web)
	m.pods("west", pod("reviews", "5d8f", "-aaaaa", 1), pod("reviews", "66cc", "-bbbbb", 2))
	assert.True(t, m.one("reviews").Rollout)
	assert.True(t, m.one("web").Rollout)
	m.gone("reviews-5d8f-aaaaa", "reviews-66cc-bbbbb")
	web.Endpoints = []topology.ZoneEndpoints{}
	m.tell("west", web)
	assert.Zero(t, m.one("reviews").Desired, "scaled to zero")
}
