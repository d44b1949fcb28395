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
	table := newPodTable(func(p *topology.PodState, _ *slot) { told = append(told, *p) }, func(topology.PodEnd, slot) {})
	put := func(i *podItem, listed bool) topology.PodState {
		t.Helper()
		before := len(told)
		table.put(&message{name: topology.ObjectName{Namespace: "shop", Name: "a"}, observed: observed, listed: listed}, i)
		require.Len(t, told, before+1)
		return told[before]
	}
	exact, blurred := began.Add(time.Second), began

	assert.True(t, exact.Equal(put(item("u1", "10.0.0.1", nil), true).Since), "listed")
	changed := map[string]string{"app": "other"}
	assert.True(t, exact.Equal(put(item("u1", "10.0.0.1", changed), false).Since), "the same pod, seen live later")
	assert.True(t, blurred.Equal(put(item("u2", "10.0.0.1", nil), false).Since), "the next pod, seen live from its beginning")
	assert.True(t, blurred.Equal(put(item("u2", "10.0.0.1", changed), true).Since), "known when it was listed")
	assert.True(t, exact.Equal(put(item("u2", "10.0.0.2", changed), true).Since), "another address, listed")
}
