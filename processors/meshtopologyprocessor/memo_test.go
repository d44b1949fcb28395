// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

func oneOf[T any](r *rand.Rand, choices ...T) T { return choices[r.IntN(len(choices))] }

// someItem makes up what Envoy, a tag, a peer or an earlier processor may have said, so that items repeat and differ.
func someItem(r *rand.Rand) pcommon.Map {
	attrs := pcommon.NewMap()
	say := func(chance int, key string, values ...string) {
		if r.IntN(100) < chance {
			attrs.PutStr(key, oneOf(r, values...))
		}
	}
	address := oneOf(r, "127.1.0.31", "127.1.0.41", "127.1.0.42", "127.1.0.51", "127.1.0.61", "127.1.0.71", "127.1.0.81", "127.1.0.250", "127.9.9.9")
	say(90, "component", "proxy")
	say(70, "upstream_cluster", "outbound|9080||reviews.bookinfo.svc.cluster.local", "inbound|9080||", "PassthroughCluster", "outbound_.9080_._.reviews.bookinfo.svc.cluster.local")
	say(50, "upstream_address", address+":9080", "-")
	say(30, "mesh.upstream.workload", "reviews-v1;bookinfo;reviews;v1;aks-westeurope", ";;;;aks-northeurope")
	say(50, "peer.address", address, "127.0.0.6")
	say(30, "downstream_remote_address", fmt.Sprintf("%s:%d", address, 40000+r.IntN(20000)), address+":", address+":70000",
		address+":http", "10.0.0.1:0", "[fd00::1]:4711", "fd00::1", "["+address+"]:80", "[fd00::1]", "envoy://connect_originate/"+address+":15008")
	say(20, "response_flags", "-", "UH", "NR")
	say(10, "istio.source_workload", "productpage")
	say(10, "istio.source_cluster_id", "aks-westeurope", "aks-northeurope")
	say(10, "envoy.tls.peer.san", "spiffe://west.mesh/ns/bookinfo/sa/reviews")
	if r.IntN(3) == 0 {
		someVerdict(r, attrs)
	}
	return attrs
}

// someVerdict makes up what an earlier processor stamped; not all of it is what one writes.
func someVerdict(r *rand.Rand, attrs pcommon.Map) {
	for _, name := range attributeNames {
		switch r.IntN(6) {
		case 0, 1, 2:
		case 3:
			attrs.PutStr(name, oneOf(r, "aks-westeurope", "westeurope", "tag", "reviews", "unknown", ""))
		case 4:
			attrs.PutStr(name, oneOf(r, "ip", mesh.CrossRegion, mesh.TLSMutual, "bookinfo"))
		case 5:
			attrs.PutBool(name, r.IntN(2) == 0)
		}
	}
}

// someTime is about the moments at which the pods of the changing cluster came and went, and at them.
func someTime(r *rand.Rand) pcommon.Timestamp {
	if r.IntN(8) == 0 {
		return 0
	}
	at := onThatDay(9+r.IntN(2), r.IntN(10), oneOf(r, 0, 1, 2, 5, 10, 11, 20, 21, 30, 59)).Add(time.Duration(r.IntN(3)-1) * time.Nanosecond)
	return pcommon.NewTimestampFromTime(at)
}

func someReporter(r *rand.Rand) rules.Reporter {
	return rules.Reporter{
		NodeID: oneOf(r, "", productpageNode, reviewsNode, "router~127.1.0.11~gateway-1.istio-system~istio-system.svc.cluster.local",
			"sidecar~127.1.0.41~ratings-0.bookinfo~bookinfo.svc.cluster.local"),
		TagCluster: oneOf(r, "", "aks-westeurope", "Kubernetes", "aks-northeurope"), LocalCluster: oneOf(r, "", "aks-westeurope"),
	}
}

// stampedByHand is what stamp does, written down in the plainest way: every attribute is what the verdict says.
func stampedByHand(before map[string]any, set attributeSet, v *rules.Verdict) map[string]any {
	after := map[string]any{}
	for key, value := range before {
		if _, ours := attributeIndex(key); !ours || key == directionKey {
			after[key] = value
		}
	}
	put := func(key, value string) {
		if index, _ := attributeIndex(key); value != "" && set.has(index) {
			after[key] = value
		}
	}
	for prefix, end := range map[string]*mesh.End{sourcePrefix: &v.Source, destinationPrefix: &v.Destination} {
		for _, field := range []string{"cluster", "region", "zone", "network", "namespace", "workload", "service", "version", "principal"} {
			put(prefix+field, *endField(end, field))
		}
	}
	put(sourceResolutionKey, v.SourceBy.String())
	put(destinationResolutionKey, v.DestinationBy.String())
	put(localityKey, mesh.Locality(&v.Source, &v.Destination))
	put(viaKey, v.Via)
	put(tlsKey, v.TLS)
	if cross, known := mesh.CrossCluster(&v.Source, &v.Destination); known && set.has(crossClusterIndex) {
		after[crossClusterKey] = cross
	}
	return after
}

