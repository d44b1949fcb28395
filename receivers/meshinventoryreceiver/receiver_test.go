// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

var (
	snapshotKind  = inventory.KindSnapshot
	deltaKind     = inventory.KindDelta
	heartbeatKind = inventory.KindHeartbeat
)

func TestNothingBeforeLeadingAndBeforeSync(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.pass(time.Hour)
		require.Empty(t, w.messages(), "not the leader")
		w.lead(100)
		w.pass(time.Minute)
		require.Empty(t, w.messages(), "the cluster was not described yet")
		w.emit(topology.Delta{At: time.Now(), Pods: []topology.PodState{pod(1, w.began)}})
		w.pass(time.Minute)
		require.Empty(t, w.messages(), "only a part of the cluster was described")
		w.emit(full(2, time.Now()))
		w.pass(time.Second)
		messages := w.messages()
		require.Equal(t, []inventory.Kind{snapshotKind}, kinds(messages))
		require.Equal(t, "uid-1", messages[0].ClusterUID)
		require.EqualValues(t, 100, messages[0].Epoch)
		require.EqualValues(t, 1, messages[0].Sequence)
	})
}

func TestDeltasAreGatheredAndHeartbeatsFillTheQuiet(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		hub := newHub()
		w.lead(100)
		w.emit(full(3, time.Now()))
		w.pass(time.Second)
		hub.accept(t, w.messages())

		for i := range 5 {
			w.emit(topology.Delta{At: time.Now(), Pods: []topology.PodState{pod(10+i, time.Now())}})
			w.pass(100 * time.Millisecond)
		}
		w.emit(topology.Delta{At: time.Now(), GonePods: []topology.PodEnd{end(0, time.Now(), time.Now())}})
		w.pass(100 * time.Millisecond)
		last := time.Now()
		w.emit(topology.Delta{At: last})
		w.pass(time.Second)
		messages := w.messages()
		require.Equal(t, []inventory.Kind{deltaKind}, kinds(messages), "one for the second")
		require.True(t, last.Equal(messages[0].At))
		running, ended := pods(hub.accept(t, messages))
		require.Len(t, running, 7)
		require.Len(t, ended, 1)

		w.pass(10 * time.Second)
		require.Empty(t, w.messages())
		w.pass(6 * time.Second)
		messages = w.messages()
		require.Equal(t, []inventory.Kind{heartbeatKind}, kinds(messages))
		require.True(t, last.Equal(messages[0].At), "nobody confirmed more")
		confirmed := time.Now()
		w.emit(topology.Delta{At: confirmed})
		w.pass(15 * time.Second)
		messages = w.messages()
		require.Equal(t, []inventory.Kind{heartbeatKind}, kinds(messages))
		require.True(t, confirmed.Equal(messages[0].At))
		hub.accept(t, messages)
		require.Zero(t, hub.assembler.Counters().Lost)
	})
}

func TestSnapshotsComeBack(t *testing.T) {
	in(t, func(c *Config) { c.SnapshotInterval = time.Minute; c.History = 90 * time.Second }, func(t *testing.T, w *world) {
		w.lead(100)
		w.emit(full(3, time.Now()))
		w.pass(time.Second)
		w.emit(topology.Delta{At: time.Now(), GonePods: []topology.PodEnd{end(1, time.Now(), time.Now())}})
		w.pass(time.Second)
		require.Len(t, w.messages(), 2)

		w.pass(time.Minute)
		only := func(m *inventory.Message) bool { return m.Kind != snapshotKind }
		messages := slices.DeleteFunc(w.messages(), only)
		require.Len(t, messages, 1)
		running, ended := pods(newHub().join(t, messages))
		require.Len(t, running, 2)
		require.Equal(t, []string{pod(1, time.Now()).Name}, ended, "who ended a short while ago is part of it")

		w.pass(time.Minute)
		running, ended = pods(newHub().join(t, slices.DeleteFunc(w.messages(), only)))
		require.Len(t, running, 2)
		require.Empty(t, ended, "'history' has passed")
	})
}

func TestPodThatCameAndWentBetweenTwoDeltas(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		hub := newHub()
		w.lead(100)
		w.emit(full(1, time.Now()))
		w.pass(time.Second)
		began := time.Now()
		first, second := pod(7, began), pod(8, began.Add(300*time.Millisecond))
		second.Addresses = first.Addresses
		second.Seen = second.Since
		first.Seen = first.Since
		w.emit(topology.Delta{At: began, Pods: []topology.PodState{first}})
		w.pass(100 * time.Millisecond)
		gone := time.Now()
		w.emit(topology.Delta{At: gone, GonePods: []topology.PodEnd{end(7, gone, gone)}})
		w.pass(200 * time.Millisecond)
		w.emit(topology.Delta{At: time.Now(), Pods: []topology.PodState{second}})
		w.pass(time.Second)
		s := hub.accept(t, w.messages())
		who := func(at time.Time) string {
			s.Pods("east")
			c, _ := s.Cluster("east")
			p, lookup := s.At(at).ByAddress(c.Network, first.Addresses[0])
			if lookup != topology.Found {
				return ""
			}
			return p.Name
		}
		require.Equal(t, first.Name, who(began.Add(50*time.Millisecond)))
		require.Empty(t, who(began.Add(200*time.Millisecond)))
		require.Equal(t, second.Name, who(began.Add(400*time.Millisecond)))
	})
}

