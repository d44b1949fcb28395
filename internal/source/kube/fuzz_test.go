// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FuzzTrimPod holds trimming to what everything after it builds on, whatever an object says.
func FuzzTrimPod(f *testing.F) {
	for _, pod := range []*corev1.Pod{aPod("a", "u", "10.0.0.1", "1"), {}} {
		raw, err := json.Marshal(pod)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"metadata":{"name":"x","deletionTimestamp":"2026-01-01T00:00:00Z","deletionGracePeriodSeconds":-9223372036854775808,"ownerReferences":[{"kind":"Job","name":"a-99999999","controller":true}],"labels":{"istio-locality":"..//"}},"status":{"phase":"Failed","podIPs":[{"ip":"::ffff:10.0.0.1%eth0"}],"startTime":"0001-01-01T00:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var pod corev1.Pod
		if json.Unmarshal(raw, &pod) != nil {
			return
		}
		item := trimPod(&pod, observed, "istio-system")
		s := &item.state
		if s.Workload == "" && pod.Name != "" {
			t.Fatal("no workload")
		}
		if s.Since.After(s.Seen) || s.Seen.After(observed) {
			t.Fatal("times out of order", s.Since, s.Seen)
		}
		for _, a := range s.Addresses {
			if !a.IsValid() || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() {
				t.Fatal("address", a)
			}
		}
		if item.ended && len(s.Addresses) > 0 {
			t.Fatal("a finished pod holds an address")
		}
		gone, ok := trimGone(&pod, observed)
		if !ok || gone.earliest.After(gone.latest) || gone.latest.After(observed) {
			t.Fatal("end out of order", gone)
		}
	})
}

// FuzzLeanPod holds the shortened decoding to the whole one.
func FuzzLeanPod(f *testing.F) {
	pod := aPod("a", "u", "10.0.0.1", "1")
	pod.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true", "other": "x"}
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}}
	pod.Spec.Containers = []corev1.Container{{Name: "discovery", Image: "istio/pilot:1.27.1", Args: []string{"x"}}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", Image: "i", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(observed)}}}}
	raw, err := pod.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	deleted, grace := metav1.NewTime(observed), int64(30)
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &deleted, &grace
	if raw, err = pod.Marshal(); err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	pod.Status.Phase, pod.Namespace, pod.Labels = corev1.PodFailed, "istio-system", map[string]string{"app": "istiod"}
	if raw, err = pod.Marshal(); err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var whole corev1.Pod
		if whole.Unmarshal(raw) != nil {
			return
		}
		var lean leanPod
		if lean.Unmarshal(bytes.Clone(raw)) != nil {
			return
		}
		want, got := trimPod(&whole, observed, "istio-system"), trimPod(&lean.Pod, observed, "istio-system")
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("%+v\n%+v", want, got)
		}
		wantGone, _ := trimGone(&whole, observed)
		if gone, _ := trimGone(&lean, observed); wantGone != gone {
			t.Fatalf("%+v\n%+v", wantGone, gone)
		}
		key := metav1.InitialEventsAnnotationKey
		if whole.Annotations[key] != lean.Annotations[key] || whole.ResourceVersion != lean.ResourceVersion {
			t.Fatal("metadata")
		}
		if len(lean.ManagedFields) > 0 {
			t.Fatal("not lean")
		}
	})
}
