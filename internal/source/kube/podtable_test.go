// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Between two listings a pod may have come and gone that had the address before, in the very second that the condition
// tells. Found by churning pods while an API server restarted.
func TestNobodySawTheBeginningOfAListedPod(t *testing.T) {
	observed := observed.Truncate(time.Second).Add(700 * time.Millisecond)
	began := observed.Add(-time.Minute).Truncate(time.Second)
	item := func(uid, address string, labels map[string]string) *podItem {
		pod := aPod("a", uid, address, "1")
		pod.Labels = labels
		pod.Status.Conditions = []corev1.PodCondition{
			{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(began)},
		}
		item := trimPod(pod, observed, DefaultSystemNamespace)
		return &item
	}
	var told []topology.PodState
	table := newPodTable(func(p *topology.PodState) { told = append(told, *p) }, func(topology.PodEnd) {})
	put := func(i *podItem, listed bool) topology.PodState {
		t.Helper()
		before := len(told)
		table.put(&message{name: topology.ObjectName{Namespace: "shop", Name: "a"}, observed: observed, listed: listed}, i)
		require.Len(t, told, before+1)
		return told[before]
	}
	assert.True(t, put(item("u1", "10.0.0.1", nil), true).Unseen, "listed")
	changed := map[string]string{"app": "other"}
	assert.True(t, put(item("u1", "10.0.0.1", changed), false).Unseen, "the same pod, seen live later")
	listed := observed
	observed = observed.Add(100 * time.Millisecond)
	began = observed.Truncate(time.Second)
	assert.True(t, put(item("u3", "10.0.0.1", nil), false).Unseen, "seen live, in the second of the listing: another may have had it before that")
	observed = observed.Add(3 * time.Second)
	began = observed.Truncate(time.Second)
	assert.True(t, began.After(listed))
	assert.False(t, put(item("u2", "10.0.0.1", nil), false).Unseen, "the next pod, seen live from its beginning")
	observed = observed.Add(3 * time.Second)
	assert.False(t, put(item("u2", "10.0.0.1", changed), true).Unseen, "known when it was listed")
	assert.True(t, put(item("u2", "10.0.0.2", changed), true).Unseen, "another address, listed")
}

// What a listing tells of a known pod happened while nobody watched: others may have had its address since.
func TestEndsThatNobodySawLeaveAGap(t *testing.T) {
	var ends []topology.PodEnd
	table := newPodTable(func(*topology.PodState) {}, func(e topology.PodEnd) { ends = append(ends, e) })
	put := func(name, address string, phase corev1.PodPhase, listed bool) {
		pod := aPod(name, "u-"+name, address, "1")
		pod.Status.Phase = phase
		item := trimPod(pod, observed, DefaultSystemNamespace)
		table.put(&message{name: topology.ObjectName{Namespace: "shop", Name: name}, observed: observed, listed: listed}, &item)
	}
	for _, name := range []string{"job", "moved", "new", "watched"} {
		address := "10.0.0.1"
		if name == "new" {
			address = ""
		}
		put(name, address, corev1.PodRunning, false)
	}
	put("job", "10.0.0.1", corev1.PodSucceeded, true)
	put("moved", "10.0.0.2", corev1.PodRunning, true)
	put("new", "10.0.0.3", corev1.PodRunning, true)
	put("watched", "10.0.0.1", corev1.PodSucceeded, false)
	require.Len(t, ends, 3, "the one without an address had none to give up")
	for _, end := range ends {
		assert.Equal(t, end.Name != "watched", end.Gap, end.Name)
	}
}

// The last event of a pod carries the time of the kubelet's request, which comes when the address is free for a while and
// may be another pod's. The end began when somebody asked for it.
func TestEndBeginsWithTheFirstRequest(t *testing.T) {
	b := newBench(t)
	b.put("pods", aPod("a", "ua", "10.0.0.1", "1"), aPod("b", "ub", "10.0.0.2", "2"), aPod("c", "uc", "10.0.0.3", "3"))
	b.full()
	asked := observed.Add(-10 * time.Second).Truncate(time.Second)
	for _, name := range []string{"a", "b", "c"} {
		ending := aPod(name, "u"+name, "10.0.0.9", "4")
		ending.DeletionTimestamp, ending.DeletionGracePeriodSeconds = &metav1.Time{Time: asked.Add(30 * time.Second)}, new(int64(30))
		b.put("pods", ending)
	}
	b.drop("pods", "shop", "a")
	b.put("pods", aPod("b", "another", "10.0.0.4", "5"))
	ends := b.flush().GonePods
	require.Len(t, ends, 2)
	for _, end := range ends {
		assert.True(t, asked.Equal(end.Earliest), "%s: %s", end.Name, end.Earliest)
		assert.Equal(t, end.Name == "b", end.Gap, end.Name)
	}
}