func TestEndIsBoundedByWhatTheLeaderConfirmed(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		hub := newHub()
		w.lead(100)
		w.emit(full(1, time.Now()))
		w.pass(time.Second)
		hub.accept(t, w.messages())
		w.pass(8 * time.Second)
		confirmed := time.Now()
		w.emit(topology.Delta{At: confirmed}) // no message: the hub does not learn of it yet
		w.pass(2 * time.Second)
		gone := time.Now()
		w.emit(topology.Delta{At: gone, GonePods: []topology.PodEnd{end(0, time.Time{}, time.Time{})}})
		w.pass(300 * time.Millisecond)
		w.emit(topology.Delta{At: time.Now()})
		w.pass(time.Second)
		for p := range hub.accept(t, w.messages()).Pods("east") {
			earliest, latest, _ := p.Until()
			require.True(t, confirmed.Equal(earliest), "%v", earliest)
			require.True(t, gone.Equal(latest), "%v", latest)
		}
	})
}

func TestFullPipelineMergesChangesAndKeepsTheirOrder(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		hub := newHub()
		w.lead(100)
		w.emit(full(3, time.Now()))
		w.pass(time.Second)
		w.pipeline.setAnswer(func(context.Context, plog.Logs) error { return errors.New("the queue is full") })
		for i := range 300 {
			w.emit(topology.Delta{At: time.Now(), Pods: []topology.PodState{pod(10+i%5, w.began)}})
			w.pass(time.Second)
		}
		require.Greater(t, w.pipeline.offers, 50, "it goes on trying")
		w.pipeline.setAnswer(nil)
		w.pass(10 * time.Second)
		messages := w.messages()
		require.LessOrEqual(t, len(messages), 4, "merged, not queued: %v", kinds(messages))
		running, _ := pods(hub.accept(t, messages))
		require.Len(t, running, 8)
		require.Zero(t, hub.assembler.Counters().Lost)
		for _, f := range hub.findings {
			require.Equal(t, topology.KindClusterStale, f.Kind, "late is not lost")
		}
	})
}

func TestTooManyChangesBecomeASnapshot(t *testing.T) {
	in(t, func(c *Config) { c.SnapshotInterval = time.Hour }, func(t *testing.T, w *world) {
		w.lead(100)
		w.emit(full(3, time.Now()))
		w.pass(time.Second)
		w.messages()
		w.emit(full(0, time.Now()))
		w.pass(time.Second)
		require.Equal(t, []inventory.Kind{snapshotKind}, kinds(w.messages()), "described anew")
		d := topology.Delta{At: time.Now()}
		for i := range maxPendingObjects + 1 {
			d.Pods = append(d.Pods, pod(i, w.began))
		}
		w.emit(d)
		w.pass(time.Second)
		messages := w.messages()
		require.NotEmpty(t, messages)
		running, _ := pods(newHub().join(t, messages))
		require.Len(t, running, maxPendingObjects+1)
		for _, m := range messages {
			require.Equal(t, snapshotKind, m.Kind)
		}
	})
}

func TestLostMessageIsFollowedByASnapshot(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		hub := newHub()
		w.lead(100)
		w.emit(full(3, time.Now()))
		w.pass(time.Second)
		hub.accept(t, w.messages())
		w.pipeline.setAnswer(func(context.Context, plog.Logs) error { return consumererror.NewPermanent(errors.New("no")) })
		w.emit(topology.Delta{At: time.Now(), Pods: []topology.PodState{pod(10, w.began)}})
		w.pass(10 * time.Minute)
		require.Less(t, w.pipeline.offers, 25, "ever more rarely")
		w.pipeline.setAnswer(nil)
		w.emit(topology.Delta{At: time.Now(), Pods: []topology.PodState{pod(11, w.began)}})
		w.pass(time.Minute + time.Second)
		running, _ := pods(hub.join(t, w.messages()))
		require.Len(t, running, 5)
		for _, p := range hub.assembler.Positions() {
			require.True(t, p.Complete)
		}
		w.emit(topology.Delta{At: time.Now(), Pods: []topology.PodState{pod(12, w.began)}})
		w.pass(time.Second)
		require.Equal(t, []inventory.Kind{deltaKind}, kinds(w.messages()), "then as ever")
	})
}