func someSet(r *rand.Rand) attributeSet {
	if r.IntN(2) == 0 {
		return allAttributes
	}
	return attributeSet(r.Uint32()) & allAttributes
}

// TestTheFastWayIsTheSlowWay holds that neither the memo nor writing in one pass changes what an item says in the end:
// random items, at random times of a cluster in which pods come and go, each judged anew and stamped by hand beside it.
func TestTheFastWayIsTheSlowWay(t *testing.T) {
	_, snapshot := changing(t)
	m, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
	require.NoError(t, err)
	held := &fakeTopology{}
	held.Set(snapshot)
	require.NoError(t, m.start(t.Context(), hostOf(held)))
	m.now = func() time.Time { return onThatDay(10, 10, 0) }
	r := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 200 {
		m.attributes = someSet(r)
		b := m.newBatch(context.Background())
		b.resolve(someReporter(r), b.when(someTime(r)))
		for range 50 {
			attrs, when := someItem(r), b.when(someTime(r))
			read := &reading{}
			read.attributes(attrs)
			read.settle(oneOf(r, rules.ClientKind, rules.ServerKind, rules.OtherKind))
			reporter, call := b.reported.reporter, read.call
			near := rules.ResolveNear(b.view(when), &reporter)
			want := rules.Judge(b.view(when), &near, &call)
			expected := stampedByHand(attrs.AsRaw(), m.attributes, &want)
			misses := b.memo.calls.vain
			b.judge(attrs, when, read)
			if b.memo.calls.vain <= misses {
				found++
			}
			actual := attrs.AsRaw()
			delete(actual, staleKey)
			require.Equal(t, expected, actual, "at %v, near %+v\ncall %+v", timeOf(when), near, call)
			require.Equal(t, len(actual), withoutStale(attrs), "no attribute twice: %v", actual)
		}
		b.finish(context.Background())
	}
	assert.NotZero(t, found, "the memo was never of use, so nothing was tested")
}

func withoutStale(attrs pcommon.Map) (n int) {
	for key := range attrs.All() {
		if key != staleKey {
			n++
		}
	}
	return n
}

// TestALabelIsJudgedAsWithoutAMemo is the same for points.
func TestALabelIsJudgedAsWithoutAMemo(t *testing.T) {
	_, snapshot := changing(t)
	m, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
	require.NoError(t, err)
	held := &fakeTopology{}
	held.Set(snapshot)
	require.NoError(t, m.start(t.Context(), hostOf(held)))
	m.now = func() time.Time { return onThatDay(10, 10, 0) }
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		m.attributes = someSet(r)
		b := m.newBatch(context.Background())
		b.resolve(someReporter(r), b.when(someTime(r)))
		for range 30 {
			attrs, when := pcommon.NewMap(), b.when(someTime(r))
			attrs.PutStr("reporter", oneOf(r, "source", "destination", "waypoint"))
			for _, end := range []string{"source_", "destination_"} {
				attrs.PutStr(end+"workload", oneOf(r, "productpage", "reviews", "unknown"))
				attrs.PutStr(end+"workload_namespace", oneOf(r, "bookinfo", "unknown"))
				attrs.PutStr(end+"cluster", oneOf(r, "aks-westeurope", "unknown", "aks-northeurope"))
				attrs.PutStr(end+"principal", oneOf(r, "unknown", "spiffe://west.mesh/ns/bookinfo/sa/reviews"))
			}
			attrs.PutStr("connection_security_policy", oneOf(r, "mutual_tls", "none", "unknown"))
			if r.IntN(3) == 0 {
				someVerdict(r, attrs)
			}
			labels, before, ok := readLabels(attrs)
			require.True(t, ok)
			reporter, alone := b.reported.reporter, labels
			near := rules.ResolveNear(b.view(when), &reporter)
			want := rules.JudgeLabels(b.view(when), &near, &alone)
			expected := stampedByHand(attrs.AsRaw(), m.attributes, &want)
			b.judgePoint(attrs, when, &labels, &before)
			actual := attrs.AsRaw()
			delete(actual, staleKey)
			require.Equal(t, expected, actual)
		}
		b.finish(context.Background())
	}
}

