// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

func idOf(t *testing.T, md pmetric.Metrics) ID {
	t.Helper()
	got := feedOf(md)
	require.Len(t, got.ids, 1)
	return got.ids[0]
}

// A journal outlives the process, so an ID must not change without a reason: who changes this test's value lets what is
// sent again across an upgrade count twice.
func TestIDStaysFromBuildToBuild(t *testing.T) {
	id := idOf(t, metrics("istio_requests_total", sum(3, whole())))
	assert.Equal(t, "eb344cfbeca04f098555c1bb706ad30a", hex.EncodeToString(id[:]))
}

func TestIDOfAPointThatComesAgain(t *testing.T) {
	md := metrics("istio_requests_total", sum(3, whole()))
	want := idOf(t, md)
	wire, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	require.NoError(t, err)
	again, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(wire)
	require.NoError(t, err)
	assert.Equal(t, want, idOf(t, again))

	keys := make([]string, 0, len(whole()))
	for k := range whole() {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		ordered := metrics("istio_requests_total", sum(3, nil))
		attrs := ordered.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).Attributes()
		for _, k := range keys {
			require.NoError(t, attrs.PutEmpty(k).FromRaw(whole()[k]))
		}
		require.Equal(t, want, idOf(t, ordered), "the order of attributes must not matter")
	}
	for k, v := range map[string]any{
		"mesh.source.region": "elsewhere", "mesh.destination.network": nil, "mesh.destination.principal": nil,
		"mesh.resolution.source": "ip", "mesh.traffic.locality": "unknown", "mesh.traffic.cross_cluster": nil, "mesh.via": "gateway",
	} {
		assert.Equal(t, want, idOf(t, metrics("istio_requests_total", sum(3, but(map[string]any{k: v})))), "the hub may learn %s", k)
	}
	place := metrics("istio_requests_total", sum(3, whole()))
	place.ResourceMetrics().At(0).Resource().Attributes().PutStr("cloud.region", "westeurope")
	place.ResourceMetrics().At(0).Resource().Attributes().PutStr("k8s.node.name", "node-1")
	assert.Equal(t, want, idOf(t, place))
	assert.NotEqual(t, want, func() (id ID) {
		New([16]byte{8}).Metrics(md, func(got ID, _ *graph.Point) error { id = got; return nil })
		return id
	}(), "another seed")
}

