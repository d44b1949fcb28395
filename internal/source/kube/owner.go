// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kinds of workloads, in the spelling of the attributes.
const (
	kindDeployment    = "deployment"
	kindRollout       = "rollout"
	kindReplicaSet    = "replicaset"
	kindStatefulSet   = "statefulset"
	kindDaemonSet     = "daemonset"
	kindJob           = "job"
	kindCronJob       = "cronjob"
	kindPod           = "pod"
	kindWorkloadEntry = "workloadentry"
)

// ownerOf returns the workload that a pod belongs to, from the pod alone: to watch the ReplicaSets and Jobs in between
// costs more memory than the pods.
func ownerOf(pod *metav1.ObjectMeta) (name, kind string) {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil || owner.Name == "" {
		return pod.Name, kindPod
	}
	switch owner.Kind {
	case "ReplicaSet":
		return replicaSetOwner(owner.Name, pod.Labels)
	case "StatefulSet":
		return owner.Name, kindStatefulSet
	case "DaemonSet":
		return owner.Name, kindDaemonSet
	case "Job":
		return jobOwner(owner.Name, pod.CreationTimestamp.Time)
	}
	// A static pod belongs to its Node; other controllers have no attribute for their kind.
	return pod.Name, kindPod
}

// replicaSetOwner tells a Deployment's ReplicaSet from a bare one: its name ends with the hash that its pods are labeled
// with. Argo's Rollouts do the same with a label of their own.
func replicaSetOwner(name string, labels map[string]string) (owner, kind string) {
	if owner, ok := withoutHash(name, labels[labelRolloutHash]); ok {
		return owner, kindRollout
	}
	if owner, ok := withoutHash(name, labels[labelTemplateHash]); ok {
		return owner, kindDeployment
	}
	return name, kindReplicaSet
}

// templateRevision returns the hash of the template that the owner made the pod from.
func templateRevision(labels map[string]string, kind string) string {
	switch kind {
	case kindDeployment:
		return labels[labelTemplateHash]
	case kindRollout:
		return labels[labelRolloutHash]
	case kindStatefulSet, kindDaemonSet:
		return labels[labelControllerHash]
	}
	return ""
}

func withoutHash(name, hash string) (string, bool) {
	if hash == "" {
		return "", false
	}
	owner, ok := strings.CutSuffix(name, "-"+hash)
	return owner, ok && owner != ""
}

const (
	// A CronJob controller names its jobs after the scheduled time in Unix minutes; before Kubernetes 1.21 in seconds.
	minutesDigits, secondsDigits = 8, 10
	// A job is created soon after its scheduled time, but may have been missed for long. Wider, a job that somebody
	// named after a date (report-20260131) would pass for one of a CronJob.
	cronJobEarly, cronJobLate = time.Hour, 31 * 24 * time.Hour
)

// jobOwner tells a CronJob's job by the scheduled time at the end of its name, which must fit the pod's creation.
func jobOwner(name string, created time.Time) (owner, kind string) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return name, kindJob
	}
	number, err := strconv.ParseUint(name[i+1:], 10, 63)
	if err != nil {
		return name, kindJob
	}
	seconds := int64(number)
	switch len(name) - i - 1 {
	case minutesDigits:
		seconds *= 60
	case secondsDigits:
	default:
		return name, kindJob
	}
	late := created.Sub(time.Unix(seconds, 0))
	if created.IsZero() || late < -cronJobEarly || late > cronJobLate {
		return name, kindJob
	}
	return name[:i], kindCronJob
}
