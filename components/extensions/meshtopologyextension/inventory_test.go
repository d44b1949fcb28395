// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

func TestAnInventoryIsTakenAndFollowed(t *testing.T) {
	f := started(t, hub(t))
	west := newSpoke("west", "u1", 1, 3)
	f.accept(west.snapshot(begin)...)
	f.eventually(func() bool { return f.holder("vnet-west", "10.0.0.1") == "west/p0" }, "visible by itself")

	moved := podOf(9)
	moved.Addresses, moved.Since, moved.Seen = podOf(0).Addresses, begin.Add(10*time.Second), begin.Add(10*time.Second)
	f.forward(20 * time.Second)
	f.accept(west.delta(&topology.Delta{
		At:       begin.Add(20 * time.Second),
		GonePods: []topology.PodEnd{{Namespace: "ns", Name: "p0", Earliest: begin.Add(5 * time.Second), Latest: begin.Add(6 * time.Second)}},
		Pods:     []topology.PodState{moved},
	})...)
	f.tick()
	assert.Equal(t, "west/p9", f.holder("vnet-west", "10.0.0.1"))
	p, how := f.Snapshot().At(begin).ByAddress("vnet-west", moved.Addresses[0])
	require.Equal(t, topology.Found, how)
	assert.Equal(t, "p0", p.Name, "as of then")
	assert.Equal(t, 1, f.Snapshot().Stats().Ended)

	messages := west.snapshot(begin.Add(30 * time.Second))
	f.accept(messages...)
	f.accept(messages...)
	f.tick()
	assert.Equal(t, topology.Stats{Clusters: 1, Workloads: 1, Pods: 3, Ended: 1}, f.Snapshot().Stats(), "the snapshot tells the same again, and twice")
	metadatatest.AssertEqualExtensionMeshTopologyPodsEnded(t, f.telemetry, []metricdata.DataPoint[int64]{point(1)}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionMeshTopologyClusterAge(t, f.telemetry, []metricdata.DataPoint[float64]{
		{Value: 0, Attributes: attribute.NewSet(attribute.String("k8s.cluster.name", "west"))},
	}, metricdatatest.IgnoreTimestamp())
}

func TestASilentClusterIsStaleThenForgotten(t *testing.T) {
	f := started(t, hub(t))
	west := newSpoke("west", "u1", 1, 1)
	f.accept(west.snapshot(begin)...)
	f.forward(89 * time.Second)
	assert.False(t, f.stale("west"))
	f.forward(2 * time.Second)
	assert.True(t, f.stale("west"))
	assert.Equal(t, "west/p0", f.holder("vnet-west", "10.0.0.1"), "stale is not gone")
	assert.Equal(t, []string{"west: inventory"}, f.ongoing(topology.KindClusterStale))
	metadatatest.AssertEqualExtensionMeshTopologyFindings(t, f.telemetry, []metricdata.DataPoint[int64]{
		point(1, attribute.String("kind", topology.KindClusterStale)),
	}, metricdatatest.IgnoreTimestamp())

	f.accept(west.encoder.Heartbeat(f.at()))
	assert.False(t, f.stale("west"))
	assert.Empty(t, f.ongoing(topology.KindClusterStale))

	f.forward(24 * time.Hour)
	assert.Zero(t, f.Snapshot().Stats().Clusters)
	assert.Equal(t, []string{"west: inventory"}, f.ongoing(topology.KindClusterExpired))
	assert.Empty(t, f.ongoing(topology.KindClusterStale), "it is worse than stale now")

	f.accept(west.snapshot(f.at())...)
	// The messages before this one may yet come: it waits for them, but not for long.
	f.forward(11 * time.Second)
	assert.Equal(t, 1, f.Snapshot().Stats().Clusters)
	assert.Empty(t, f.ongoing(topology.KindClusterExpired), "it is back")
}

func TestALostMessageMakesStaleUntilTheNextSnapshot(t *testing.T) {
	f := started(t, hub(t))
	west := newSpoke("west", "u1", 1, 1)
	f.accept(west.snapshot(begin)...)
	west.encoder.Heartbeat(begin)
	f.accept(west.encoder.Heartbeat(begin.Add(time.Second)))
	f.forward(11 * time.Second)
	assert.True(t, f.stale("west"))
	assert.NotEmpty(t, f.ongoing(topology.KindInventoryGap))
	f.accept(west.snapshot(f.at())...)
	assert.False(t, f.stale("west"))
	assert.Empty(t, f.ongoing(topology.KindInventoryGap))
}

func TestWhatCanNeverBeTakenIsAPermanentError(t *testing.T) {
	f := started(t, hub(t))
	west, twin := newSpoke("west", "u1", 1, 1), newSpoke("west", "u2", 1, 1)
	f.accept(west.snapshot(begin)...)
	future := west.encoder.Heartbeat(begin)
	future.Schema = inventory.SchemaVersion + 1
	for reason, m := range map[string]inventory.Message{
		"refused": twin.snapshot(begin)[0],
		"schema":  future,
		"invalid": {Header: inventory.Header{Schema: 1}},
	} {
		err := f.AcceptInventory(context.Background(), &m)
		require.Error(t, err, reason)
		assert.True(t, consumererror.IsPermanent(err), reason)
		var rejected *RejectedInventoryError
		require.ErrorAs(t, err, &rejected)
		assert.Equal(t, reason, rejected.Reason)
	}
	f.tick()
	assert.Equal(t, []string{"west: uid u2"}, f.ongoing(topology.KindDuplicateClusterName))
	f.forward(quiet + time.Minute)
	assert.Empty(t, f.ongoing(topology.KindDuplicateClusterName), "the other one is not heard any more")

	cfg := createDefaultConfig().(*Config)
	off := build(t, withStatic(cfg, "f"))
	m := west.encoder.Heartbeat(begin)
	err := off.AcceptInventory(context.Background(), &m)
	require.ErrorIs(t, err, inventorylog.ErrNotTaken, "the processor leaves the record among the logs")
	assert.False(t, consumererror.IsPermanent(err), "the processor would drop it")
	require.ErrorContains(t, err, "write 'inventory: {directory: …}'")
}

func TestAFullQueueMakesSendersWait(t *testing.T) {
	cfg := hub(t)
	cfg.QueueSize = 1
	f := started(t, cfg)
	m := newSpoke("west", "u1", 1, 1).encoder.Heartbeat(begin)
	release, held := holdEngine(f)
	<-held
	// One waits in the queue, the other one for the queue.
	waiting, cancelWaiting := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { assert.NoError(t, f.AcceptInventory(waiting, &m)) })
	f.eventually(func() bool { return len(f.engine.queue) == 1 }, "one waits")
	metadatatest.AssertEqualExtensionMeshTopologyQueueLength(t, f.telemetry, []metricdata.DataPoint[int64]{point(1)}, metricdatatest.IgnoreTimestamp())
	short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err := f.AcceptInventory(short, &m)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "send the message again")
	assert.False(t, consumererror.IsPermanent(err))
	close(release)
	group.Wait()
	cancelWaiting()
}