// Points that are not the same have other IDs, whatever is different.
func TestIDTellsPointsApart(t *testing.T) {
	seen := map[ID]string{}
	is := func(what string, md pmetric.Metrics) {
		t.Helper()
		for _, id := range feedOf(md).ids {
			other, known := seen[id]
			require.False(t, known, "%s and %s", what, other)
			seen[id] = what
		}
	}
	requests := func(change func(pmetric.NumberDataPoint)) pmetric.Metrics {
		md := metrics("istio_requests_total", sum(3, whole()))
		change(md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0))
		return md
	}
	is("as it is", requests(func(pmetric.NumberDataPoint) {}))
	is("start", requests(func(p pmetric.NumberDataPoint) { p.SetStartTimestamp(p.StartTimestamp() + 1) }))
	is("time", requests(func(p pmetric.NumberDataPoint) { p.SetTimestamp(p.Timestamp() + 1) }))
	is("value", requests(func(p pmetric.NumberDataPoint) { p.SetIntValue(4) }))
	is("times swapped", requests(func(p pmetric.NumberDataPoint) {
		start, end := p.StartTimestamp(), p.Timestamp()
		p.SetStartTimestamp(end)
		p.SetTimestamp(start)
	}))
	for _, k := range []string{
		"mesh.source.cluster", "mesh.source.zone", "mesh.source.namespace", "mesh.source.workload", "mesh.source.service", "mesh.source.version",
		"mesh.destination.cluster", "mesh.destination.zone", "mesh.destination.namespace", "mesh.destination.workload",
		"mesh.destination.service", "mesh.destination.version", "mesh.tls", "request_protocol", "response_code", "response_flags",
		"destination_service_name",
	} {
		is(k+" is other", requests(func(p pmetric.NumberDataPoint) { p.Attributes().PutStr(k, "other") }))
		is(k+" is absent", requests(func(p pmetric.NumberDataPoint) { p.Attributes().Remove(k) }))
		is(k+" is empty", requests(func(p pmetric.NumberDataPoint) { p.Attributes().PutStr(k, "") }))
		is(k+" is a number", requests(func(p pmetric.NumberDataPoint) { p.Attributes().PutInt(k, 7) }))
		is(k+" is another number", requests(func(p pmetric.NumberDataPoint) { p.Attributes().PutDouble(k, 7) }))
		is(k+" is true", requests(func(p pmetric.NumberDataPoint) { p.Attributes().PutBool(k, true) }))
		is(k+" is false", requests(func(p pmetric.NumberDataPoint) { p.Attributes().PutBool(k, false) }))
		is(k+" is a list", requests(func(p pmetric.NumberDataPoint) { p.Attributes().PutEmptySlice(k) }))
		is(k+" is nothing", requests(func(p pmetric.NumberDataPoint) { p.Attributes().PutEmpty(k) }))
	}
	for i := range 40 {
		is(fmt.Sprint("a text of ", i), requests(func(p pmetric.NumberDataPoint) {
			p.Attributes().PutStr("text", string(make([]byte, i)))
		}))
	}
	is("values changed places", requests(func(p pmetric.NumberDataPoint) {
		p.Attributes().PutStr("mesh.source.version", "v2")
		p.Attributes().PutStr("mesh.destination.version", "v1")
	}))
	for i, change := range []func(pmetric.ResourceMetrics){
		func(r pmetric.ResourceMetrics) { r.Resource().Attributes().PutStr("k8s.pod.name", "a") },
		func(r pmetric.ResourceMetrics) { r.Resource().Attributes().Clear() },
		func(r pmetric.ResourceMetrics) { r.ScopeMetrics().At(0).Scope().SetName("other") },
		func(r pmetric.ResourceMetrics) { r.ScopeMetrics().At(0).Scope().SetVersion("1") },
		func(r pmetric.ResourceMetrics) { r.ScopeMetrics().At(0).Metrics().At(0).SetName("istio_requests") },
		func(r pmetric.ResourceMetrics) { r.ScopeMetrics().At(0).Metrics().At(0).SetUnit("1") },
	} {
		md := metrics("istio_requests_total", sum(3, whole()))
		change(md.ResourceMetrics().At(0))
		is(fmt.Sprint("change ", i), md)
	}
	const latency = "istio_request_duration_milliseconds"
	is("explicit", metrics(latency, explicit([]uint64{1, 2, 3}, 9, whole())))
	is("explicit, other buckets", metrics(latency, explicit([]uint64{2, 1, 3}, 9, whole())))
	is("explicit, another sum", metrics(latency, explicit([]uint64{1, 2, 3}, 10, whole())))
	is("exponential", metrics(latency, exponential([]uint64{1, 2}, 9, whole())))
	is("exponential, other buckets", metrics(latency, exponential([]uint64{2, 1}, 9, whole())))
}

// Each resource of a request has an identity of its own.
func TestIDsOfTwoResources(t *testing.T) {
	md := metrics("istio_requests_total", sum(3, whole()))
	md.ResourceMetrics().At(0).CopyTo(md.ResourceMetrics().AppendEmpty())
	md.ResourceMetrics().At(1).Resource().Attributes().PutStr("k8s.cluster.name", "north")
	md.ResourceMetrics().At(0).CopyTo(md.ResourceMetrics().AppendEmpty())
	ids := feedOf(md).ids
	require.Len(t, ids, 3)
	assert.NotEqual(t, ids[0], ids[1])
	assert.Equal(t, ids[0], ids[2])
}

// A hundred thousand series of neighbors, as a fleet has them, and none taken for another one.
func TestIDsOfAFleet(t *testing.T) {
	h := newHasher([16]byte{1, 2, 3})
	attrs := pcommon.NewMap()
	seen := make(map[ID]struct{}, 100_000)
	for i := range 100_000 {
		attrs.PutStr("mesh.source.workload", fmt.Sprint("w", i%317))
		attrs.PutStr("mesh.destination.workload", fmt.Sprint("w", i/317))
		var r reading
		r.scan(&h, attrs)
		seen[r.hash.id()] = struct{}{}
	}
	assert.Len(t, seen, 100_000)
}
