// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWorkloadsWithoutPods(t *testing.T) {
	d := newDesk(Limits{})
	spec := WorkloadSpec{Namespace: "ns", Name: "w", Kind: "deployment", Service: "s", Version: "v1", ServiceAccount: "sa"}
	full := &Delta{Cluster: "c", At: second(1000), Full: true, Facts: facts("n"), Workloads: []WorkloadSpec{spec, spec}}
	d.Apply(full)
	s := d.Publish()
	w, ok := s.Workload("c", "ns", "w")
	require.True(t, ok)
	assert.Equal(t, "spiffe://td-n/ns/ns/sa/sa", w.End().Principal)
	assert.Equal(t, "s", w.End().Service)
	assert.Equal(t, Stats{Clusters: 1, Workloads: 1}, s.Stats())

	// Pods come and go, and the facts change.
	p := pod("a", "10.0.0.1", 1, 900)
	p.Service = "s"
	d.Apply(&Delta{Cluster: "c", At: second(1001), Pods: []PodState{p}})
	assert.Equal(t, 1, d.Publish().Stats().Workloads)
	d.Apply(&Delta{Cluster: "c", At: second(1002), Facts: facts("other"), GonePods: []PodEnd{{Namespace: "ns", Name: "a", Latest: second(1002)}}})
	s = d.Publish()
	w, ok = s.Workload("c", "ns", "w")
	require.True(t, ok, "it stays without pods")
	assert.Equal(t, "spiffe://td-other/ns/ns/sa/sa", w.End().Principal)
	assert.Equal(t, "other", w.Cluster.Network)

	spec.Version = "v2"
	d.Apply(&Delta{Cluster: "c", At: second(1003), Workloads: []WorkloadSpec{spec}})
	w, _ = d.Publish().Workload("c", "ns", "w")
	assert.Equal(t, "v2", w.End().Version)
	d.Apply(&Delta{Cluster: "c", At: second(1004), GoneWorkloads: []ObjectName{{"ns", "w"}, {"ns", "nobody"}}})
	_, ok = d.Publish().Workload("c", "ns", "w")
	assert.False(t, ok)

	d.Apply(full)
	full.Workloads = nil
	d.Apply(full)
	s = d.Publish()
	_, ok = s.Workload("c", "ns", "w")
	assert.False(t, ok, "a full description does not mention it")
	assert.Zero(t, s.Stats().Workloads)
	assert.Zero(t, d.standing)
}

func TestWorkloadsWithoutPodsAreBounded(t *testing.T) {
	d := newDesk(Limits{MaxPods: 1})
	long := strings.Repeat("x", 2000)
	d.Apply(&Delta{Cluster: "c", At: second(1000), Full: true, Workloads: []WorkloadSpec{
		{Namespace: "ns"}, {Namespace: "ns", Name: "a", Version: long}, {Namespace: "ns", Name: "b"}, {Namespace: "ns", Name: "c"},
	}})
	assert.Equal(t, 1, d.Publish().Stats().Workloads)
	assert.EqualValues(t, 2, d.Counters().Invalid)
	assert.EqualValues(t, 1, d.Counters().PodsRefused)
	d.Remove("c")
	assert.Zero(t, d.standing)
}

func TestMeshID(t *testing.T) {
	d := newDesk(Limits{})
	for _, step := range []struct{ cluster, id, want string }{
		{"a", "", ""}, {"b", "mesh1", "mesh1"}, {"c", "mesh1", "mesh1"}, {"d", "mesh2", ""}, {"e", "mesh1", ""},
	} {
		d.Apply(&Delta{Cluster: step.cluster, Facts: &ClusterFacts{MeshID: step.id}})
		assert.Equal(t, step.want, d.Publish().MeshID(), step.cluster)
	}
	d.Remove("d")
	assert.Equal(t, "mesh1", d.Publish().MeshID(), "they agree again")
	d.Apply(&Delta{Cluster: "a", Facts: &ClusterFacts{MeshID: "mesh3"}})
	assert.Empty(t, d.Publish().MeshID())
	told := NewWriter(WriterSettings{MeshID: "told"})
	told.Apply(&Delta{Cluster: "a", Facts: &ClusterFacts{MeshID: "mesh1"}})
	assert.Equal(t, "told", told.Publish().MeshID())
}
