// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
)

func outcome(value string) attribute.Set {
	return attribute.NewSet(attribute.String("outcome", value))
}

// with returns the option of one attribute.
func with(key, value string) metric.ObserveOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))
}

// observe registers what is read when metrics are collected. None of it touches the writer: it reads the snapshot and
// copies of the counters.
func (m *meshTopology) observe() error {
	t, e := m.telemetry, m.engine
	gauge := func(register func(metric.Int64Callback) error, value func() int64) error {
		return register(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(value())
			return nil
		})
	}
	kubernetes := func(register func(metric.Int64Callback) error, value func(kube.Counters) uint64) error {
		return gauge(register, func() int64 { return int64(value(m.requests())) })
	}
	return errors.Join(
		gauge(t.RegisterExtensionMeshTopologyClustersCallback, func() int64 { return int64(m.Snapshot().Stats().Clusters) }),
		gauge(t.RegisterExtensionMeshTopologyPodsCallback, func() int64 { return int64(m.Snapshot().Stats().Pods) }),
		gauge(t.RegisterExtensionMeshTopologyPodsEndedCallback, func() int64 { return int64(m.Snapshot().Stats().Ended) }),
		gauge(t.RegisterExtensionMeshTopologyQueueLengthCallback, func() int64 { return int64(len(e.queue)) }),
		gauge(t.RegisterExtensionMeshTopologyQueueCapacityCallback, func() int64 { return int64(cap(e.queue)) }),
		gauge(t.RegisterExtensionMeshTopologyDiskCopySizeCallback, m.copySize),
		gauge(t.RegisterExtensionMeshTopologyJournalSizeCallback, m.journalSize),
		gauge(t.RegisterExtensionMeshTopologyInventoryWaitingCallback, func() int64 { return int64(e.totals.Load().waiting) }),
		gauge(t.RegisterExtensionMeshTopologyHistoryEvictedCallback, func() int64 { return int64(e.totals.Load().writer.HistoryEvicted) }),
		gauge(t.RegisterExtensionMeshTopologyAddressConflictsCallback, func() int64 { return int64(e.totals.Load().writer.AddressConflicts) }),
		gauge(t.RegisterExtensionMeshTopologyUnknownEndsCallback, func() int64 { return int64(e.totals.Load().writer.UnknownEnds) }),
		gauge(t.RegisterExtensionMeshTopologyOverruledCallback, func() int64 { return int64(e.totals.Load().overruled) }),
		gauge(t.RegisterExtensionMeshTopologyFindingsDroppedCallback, m.findingsDropped),
		kubernetes(t.RegisterExtensionMeshTopologyKubernetesEventsCallback, func(c kube.Counters) uint64 { return c.Events }),
		kubernetes(t.RegisterExtensionMeshTopologyKubernetesListsCallback, func(c kube.Counters) uint64 { return c.Lists }),
		kubernetes(t.RegisterExtensionMeshTopologyKubernetesWatchesCallback, func(c kube.Counters) uint64 { return c.Watches }),
		kubernetes(t.RegisterExtensionMeshTopologyKubernetesFailuresCallback, func(c kube.Counters) uint64 { return c.Failures }),
		kubernetes(t.RegisterExtensionMeshTopologyKubernetesBytesReadCallback, func(c kube.Counters) uint64 { return c.BytesRead }),
		t.RegisterExtensionMeshTopologyFindingsCallback(m.observeFindings),
		t.RegisterExtensionMeshTopologyItemsRefusedCallback(m.observeRefused),
		t.RegisterExtensionMeshTopologyInventoryMessagesCallback(m.observeMessages),
		t.RegisterExtensionMeshTopologyClusterStaleCallback(m.observeStale),
		t.RegisterExtensionMeshTopologyClusterAgeCallback(m.observeAges),
		t.RegisterExtensionMeshTopologySnapshotAgeCallback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(m.age().Seconds())
			return nil
		}),
	)
}

// requests are the totals of requests to API servers.
func (m *meshTopology) requests() (total kube.Counters) {
	for _, f := range m.feeds {
		total = sum(total, f.counters())
	}
	return total
}

func (m *meshTopology) copySize() int64 {
	if c := m.engine.copy; c != nil {
		return c.status().Bytes
	}
	return 0
}

func (m *meshTopology) journalSize() int64 {
	if c := m.engine.copy; c != nil && c.journal != nil {
		_, total := c.journal.files.Size()
		return total
	}
	return 0
}

func (m *meshTopology) findingsDropped() int64 {
	_, evicted := m.findings.Counts()
	return int64(evicted + m.engine.totals.Load().writer.FindingsSuppressed)
}

func (m *meshTopology) observeFindings(_ context.Context, o metric.Int64Observer) error {
	ongoing, _ := m.findings.Counts()
	for kind, n := range ongoing {
		o.Observe(int64(n), with("kind", kind))
	}
	return nil
}

// refused are the totals of what was left out, by kind.
func (t *totals) refused() map[string]uint64 {
	return map[string]uint64{
		"cluster": t.writer.ClustersRefused, "node": t.writer.NodesRefused, "pod": t.writer.PodsRefused,
		"service": t.writer.ServicesRefused, "gateway": t.writer.GatewaysRefused, "invalid": t.writer.Invalid,
	}
}

func (m *meshTopology) observeRefused(_ context.Context, o metric.Int64Observer) error {
	for kind, n := range m.engine.totals.Load().refused() {
		o.Observe(int64(n), with("kind", kind))
	}
	return nil
}

// messages are the totals of inventory messages, by what became of them.
func (t *totals) messages() map[string]uint64 {
	a := &t.assembler
	return map[string]uint64{
		"taken": a.Taken, "repeated": a.Repeated, "old_epoch": a.OldEpoch, "rejected": a.Rejected,
		"refused_uid": a.RefusedUID, "refused_limit": a.RefusedLimit, "lost": a.Lost, "incomplete": a.Incomplete,
	}
}

func (m *meshTopology) observeMessages(_ context.Context, o metric.Int64Observer) error {
	if m.engine.assembler == nil {
		return nil
	}
	for result, n := range m.engine.totals.Load().messages() {
		o.Observe(int64(n), with("result", result))
	}
	return nil
}

func (m *meshTopology) observeStale(_ context.Context, o metric.Int64Observer) error {
	for c := range m.Snapshot().Clusters() {
		var stale int64
		if _, is := c.StaleSince(); is {
			stale = 1
		}
		o.Observe(stale, with("k8s.cluster.name", c.Name))
	}
	return nil
}

func (m *meshTopology) observeAges(_ context.Context, o metric.Float64Observer) error {
	for c := range m.Snapshot().Clusters() {
		if confirmed := c.Confirmed(); !confirmed.IsZero() {
			o.Observe(max(m.now().Sub(confirmed), 0).Seconds(), with("k8s.cluster.name", c.Name))
		}
	}
	return nil
}

// age is the greatest age of a cluster.
func (m *meshTopology) age() (age time.Duration) {
	for c := range m.Snapshot().Clusters() {
		if confirmed := c.Confirmed(); !confirmed.IsZero() {
			age = max(age, m.now().Sub(confirmed))
		}
	}
	return age
}
