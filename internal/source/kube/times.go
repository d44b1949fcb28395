// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// granularity is that of the times in Kubernetes objects.
const granularity = time.Second

// heldSince bounds the moment at which a pod got its addresses. With the sandbox come the network and the addresses.
// Before Kubernetes 1.29 nothing tells that moment, only the kubelet's first sight of the pod.
func heldSince(status *corev1.PodStatus, observed time.Time) (since, seen time.Time) {
	for i := range status.Conditions {
		c := &status.Conditions[i]
		if c.Type == corev1.PodReadyToStartContainers && c.Status == corev1.ConditionTrue && !c.LastTransitionTime.IsZero() {
			since = earlier(c.LastTransitionTime.Time, observed)
			return since, earlier(since.Add(granularity), observed)
		}
	}
	if status.StartTime != nil && !status.StartTime.IsZero() {
		return earlier(status.StartTime.Time, observed), observed
	}
	return observed, observed
}

// deletedBetween bounds the moment at which a pod gave up its addresses that is being deleted or is gone. The deletion
// timestamp is when the grace period ends; the request was that much before. When the kubelet takes the pod out of the
// API server, with a grace period of zero, the timestamp becomes that of this last request.
func deletedBetween(pod *metav1.ObjectMeta, observed time.Time) (earliest, latest time.Time) {
	if pod.DeletionTimestamp == nil || pod.DeletionTimestamp.IsZero() {
		return observed, observed
	}
	earliest = pod.DeletionTimestamp.Time
	if grace := pod.DeletionGracePeriodSeconds; grace != nil && *grace > 0 && *grace < int64(365*24*time.Hour/time.Second) {
		earliest = earliest.Add(-time.Duration(*grace) * time.Second)
	}
	return earlier(earliest, observed), observed
}

// finishedBetween bounds the moment at which a pod that Succeeded or Failed gave up its addresses: its status keeps
// them, its sandbox is torn down after the last container. A zero earliest is not known.
func finishedBetween(status *corev1.PodStatus, observed time.Time) (earliest, latest time.Time) {
	for _, list := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range list {
			if t := list[i].State.Terminated; t != nil && t.FinishedAt.After(earliest) {
				earliest = t.FinishedAt.Time
			}
		}
	}
	return earlier(earliest, observed), observed
}

func finished(status *corev1.PodStatus) bool {
	return status.Phase == corev1.PodSucceeded || status.Phase == corev1.PodFailed
}

func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}