// holdEngine keeps the engine busy until release is closed.
func holdEngine(f *fixture) (release, held chan struct{}) {
	release, held = make(chan struct{}), make(chan struct{})
	_ = f.engine.enqueue(context.Background(), func() {
		close(held)
		<-release
	})
	return release, held
}

func TestAfterTheShutdownNothingIsTaken(t *testing.T) {
	f := started(t, hub(t))
	require.NoError(t, f.Shutdown(context.Background()))
	m := newSpoke("west", "u1", 1, 1).encoder.Heartbeat(begin)
	err := f.AcceptInventory(context.Background(), &m)
	require.ErrorIs(t, err, errStopped)
	assert.False(t, consumererror.IsPermanent(err), "the next start may take it")
}

// Many senders and readers at once, and a shutdown in the middle: each message is either taken or comes back with an
// error that is worth a new attempt.
func TestConcurrentUse(t *testing.T) {
	cfg := hub(t)
	cfg.QueueSize = 4
	f := build(t, cfg)
	f.now = time.Now
	require.NoError(t, f.Start(context.Background(), f.host))
	const clusters, deltas = 8, 40
	var senders, readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					s := f.Snapshot()
					for c := range s.Clusters() {
						c.StaleSince()
						s.At(begin).ByPod(c.Name, "ns", "p0")
					}
					f.ReportFinding(topology.Finding{Kind: topology.KindProxyLocality, Subject: "p0"})
					f.status()
				}
			}
		})
	}
	for i := range clusters {
		senders.Go(func() {
			s := newSpoke(fmt.Sprintf("c%d", i), fmt.Sprintf("u%d", i), 1, 20)
			messages := s.snapshot(time.Now())
			for n := range deltas {
				p := podOf(100 + n)
				messages = append(messages, s.delta(&topology.Delta{At: time.Now(), Pods: []topology.PodState{p}})...)
			}
			for j := range messages {
				if err := f.AcceptInventory(context.Background(), &messages[j]); err != nil {
					assert.NoError(t, err)
				}
			}
		})
	}
	senders.Wait()
	f.eventually(func() bool { return f.Snapshot().Stats().Pods == clusters*(20+deltas) }, "all of it is there")
	close(done)
	readers.Wait()

	var late sync.WaitGroup
	for i := range clusters {
		late.Go(func() {
			s := newSpoke(fmt.Sprintf("late%d", i), "", 1, 1)
			for _, m := range s.snapshot(time.Now()) {
				if err := f.AcceptInventory(context.Background(), &m); err != nil {
					assert.ErrorIs(t, err, errStopped)
				}
			}
		})
	}
	require.NoError(t, f.Shutdown(context.Background()))
	late.Wait()
}

