// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

func infoOf(t *testing.T, n runtime.NegotiatedSerializer) runtime.SerializerInfo {
	info, ok := runtime.SerializerInfoForMediaType(n.SupportedMediaTypes(), protobuf)
	require.True(t, ok)
	return info
}

func encoded(t *testing.T, s runtime.Serializer, object runtime.Object) []byte {
	var b bytes.Buffer
	require.NoError(t, s.Encode(object, &b))
	return b.Bytes()
}

// tellingPods are an istiod, one that finished, and one that tells when it got its addresses.
func tellingPods() []corev1.Pod {
	istiod, finished, ready := aPod("istiod", "u1", "10.0.0.1", "5"), aPod("job", "u2", "10.0.0.2", "6"), aPod("cart", "u3", "10.0.0.3", "7")
	istiod.Namespace, istiod.Labels = DefaultSystemNamespace, map[string]string{labelApp: "istiod"}
	istiod.Spec.Containers = []corev1.Container{{Name: "other", Image: "a:1"}, {Name: containerDiscovery, Image: "istio/pilot:1.27.1"}}
	finished.Status.Phase = corev1.PodSucceeded
	finished.Status.ContainerStatuses = []corev1.ContainerStatus{
		{Name: "run", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		{Name: "job", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(observed.Add(-time.Hour))}}},
	}
	ready.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionTrue},
		{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(observed.Add(-time.Minute))},
	}
	return []corev1.Pod{*istiod, *finished, *ready}
}

func TestLeanCodecReadsWhatClientGoReads(t *testing.T) {
	usual := serializer.NewCodecFactory(newScheme()).WithoutConversion()
	lean, plain := infoOf(t, newLeanNegotiator(usual)), infoOf(t, usual)
	require.NotNil(t, plain.StreamSerializer)
	assert.NotEqual(t, lean, plain, "the shared list stays as it is")

	pods := tellingPods()
	page := &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: metav1.ListMeta{ResourceVersion: "9", Continue: "c"}, Items: pods}
	data := encoded(t, plain.Serializer, page)
	object, gvk, err := lean.Serializer.Decode(data, nil, nil)
	require.NoError(t, err)
	assert.Equal(t, "PodList", gvk.Kind)
	list, ok := object.(*leanPodList)
	require.True(t, ok)
	assert.Equal(t, "c", list.Continue)
	for i := range data {
		data[i] = 0xff
	}
	for i := range pods {
		raw, err := pods[i].Marshal()
		require.NoError(t, err)
		var whole corev1.Pod
		require.NoError(t, whole.Unmarshal(raw))
		want := trimPod(&whole, observed, DefaultSystemNamespace)
		assert.Equal(t, want, trimPod(&list.Items[i].Pod, observed, DefaultSystemNamespace))

		pod := pods[i]
		pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		frame := encoded(t, plain.StreamSerializer.Serializer, &metav1.WatchEvent{
			Type: "ADDED", Object: runtime.RawExtension{Raw: encoded(t, plain.Serializer, &pod)},
		})
		var event, same metav1.WatchEvent
		_, _, err = lean.StreamSerializer.Decode(frame, nil, &event)
		require.NoError(t, err)
		_, _, err = plain.StreamSerializer.Decode(frame, nil, &same)
		require.NoError(t, err)
		assert.Equal(t, same, event)
		object, _, err := lean.Serializer.Decode(event.Object.Raw, nil, nil)
		require.NoError(t, err)
		assert.Equal(t, want, trimPod(podOf(object), observed, DefaultSystemNamespace))
	}

	node := encoded(t, plain.Serializer, &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
	object, _, err = lean.Serializer.Decode(node, nil, nil)
	require.NoError(t, err)
	assert.Equal(t, "n1", object.(*corev1.Node).Name, "what is no pod goes the usual way")
}

func TestLeanCodecOfGarbage(t *testing.T) {
	lean := infoOf(t, newLeanNegotiator(serializer.NewCodecFactory(newScheme()).WithoutConversion()))
	pod := tellingPods()[0]
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	data := encoded(t, lean.Serializer, &pod)
	frame := encoded(t, lean.StreamSerializer.Serializer, &metav1.WatchEvent{Type: "ADDED", Object: runtime.RawExtension{Raw: data}})
	for cut := 1; cut < len(data); cut++ {
		object, _, err := lean.Serializer.Decode(bytes.Clone(data[:cut]), nil, nil)
		if err == nil && cut > len(data)/2 {
			// Only what follows the pod is missing.
			require.Equal(t, pod.Name, podOf(object).Name, "cut at %d", cut)
		}
	}
	for cut := 1; cut < len(frame); cut++ {
		var event metav1.WatchEvent
		_, _, _ = lean.StreamSerializer.Decode(bytes.Clone(frame[:cut]), nil, &event)
		require.LessOrEqual(t, len(event.Object.Raw), len(data))
	}
}
