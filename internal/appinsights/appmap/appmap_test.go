// SPDX-License-Identifier: Apache-2.0

package appmap_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/appmap"
)

type item struct {
	role, region, operation, id, parent string
	target                              appmap.Target
	rate                                float64
	failed                              bool
}

func (i item) envelope(request bool) ai.Envelope {
	properties := map[string]string{appmap.RegionProperty: i.region}
	var data ai.BaseData = &ai.RemoteDependencyData{ID: i.id, Type: i.target.Type, Target: i.target.Name, Success: !i.failed, Properties: properties}
	if request {
		data = &ai.RequestData{ID: i.id, Success: !i.failed, Properties: properties}
	}
	return ai.Envelope{
		SampleRate: i.rate, Data: ai.NewData(data),
		Tags: map[string]string{ai.TagCloudRole: i.role, ai.TagOperationID: i.operation, ai.TagOperationParentID: i.parent},
	}
}

func request(i item) ai.Envelope { return i.envelope(true) }
func call(i item) ai.Envelope    { return i.envelope(false) }

var reviews = appmap.Target{Type: "HTTP", Name: "reviews"}

func TestARequestWhoseParentIsACallIsAnArrow(t *testing.T) {
	m := appmap.Build([]ai.Envelope{
		// The called side may arrive first.
		request(item{role: "reviews", region: "north", operation: "1", id: "b", parent: "a"}),
		call(item{role: "productpage", region: "west", operation: "1", id: "a", target: reviews, rate: 25}),
		request(item{role: "productpage", region: "west", operation: "1", id: "0", failed: true, rate: 50}),
		{Data: ai.NewData(&ai.MessageData{Message: "no part of it"})},
	})
	assert.Equal(t, map[appmap.Call]appmap.Traffic{
		{From: "productpage", To: "reviews"}: {Calls: 4, CrossRegion: 4, Targets: []appmap.Target{reviews}},
	}, m.Calls)
	assert.Equal(t, map[string]appmap.Component{
		"productpage": {Requests: 2, Failed: 2, Regions: []string{"west"}, Instances: 1},
		"reviews":     {Requests: 1, Regions: []string{"north"}, Instances: 1},
	}, m.Components)
	assert.Empty(t, m.Dependencies)
	assert.Empty(t, m.CallersOnly)
	assert.Equal(t, 2, m.Nodes())
}

func TestWhatNobodyAnsweredIsANode(t *testing.T) {
	db := appmap.Target{Type: "postgresql", Name: "orders"}
	m := appmap.Build([]ai.Envelope{
		request(item{role: "shop", operation: "1", id: "0"}),
		call(item{role: "shop", operation: "1", id: "a", target: db, failed: true}),
		call(item{role: "shop", operation: "1", id: "b", target: db}),
		// The same id in another operation is another call.
		request(item{role: "orders", operation: "2", id: "c", parent: "a"}),
		// A step within the caller is no node.
		call(item{role: "shop", operation: "1", id: "d", target: appmap.Target{Type: "InProc"}}),
	})
	assert.Equal(t, map[appmap.Dependency]appmap.Traffic{
		{Role: "shop", Target: db}: {Calls: 2, Failed: 1, Targets: []appmap.Target{db}},
	}, m.Dependencies)
	assert.Empty(t, m.Calls)
}

func TestACallThatFailedOnItsWayIsNoNodeBesideThoseThatArrived(t *testing.T) {
	m := appmap.Build([]ai.Envelope{
		request(item{role: "productpage", operation: "1", id: "0"}),
		call(item{role: "productpage", operation: "1", id: "a", target: reviews}),
		request(item{role: "reviews", operation: "1", id: "b", parent: "a"}),
		call(item{role: "productpage", operation: "1", id: "c", target: reviews, failed: true}),
	})
	assert.Empty(t, m.Dependencies)
	assert.Equal(t, map[appmap.Dependency]float64{{Role: "productpage", Target: reviews}: 1}, m.Unanswered)
	assert.InDelta(t, 1, m.Calls[appmap.Call{From: "productpage", To: "reviews"}].Calls, 0)
}

func TestRetriesAndDuplicatesCountOnce(t *testing.T) {
	once := call(item{role: "productpage", operation: "1", id: "a", target: reviews})
	m := appmap.Build([]ai.Envelope{
		request(item{role: "productpage", operation: "1", id: "0"}), once, once,
		request(item{role: "reviews", operation: "1", id: "b", parent: "a", failed: true}),
		request(item{role: "reviews", operation: "1", id: "c", parent: "a"}),
		request(item{role: "reviews", operation: "1", id: "c", parent: "a"}),
	})
	assert.Equal(t, 2, m.Duplicates)
	assert.InDelta(t, 1, m.Calls[appmap.Call{From: "productpage", To: "reviews"}].Calls, 0)
	assert.InDelta(t, 2, m.Components["reviews"].Requests, 0)
}

func TestDiffTellsEachKindOfDifference(t *testing.T) {
	var truth appmap.Graph
	truth.Called("", "productpage")
	truth.Called("productpage", "reviews")
	truth.Called("reviews", "ratings")
	truth.Left("ratings", appmap.Target{Type: "mongodb", Name: "test"})
	m := appmap.Build([]ai.Envelope{
		request(item{role: "productpage", operation: "1", id: "0"}),
		call(item{role: "productpage", operation: "1", id: "a", target: reviews}),
		request(item{role: "reviews", operation: "1", id: "b", parent: "a"}),
		call(item{role: "reviews", operation: "1", id: "c", target: appmap.Target{Type: "HTTP", Name: "10.0.0.1"}}),
		call(item{role: "sleep", operation: "1", id: "d", target: reviews}),
		request(item{role: "details", operation: "1", id: "e", parent: "a"}),
	})
	assert.Equal(t, []string{
		`missing arrow "reviews" -> "ratings"`,
		`missing component "ratings"`,
		`missing dependency node "test" of type "mongodb", called by "ratings"`,
		`phantom arrow "productpage" -> "details" (1 calls)`,
		`phantom component "details"`,
		`phantom dependency node "10.0.0.1" of type "HTTP", called by "reviews" (1 calls)`,
		`phantom dependency node "reviews" of type "HTTP", called by "sleep" (1 calls)`,
		`role "sleep" calls and answers nothing, so the map has no node for it`,
	}, m.Diff(truth))
}

func TestDiffOfTheTruthIsEmpty(t *testing.T) {
	var truth appmap.Graph
	truth.Called("", "productpage")
	truth.Called("productpage", "reviews")
	assert.Empty(t, appmap.Build([]ai.Envelope{
		request(item{role: "productpage", operation: "1", id: "0"}),
		call(item{role: "productpage", operation: "1", id: "a", target: reviews}),
		request(item{role: "reviews", operation: "1", id: "b", parent: "a"}),
	}).Diff(truth))
}

func TestTooManyNodesAreSaid(t *testing.T) {
	items := []ai.Envelope{request(item{role: "productpage", operation: "1", id: "0"})}
	for i := range appmap.MaxUngrouped {
		items = append(items, call(item{role: "productpage", operation: "1", id: string(rune(i + 0x4e00)), target: appmap.Target{Name: string(rune(i + 0x4e00))}}))
	}
	m := appmap.Build(items)
	assert.False(t, m.Complete())
	assert.Contains(t, m.Diff(appmap.Graph{Components: map[string]struct{}{"productpage": {}}}), "1001 nodes: the portal draws 1000")
}