// An event is to be visible within 500 ms, whatever the configuration.
func TestHowSoonAChangeIsVisible(t *testing.T) {
	cfg := hub(t)
	cfg.PublishInterval = 200 * time.Millisecond
	f := build(t, cfg)
	f.now = time.Now
	require.NoError(t, f.Start(context.Background(), f.host))
	west := newSpoke("west", "u1", 1, 1)
	f.accept(west.snapshot(time.Now())...)
	for i := range 5 {
		p := podOf(10 + i)
		messages := west.delta(&topology.Delta{At: time.Now(), Pods: []topology.PodState{p}})
		sent := time.Now()
		f.accept(messages...)
		f.eventually(func() bool {
			_, ok := f.Snapshot().ByPod("west", "ns", p.Name)
			return ok
		}, "visible")
		// Generous: the machine that runs the test may be busy.
		assert.Less(t, time.Since(sent), 2*time.Second)
	}
}

func TestFindingsOfOthers(t *testing.T) {
	f := started(t, hub(t))
	finding := topology.Finding{Kind: topology.KindProxyLocality, Cluster: "west", Subject: "pod a/b", Detail: "d"}
	f.ReportFinding(finding)
	f.ReportFinding(finding)
	assert.Equal(t, []string{"west: pod a/b"}, f.ongoing(topology.KindProxyLocality))
	assert.Equal(t, uint64(2), f.finding(topology.KindProxyLocality).Count)
}

// Two clusters clash until they do not.
func TestClashesEnd(t *testing.T) {
	f := started(t, hub(t))
	var spokes []*spoke
	facts := func(s *spoke, cidr string) *topology.Delta {
		return &topology.Delta{At: f.at(), Facts: &topology.ClusterFacts{
			UID: s.name, Network: "vnet-" + s.name, TrustDomain: "cluster.local", PodCIDRs: prefixes(cidr),
		}}
	}
	for _, name := range []string{"east", "west"} {
		s := newSpoke(name, name, 1, 0)
		spokes = append(spokes, s)
		f.accept(s.snapshot(begin)...)
		f.accept(s.delta(facts(s, "10.0.0.0/16"))...)
	}
	f.tick()
	assert.Equal(t, []string{": east, west"}, f.ongoing(topology.KindOverlappingPodCIDRs))
	assert.Equal(t, []string{": trust domain cluster.local"}, f.ongoing(topology.KindTrustDomainClash))
	f.forward(time.Minute)
	assert.NotEmpty(t, f.ongoing(topology.KindOverlappingPodCIDRs), "they still do")

	change := facts(spokes[0], "10.1.0.0/16")
	change.Facts.TrustDomain = "east"
	f.accept(spokes[0].delta(change)...)
	f.tick()
	f.forward(time.Minute)
	assert.Empty(t, f.ongoing(topology.KindOverlappingPodCIDRs))
	assert.Empty(t, f.ongoing(topology.KindTrustDomainClash))
}

func TestErrorsOfTheInventoryAreKept(t *testing.T) {
	inner := errors.New("x")
	err := rejected("invalid", inner)
	require.ErrorIs(t, err, inner)
	assert.Contains(t, err.Error(), "the inventory message is not taken: x")
}