func TestLoserStopsAtOnce(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		var held, canceled atomic.Bool
		held.Store(true)
		w.elector.terms <- leadership{epoch: 100, held: held.Load}
		w.emit(full(3, time.Now()))
		w.pass(time.Second)
		require.Len(t, w.messages(), 1)

		held.Store(false) // the process was stopped for longer than the lease
		w.emit(topology.Delta{At: time.Now(), Pods: []topology.PodState{pod(10, w.began)}})
		offers := w.pipeline.offers
		w.pass(10 * time.Second)
		require.Equal(t, offers, w.pipeline.offers)

		w.pipeline.setAnswer(func(ctx context.Context, _ plog.Logs) error {
			<-ctx.Done() // a pipeline that blocks
			canceled.Store(true)
			return ctx.Err()
		})
		held.Store(true)
		w.pass(10 * time.Second)
		w.elector.lose <- struct{}{}
		synctest.Wait()
		require.True(t, canceled.Load(), "the call was under way when the lease was lost")
		w.pipeline.setAnswer(nil)
		w.pass(time.Minute)
		require.Empty(t, w.messages())

		w.lead(200)
		w.emit(full(4, time.Now()))
		w.pass(time.Second)
		messages := w.messages()
		require.Equal(t, []inventory.Kind{snapshotKind}, kinds(messages))
		require.EqualValues(t, 200, messages[0].Epoch)
		require.EqualValues(t, 1, messages[0].Sequence)
	})
}

func TestUIDThatBecomesKnownBeginsAnEpoch(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		hub := newHub()
		d := full(3, time.Now())
		d.Facts.UID = ""
		w.lead(1000)
		w.emit(d)
		w.pass(time.Second)
		w.emit(topology.Delta{At: time.Now(), Facts: &topology.ClusterFacts{UID: "uid-1"}, Pods: []topology.PodState{pod(10, w.began)}})
		w.pass(time.Second)
		messages := w.messages()
		require.Equal(t, []inventory.Kind{snapshotKind, snapshotKind}, kinds(messages))
		require.Equal(t, "uid-1", messages[1].ClusterUID)
		require.EqualValues(t, 1001, messages[1].Epoch)
		running, _ := pods(hub.accept(t, messages))
		require.Len(t, running, 4)
	})
}

func TestPodsBeyondTheCeilingAreNotInDeltasEither(t *testing.T) {
	in(t, func(c *Config) { c.MaxPods = 4 }, func(t *testing.T, w *world) {
		hub := newHub()
		w.lead(100)
		w.emit(full(3, time.Now()))
		w.pass(time.Second)
		w.emit(topology.Delta{At: time.Now(), Pods: []topology.PodState{pod(10, w.began), pod(11, w.began), pod(12, w.began)}})
		w.pass(time.Second)
		running, _ := pods(hub.accept(t, w.messages()))
		require.ElementsMatch(t, []string{pod(0, w.began).Name, pod(1, w.began).Name, pod(2, w.began).Name, pod(10, w.began).Name}, running)
		w.pass(time.Second)
		value := counter(t, w.tt, "otelcol_receiver_mesh_inventory_objects_refused")
		require.EqualValues(t, 2, value["max_pods"])
	})
}

func TestLargeClusterIsSentInBatches(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		const n = 30_000
		w.lead(100)
		w.emit(full(n, time.Now()))
		w.pass(time.Second)
		batches := w.pipeline.take()
		require.Greater(t, len(batches), 1)
		hub, bytes := newHub(), 0
		var s *topology.Snapshot
		for _, batch := range batches {
			messages := read(t, batch)
			for _, m := range messages {
				require.LessOrEqual(t, len(m.Body), inventory.MaxMessageBytes)
			}
			marshaler := &plog.ProtoMarshaler{}
			bytes += marshaler.LogsSize(batch)
			s = hub.accept(t, messages)
		}
		require.Equal(t, n, s.Stats().Pods)
		require.LessOrEqual(t, bytes/n, 200)
		t.Logf("%d bytes a pod as OTLP", bytes/n)
	})
}

func TestStatusFollowsTheAPIServer(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		w.lead(100)
		w.source.set(func(f *fakeSource) { f.state.LastError = "connection refused" })
		w.pass(2 * time.Second)
		require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, w.host.statuses())
		w.source.set(func(f *fakeSource) { f.state = kube.State{Synced: true} })
		w.emit(full(3, time.Now()))
		w.pass(2 * time.Second)
		require.Equal(t, componentstatus.StatusOK, w.host.statuses()[1])
		w.pass(25 * time.Second)
		require.Len(t, w.host.statuses(), 2)
		w.pass(10 * time.Second)
		require.Equal(t, componentstatus.StatusRecoverableError, w.host.statuses()[2], "nothing was confirmed for long")
		w.elector.lose <- struct{}{}
		synctest.Wait()
		require.Equal(t, componentstatus.StatusOK, w.host.statuses()[3], "who does not lead needs no watch")
		w.receiver.leaseHeard(errors.New("connection refused"))
		w.receiver.leaseHeard(errors.New("connection refused, again"))
		w.receiver.leaseHeard(nil)
		require.Len(t, w.host.statuses(), 6)
	})
}