// TestAMemoEndsWithItsSnapshot: what is remembered is of one snapshot, and of a second at most.
func TestAMemoEndsWithItsSnapshot(t *testing.T) {
	m := &meshTopology{}
	first, second, now := &topology.Snapshot{}, &topology.Snapshot{}, onThatDay(10, 0, 0)
	fill := func(kept *memo) *memo {
		kept.near(first.At(time.Time{}), &rules.Reporter{NodeID: productpageNode})
		return kept
	}
	remembers := func(kept *memo) (any bool) {
		for i := range kept.nears {
			any = any || kept.nears[i].id != 0
		}
		return any
	}
	kept := fill(m.remembering(first, now))
	for name, c := range map[string]struct {
		snapshot *topology.Snapshot
		at       time.Time
		want     bool
	}{
		"the same snapshot, soon":   {first, now.Add(maxMemoAge), true},
		"the same snapshot, later":  {first, now.Add(maxMemoAge + 1), false},
		"another snapshot":          {second, now, false},
		"a clock that was put back": {first, now.Add(-1), false},
	} {
		kept.snapshot, kept.born = first, now
		fill(kept)
		kept.renew(c.snapshot, c.at)
		assert.Equal(t, c.want, remembers(kept), name)
		assert.Same(t, c.snapshot, kept.snapshot, name)
	}
}

// TestAMemoThatFindsNothingIsNotAsked: senders whose items never repeat pay for it no longer than that.
func TestAMemoThatFindsNothingIsNotAsked(t *testing.T) {
	var table verdictMemo[rules.Labels]
	view := (&topology.Snapshot{}).At(time.Time{})
	asked := 0
	for i := range 10 * patience {
		if slot := table.slot(uint64(i)); slot != nil {
			assert.Nil(t, table.find(slot, 1, view, &rules.Labels{Policy: strconv.Itoa(i)}))
			asked++
		}
	}
	assert.Equal(t, patience+1, asked)
	table.forget()
	assert.NotNil(t, table.slot(0), "a new snapshot is a new chance")
}

// TestAVerdictIsOfItsReporter: the same evidence from another proxy is another call.
func TestAVerdictIsOfItsReporter(t *testing.T) {
	var table verdictMemo[rules.Labels]
	view := (&topology.Snapshot{}).At(time.Time{})
	slot := table.slot(0)
	assert.Nil(t, table.find(slot, 1, view, &rules.Labels{}))
	view.Noting(&slot.validity)
	assert.NotNil(t, table.find(slot, 1, view, &rules.Labels{}))
	assert.Nil(t, table.find(slot, 2, view, &rules.Labels{}))
}

func TestThePortACallCameFromIsLeftOut(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:40000": "10.0.0.1", "10.0.0.1:0": "10.0.0.1", "10.0.0.1": "10.0.0.1", "[fd00::1]:40000": "[fd00::1]", "[fd00::1]": "[fd00::1]",
		"fd00::1": "fd00::1", "10.0.0.1:": "10.0.0.1:", "10.0.0.1:65536": "10.0.0.1:65536", "10.0.0.1:x": "10.0.0.1:x", ":80": ":80", "": "", "-": "-",
		"envoy://connect_originate/10.0.0.1:15008": "envoy://connect_originate/10.0.0.1:15008", "10.0.0.1:000080": "10.0.0.1:000080",
	} {
		assert.Equal(t, want, withoutPort(address), address)
	}
}

// TestAMemoOutlivesTheGarbageCollector: the next batch gets the memo of the last one, and two batches at once have one
// each. Nobody comes for a while: it is dropped, with the snapshot it holds.
func TestAMemoOutlivesTheGarbageCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
		require.NoError(t, err)
		first, second := m.newBatch(t.Context()), m.newBatch(t.Context())
		assert.NotSame(t, first.memo, second.memo)
		first.finish(t.Context())
		second.finish(t.Context())
		for range 3 {
			runtime.GC()
		}
		third := m.newBatch(t.Context())
		assert.Same(t, first.memo, third.memo)
		third.finish(t.Context())
		time.Sleep(idleAfter + 1)
		synctest.Wait()
		assert.Nil(t, m.lastMemo.Load())
		require.NoError(t, m.shutdown(t.Context()))
	})
}
