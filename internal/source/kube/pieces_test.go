// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

func manyPods(from, to int) []*corev1.Pod {
	var list []*corev1.Pod
	for i := from; i < to; i++ {
		list = append(list, aPod(fmt.Sprint("p", i), fmt.Sprint("u", i), fmt.Sprintf("10.1.%d.%d", i/250, i%250), "5"))
	}
	return list
}

// settleAllButPods ends all other listings.
func (b *bench) settleAllButPods() {
	for _, w := range b.e.watchers {
		if !w.settled && w.resource.plural != "pods" {
			b.e.take(&message{watcher: w.watcher, kind: messageSynced, observed: observed, listing: w.listing})
		}
	}
}

func (b *bench) list(pods ...*corev1.Pod) {
	w := b.watcher("pods")
	for _, p := range pods {
		b.e.take(&message{watcher: w, name: nameOf(p), value: w.resource.trim(p, observed), observed: observed, listing: w.listing, listed: true})
		if !b.e.full {
			b.e.first()
		}
	}
}

// known applies all that was told and returns what the topology is.
func (b *bench) known() *topology.Snapshot {
	w := topology.NewWriter(topology.WriterSettings{History: time.Hour, Now: func() time.Time { return observed }})
	for _, d := range b.deltas {
		w.Apply(d)
	}
	assert.Zero(b.t, w.Counters().UnknownEnds)
	return w.Publish()
}

func (b *bench) sizes() (list []string) {
	for _, d := range b.deltas {
		list = append(list, fmt.Sprintf("%t %t %d: %d pods, %d ends", d.Full, d.More, d.Part, len(d.Pods), len(d.GonePods)))
		assert.Equal(b.t, d.More, d.At.IsZero() && d.Full, "only the last piece confirms")
	}
	return list
}

func TestFullDescriptionInPieces(t *testing.T) {
	b := newBench(t)
	b.list(manyPods(0, 2500)...)
	assert.Empty(t, b.deltas, "the networks are not known yet")
	b.put("namespaces", namespaceWith("net-we"))
	b.put("nodes", aNode("n1", "1", "10.1.0.0/16"))
	b.settleAllButPods()
	b.e.first()
	require.Equal(t, []string{"true true 0: 2500 pods, 0 ends"}, b.sizes())
	assert.Equal(t, "net-we", b.deltas[0].Facts.Network)
	assert.Len(t, b.deltas[0].Nodes, 1)
	assert.NotNil(t, b.deltas[0].Gateways)

	b.list(manyPods(2500, 5000)...)
	// p0 was told, p2500 too; p4999 is still to be told.
	b.drop("pods", "shop", "p0")
	b.list(aPod("p2501", "other", "10.2.0.1", "6"), aPod("p1", "u1", "10.2.0.2", "6"))
	b.drop("pods", "shop", "p4999")
	b.list(aPod("p4998", "other", "10.2.0.3", "6"))
	d := b.full()
	assert.Equal(t, []string{
		"true true 0: 2500 pods, 0 ends", "true true 1: 2000 pods, 0 ends", "true true 2: 502 pods, 3 ends",
		"true false 3: 1 pods, 2 ends",
	}, b.sizes())
	assert.NotNil(t, d)
	s := b.known()
	assert.Equal(t, 4998, s.Stats().Pods)
	for address, want := range map[string]string{
		"10.1.0.0": "", "10.2.0.1": "p2501", "10.2.0.2": "p1", "10.2.0.3": "p4998", "10.1.0.1": "", "10.1.10.1": "", "10.1.19.249": "", "10.1.4.4": "p1004",
	} {
		assert.Equal(t, want, holderOf(s, address), address)
	}
	b.deltas = nil
	b.list(aPod("p7", "u7", "10.2.0.9", "8"))
	assert.False(t, b.flush().Full)
}

func holderOf(s *topology.Snapshot, address string) string {
	for p := range s.Pods("c1") {
		if !p.Ended() && len(p.Addresses()) == 1 && p.Addresses()[0].String() == address {
			return p.Name
		}
	}
	return ""
}

func TestPiecesOfAListingThatIsCut(t *testing.T) {
	b := newBench(t)
	b.settleAllButPods()
	b.list(manyPods(0, 3000)...)
	require.Len(t, b.deltas, 1)
	// It begins again, and some are gone meanwhile: told ones, and others.
	b.watcher("pods").listing++
	b.list(manyPods(1000, 2900)...)
	b.list(manyPods(3000, 4500)...)
	b.full()
	s := b.known()
	assert.Equal(t, 3400, s.Stats().Pods)
	assert.Equal(t, 1100, s.Stats().Ended, "1000 of the first piece, 100 of the second")
	assert.Empty(t, holderOf(s, "10.1.0.5"))
	assert.Empty(t, holderOf(s, "10.1.11.200"))
	assert.Equal(t, "p4499", holderOf(s, "10.1.17.249"))
}

// The ranges of meshNetworks may change while the pods are listed: those that were told are listed again.
func TestNetworksChangeBetweenPieces(t *testing.T) {
	b := newBench(t)
	b.settleAllButPods()
	b.list(manyPods(0, 2000)...)
	require.Len(t, b.deltas, 1)
	b.put("configmaps", meshMap("istio", "", "networks: {net-a: {endpoints: [{fromCidr: 10.1.0.0/16}]}}"))
	w := b.watcher("pods")
	select {
	case <-w.relist:
	default:
		t.Fatal("the pods are not listed again")
	}
	w.listing++
	b.list(manyPods(0, 2000)...)
	b.full()
	for p := range b.known().Pods("c1") {
		if !p.Ended() {
			require.Equal(t, "net-a", p.Network, p.Name)
		}
	}
}

// Pieces over a real connection, in pages, which do not wait for the limit on requests.
func TestPagesInPieces(t *testing.T) {
	const pages, perPage = 60, 100
	var script []http.HandlerFunc
	script = append(script, failing(http.StatusBadRequest, "BadRequest"))
	for i := range pages {
		script = append(script, page(manyPods(i*perPage, (i+1)*perPage), i+1 < pages))
	}
	f := newFakeAPI(t, script...)
	source, err := New(Settings{Cluster: "c1", Scope: ScopeCluster, Client: ClientSettings{
		Config: &rest.Config{Host: f.URL}, QPS: 0.001, Burst: 40,
	}})
	require.NoError(t, err)
	h := follow(t, source)
	pods := 0
	for {
		d := h.next()
		require.True(t, d.Full)
		pods += len(d.Pods)
		if !d.More {
			assert.Equal(t, 3, d.Part)
			break
		}
	}
	assert.Equal(t, pages*perPage, pods)
}

func page(pods []*corev1.Pod, more bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: metav1.ListMeta{ResourceVersion: "7"}}
		if more {
			list.Continue = "more"
		}
		for _, p := range pods {
			list.Items = append(list.Items, *p)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list)
	}
}
